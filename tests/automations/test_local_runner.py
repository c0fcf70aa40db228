"""Executions without the engine: by the same services, under a lease."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.automations.local_runner import LocalRunner
from apps.automations.models import Execution
from apps.automations.services.reading import status_of
from apps.engine.models import EngineCommand
from tests.automations.drawing import delay, graph, transform
from tests.automations.runs import nodes_of, requested
from tests.automations.test_executing import CASES
from tests.support import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def editor(people: dict[str, User], settings: Any) -> User:
    settings.ENABLE_TEMPORAL_FEATURES = False
    return people["editor"]


@pytest.fixture
def runner() -> Iterator[LocalRunner]:
    runner = LocalRunner()
    yield runner
    runner.stop(60)


def ended(*executions: Execution) -> bool:
    ids = [one.pk for one in executions]
    return not Execution.objects.unsettled().filter(pk__in=ids).exists()


def test_graphs_come_to_the_same_without_the_engine(editor: User, runner: LocalRunner) -> None:
    rows = [requested(editor, document, {"n": 7}) for document, _nodes, _result in CASES.values()]
    runner.start()
    eventually(lambda: ended(*rows))
    for row, (_document, nodes, result) in zip(rows, CASES.values(), strict=True):
        row.refresh_from_db()
        assert nodes_of(row) == nodes
        assert status_of(row)["result"] == result
    assert not EngineCommand.objects.exists()
    assert not Execution.objects.exclude(lease="").exists()


def test_ten_delays_pass_side_by_side(editor: User, runner: LocalRunner) -> None:
    names = [f"d{n}" for n in range(10)]
    document = graph(" ".join(f"{d}>end" for d in names), **{d: delay(1) for d in names})
    row = requested(editor, document)
    runner.start()
    eventually(lambda: ended(row))
    row.refresh_from_db()
    assert row.settled_at is not None
    assert timedelta(seconds=1) <= row.settled_at - row.created_at < timedelta(seconds=9)


def test_what_another_process_has_left_is_taken_once_its_lease_is_over(
    editor: User, runner: LocalRunner
) -> None:
    row = requested(editor, graph("a>b", a=transform(x="params.x")))
    held = timezone.now() + timedelta(minutes=5)
    Execution.objects.update(lease="elsewhere", lease_until=held)
    assert runner.turn() == 0
    Execution.objects.update(lease_until=timezone.now())
    assert runner.turn() == 1
    eventually(lambda: ended(row))


def test_two_runners_take_each_execution_once(editor: User, runner: LocalRunner) -> None:
    other = LocalRunner()
    rows = [requested(editor, graph("a>b")) for _n in range(6)]
    try:
        runner.start()
        other.start()
        eventually(lambda: ended(*rows))
    finally:
        other.stop(60)
    for row in rows:
        history = row.history.values_list("event", flat=True)
        assert sorted(history) == sorted(
            ["execution_requested", "node_completed", "node_completed", "execution_completed"]
        )
