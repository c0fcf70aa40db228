"""No test waits by sleeping or asserts a planner's mood; `make flakes` finds those that wait."""

import ast
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests import support
from tests.flakes import RESULTS_VARIABLE, Flakes, busy
from tests.plans import plan_by_index
from tests.support import eventually, within

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "tests").rglob("*.py"))
#: Who may sleep, and why.
MAY_SLEEP = {
    "tests/support.py": "the polling helpers, and `pause`",
    "tests/stack.py": "polls before there is a test that could fail",
    "tests/faults/soak.py": "kills at random moments: no test",
    "tests/workers/sample.py": "activities that take their time, as real ones do",
    "tests/workers/test_inbound.py": "activities that do not end by themselves",
    "tests/interventions/test_saga_cancelled.py": "activities that take their time",
    "tests/outbound/serving.py": "a server that answers byte by byte",
    "tests/engine/test_relay_leadership.py": "a call of the engine that takes its time",
    "tests/workers/test_process.py": "a worker that drains is given a moment to end too early",
}


def sleeps(tree: ast.AST) -> Iterator[int]:
    """Lines with a sleep that takes time; `asyncio.sleep(0)` only lets others run."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        takes_time = getattr(node.args[0], "value", None) != 0 if node.args else True
        if name in ("time.sleep", "asyncio.sleep", "sleep") and takes_time:
            yield node.lineno


def explains(tree: ast.AST) -> Iterator[int]:
    """Lines that ask for a plan, through the ORM or in SQL."""
    for node in ast.walk(tree):
        # Of a queryset; `refusals.explain` words a refusal.
        through_orm = (
            isinstance(node, ast.Attribute)
            and node.attr == "explain"
            and ast.unparse(node.value) != "refusals"
        )
        text = str(node.value).upper() if isinstance(node, ast.Constant) else ""
        if through_orm or text.startswith("EXPLAIN "):
            yield getattr(node, "lineno", 0)


def lines_of(rule: Callable[[ast.AST], Iterator[int]], word: str) -> dict[str, list[int]]:
    """What a rule finds in which test file; those without the word need not be parsed."""
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in FILES}
    found = {
        name: list(rule(ast.parse(text))) for name, text in texts.items() if word in text.lower()
    }
    return {name: lines for name, lines in found.items() if lines}


def test_no_test_sleeps() -> None:
    found = lines_of(sleeps, "sleep")
    assert {name: lines for name, lines in found.items() if name not in MAY_SLEEP} == {}
    assert set(MAY_SLEEP) - set(found) == set(), "may sleep and does not: take them off the list"


def test_no_test_asks_for_a_plan_but_by_the_helper() -> None:
    found = lines_of(explains, "explain")
    # The last of them is this one, which names it; the first has one that must be refused.
    assert set(found) == {
        "tests/automations/test_database_node.py",
        "tests/plans.py",
        "tests/test_waiting.py",
    }


@pytest.mark.parametrize(
    ("code", "slept", "explained"),
    [
        ("import time\ntime.sleep(1)", [2], []),
        ("from time import sleep\nsleep(0.1)", [2], []),
        ("import asyncio\nasyncio.sleep(0)\nasyncio.sleep(0.1)", [3], []),
        ("rows.explain()", [], [1]),
        ("cursor.execute(f'EXPLAIN {sql}')", [], [1]),
        ("'a program: time.sleep(60)'; eventually(look)", [], []),
    ],
)
def test_what_the_two_rules_find(code: str, slept: list[int], explained: list[int]) -> None:
    tree = ast.parse(code)
    assert (list(sleeps(tree)), list(explains(tree))) == (slept, explained)


# --- plans ----------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_an_index_serves_what_it_was_made_for_whatever_the_statistics_say() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE small (kind text, at timestamptz, note text)")
        cursor.execute("CREATE INDEX by_kind ON small (kind, at)")
        cursor.execute("CREATE INDEX by_time ON small (at)")
        for _ in range(2):
            rows = "SELECT * FROM small WHERE kind = %s ORDER BY at"
            assert "Index Cond" in plan_by_index(rows, "by_kind", ["a"], ordered=True)
            cursor.execute("INSERT INTO small SELECT 'a', now(), '' FROM generate_series(1, 3)")
            cursor.execute("ANALYZE small")
        for wrong in (
            rows.replace("ORDER BY at", "ORDER BY note"),
            "SELECT * FROM small ORDER BY 3",
        ):
            with pytest.raises(AssertionError, match="does not"):
                plan_by_index(wrong, "by_kind", ["a"] * wrong.count("%s"), ordered=True)
        with pytest.raises(AssertionError, match="by_time does not serve it"):
            plan_by_index("SELECT * FROM small WHERE kind = %s", "by_time", ["a"])
        # All is as it was.
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'small'")
        assert cursor.fetchone() == (2,)
        cursor.execute("SHOW enable_seqscan")
        assert cursor.fetchone() == ("on",)


# --- limits ---------------------------------------------------------------------------------------
def test_limits_are_kept_on_a_calm_machine_and_grow_with_the_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(support, "patience", lambda: 1.0)
    with pytest.raises(AssertionError, match=r"the limit is 0\.01 s"), within(0.01):
        support.pause(0.02)
    monkeypatch.setattr(support, "patience", lambda: 100.0)
    with within(0.01):
        support.pause(0.02)
    assert support.patient(2) == 200


def test_somebody_who_waits_has_more_patience_when_the_load_comes_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(support, "patience", lambda: 1000.0)
    there_at = time.monotonic() + 0.1
    assert eventually(lambda: time.monotonic() > there_at, timeout=0.01, every=0.01)


def test_patience_has_a_least_and_is_never_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_PATIENCE", "0")
    assert support.patience() >= 1
    monkeypatch.setenv("TESTS_PATIENCE", "5000")
    assert support.patience() == 5000


# --- make flakes ----------------------------------------------------------------------------------
TESTS = """
import pathlib
from tests.support import eventually

def test_good(): eventually(lambda: 1)
def test_flaky():
    eventually(lambda: 1)
    mark = pathlib.Path(__file__).with_name("ran")
    mark.touch() if not mark.exists() else 1 / 0
def test_that_waits_for_nothing(): raise AssertionError
"""


def test_what_does_not_pass_every_time_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLAKES_TIMES", "2")
    # No servers, and no plugin that takes long to load: there are four sessions.
    plain = ["-c", os.devnull, f"--rootdir={tmp_path}", "-o", "addopts=", str(tmp_path)]
    for plugin in ("django", "asyncio", "schemathesis", "hypothesispytest", "faker", "anyio"):
        plain += ["-p", f"no:{plugin}"]
    results = tmp_path / "flakes.json"
    flakes = Flakes(
        times=2, only="", seconds=300, results=results, workers=1, loops=0, arguments=plain
    )
    assert flakes.run() == 1
    said = capfd.readouterr().out
    assert "FLAKY test_some.py::test_flaky: failed 1 of 2" in said
    assert "1 of 2 tests passed 2 times of 2" in said
    assert json.loads(results.read_text())["runs"] == {
        "test_some.py::test_good": [2, 0],
        "test_some.py::test_flaky": [1, 1],
    }
    # What is done is not done again; a part of it can be asked for.
    flakes.only = "good"
    assert flakes.run() == 0
    assert json.loads(results.read_text())["runs"]["test_some.py::test_good"] == [2, 0]
    # Without the time for a run nothing is said to have passed.
    late = Flakes(times=3, only="good", seconds=0.0, results=results, arguments=plain)
    assert late.run() == 1
    assert RESULTS_VARIABLE not in os.environ


def test_busy_loops_end_with_whoever_began_them() -> None:
    code = (
        "import os, time\nfrom tests.flakes import busy, subprocess\n"
        "began = []\nreal = subprocess.Popen\n"
        "subprocess.Popen = lambda *a, **k: began.append(real(*a, **k)) or began[-1]\n"
        "with busy(1):\n    print(began[0].pid, flush=True)\n    os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    loop = Path("/proc") / done.stdout.strip()
    eventually(lambda: not loop.exists() or "\nState:\tZ" in (loop / "status").read_text())
    with busy(1):
        pass
