"""`manage.py loadtest`: what is lost or fails is named, and its exit status says so."""

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.models import User
from apps.automations.local_runner import LocalRunner
from tests.automations.drawing import failing, graph

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def runner(people: dict[str, User], settings: Any) -> Iterator[LocalRunner]:
    settings.ENABLE_TEMPORAL_FEATURES = False
    runner = LocalRunner()
    runner.start()
    yield runner
    runner.stop(60)


def load(*words: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("loadtest", *words, "--as", "editor", stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_it_shows_a_bar_and_percentiles(runner: LocalRunner) -> None:
    out, err = load("--workflows", "5", "--concurrent", "2")
    assert "completed 5, failed 0, lost 0" in out
    assert "p50" in out
    assert "p99" in out
    assert f"[{'#' * 40}] 5/5" in err


def test_what_fails_or_is_lost_is_named(runner: LocalRunner, tmp_path: Path) -> None:
    drawn = tmp_path / "failing.json"
    drawn.write_text(json.dumps(graph("f", f=failing())))
    with pytest.raises(CommandError) as failed:
        load("--workflows", "2", "--definition", str(drawn))
    assert (failed.value.returncode, str(failed.value)) == (1, "2 failed and 0 were lost")


def test_what_nobody_runs_is_lost(people: dict[str, User]) -> None:
    with pytest.raises(CommandError) as failed:
        load("--workflows", "2", "--seconds", "0.1")
    assert (failed.value.returncode, str(failed.value)) == (1, "0 failed and 2 were lost")


@pytest.mark.parametrize(
    "words", [["--workflows", "0"], ["--definition", "/nowhere"], ["--as", "nobody"]]
)
def test_wrong_arguments_begin_nothing(people: dict[str, User], words: list[str]) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("loadtest", *words, stdout=StringIO(), stderr=StringIO())
    assert refused.value.returncode == 2
