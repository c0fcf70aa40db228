"""What `make bench` does without its servers: one process for goals of one world, repetitions only
where they are needed, and rows that fit the tables. Runs nothing that is measured."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count, repeat
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest, PayloadVersion, Signature
from apps.engine.models import WorkflowRun
from apps.interventions.models import Budget, Intervention, Policy
from apps.payments.models import QuarantinedEvent
from apps.payments.services.checking import counters_check
from apps.payments.services.intake import events_take
from apps.payments.services.messages import Message
from benchmarks import __main__ as benchmarks_main
from benchmarks import many_rows, p2, p7, p7_rows, p12, p12_rows, p13_rows, payment_events
from benchmarks.__main__ import registered
from benchmarks.many_rows import Stage
from benchmarks.p7_rows import World
from benchmarks.testbed import Goal, compare_all


class Site:
    """A site that answers in the given milliseconds, the first answer included."""

    def __init__(self, milliseconds: Iterator[float]) -> None:
        self.milliseconds_left = milliseconds
        self.asked = 0

    def milliseconds(self, _person: str, _address: str) -> float:
        self.asked += 1
        return next(self.milliseconds_left)


def stage(*, few: float, many: Iterator[float], only: str, repeats: int | None = None) -> Any:
    row = SimpleNamespace(fetchone=lambda: ("0198a0b0-0000-7000-8000-000000000000",))
    world = World("usual", rows=10, waiting=5)
    database: Any = SimpleNamespace(execute=lambda *_: row)
    sites: tuple[Any, Any] = (Site(repeat(few)), Site(many))
    return Stage(world, *sites, database, repeats, only)


@pytest.mark.parametrize(
    ("slow", "repeats", "turns", "missed"),
    [
        (100.0, None, p7.TURNS, 0),
        (250.0, None, p7.TURNS, 1),
        (145.0, None, p7.MOST_TURNS, 0),
        (155.0, None, p7.MOST_TURNS, 1),
        (155.0, 1, 1, 1),
    ],
)
def test_a_page_near_what_it_must_reach_is_asked_for_more_often(
    slow: float,
    repeats: int | None,
    turns: int,
    missed: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = stage(few=100.0, many=repeat(slow), only="header counts", repeats=repeats)
    assert p7.measure(one) == missed
    assert one.few.asked == one.many.asked == 1 + turns
    assert f"({turns} turns)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("slow", "times", "missed"),
    [
        (20.0, p12.TIMES, 0),
        (90.0, p12.TIMES, 1),
        (45.0, p12.MOST_TIMES, 0),
        (55.0, p12.MOST_TIMES, 1),
    ],
)
def test_a_text_near_what_it_must_reach_is_searched_for_more_often(
    slow: float, times: int, missed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    one = stage(few=1.0, many=repeat(slow), only="code, of nothing")
    assert p12.measure(one) == missed
    assert one.many.asked == 1 + times
    assert f"{times} times" in capsys.readouterr().out


def test_the_95th_percentile_leaves_out_the_slowest_of_twenty() -> None:
    """The first answer only warms up."""
    one = stage(few=1.0, many=iter([999.0, *([10.0] * 19), 999.0]), only="code, of nothing")
    assert p12.measure(one) == 0


def test_goals_of_one_world_run_in_one_process_that_knows_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: commands.append(command) or SimpleNamespace(returncode=len(commands)),
    )
    known = registered()
    both = {"p7": known["p7"], "p12": known["p12"]}
    assert benchmarks_main.run("many_rows", both, quick=True) == 1
    assert benchmarks_main.run("p5", {"p5": known["p5"]}, quick=False) == 1
    start = [sys.executable, "-W", "ignore", "-m"]
    assert commands == [
        [*start, "benchmarks.many_rows", "p7", "p12", *many_rows.QUICK],
        [*start, "benchmarks.p5"],
    ]


def test_goals_of_one_world_are_quick_in_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p12, "BENCH", replace(p12.BENCH, quick=("--rows", "1")))
    with pytest.raises(ValueError, match="quick in different ways"):
        registered()


def test_one_measurement_of_ours_may_answer_several_goals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.testbed.keep", lambda _goal, _result: None)
    goals = [Goal("a", must=1.5, reach=0.6, least=False), Goal("b", must=2.0, reach=4.0)]
    ours = iter([(9.0, 99.0), (1.0, 8.0), (2.0, 4.0), (3.0, 6.0)])
    results = compare_all(
        goals, ours=lambda: next(ours), reference=lambda: 2.0, unit="ms", rounds=3
    )
    assert [(one.goal, one.ratio, one.ours, one.word) for one in results] == [
        ("a", 1.0, 2.0, "must"),
        ("b", 3.0, 6.0, "must"),
    ]


def test_who_looks_at_a_request_is_no_change_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 0 on a row's topic says that somebody came or left. A tick is a second here."""
    frames = iter(
        [
            {"topic": "hello"},
            {"topic": "request:1", "id": "1", "version": 0},
            {"topic": "request:1", "id": "1", "version": 2},
            {"topic": "intervention:2", "id": "2", "version": 3},
            {"topic": "intervention:2", "id": "2", "version": 4},
        ]
    )

    class Socket:
        async def recv(self) -> str:
            return json.dumps(next(frames))

    @asynccontextmanager
    async def connect(*_: Any, **__: Any) -> AsyncIterator[Socket]:
        yield Socket()

    async def post(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(status_code=200)

    ticks = count()
    monkeypatch.setattr(p2, "connect", connect)
    monkeypatch.setattr(p2, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    sides: Any = object.__new__(p2._Sides)
    sides.address, sides.headers, sides.origin = "{request}{id}", {}, None
    sides.http = SimpleNamespace(post=post)
    told = asyncio.run(sides._decide(request="1", intervention="2", seen="hash"))
    assert told == (2000, 4000)


@pytest.mark.django_db(transaction=True)
def test_rows_of_the_worlds_fit_the_tables() -> None:
    for name in ("requester", "operator", "reviewer", "reviewer2"):
        User.objects.create(username=name)
    Policy.objects.create(code="bench", name="Bench", currency="NGN")
    Budget.objects.create(code="bench", name="Bench", currency="NGN", total=1)
    with transaction.atomic(), connection.cursor() as cursor:
        # As the worlds are filled: a trigger refuses signatures of what is settled already.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in p7_rows.STATEMENTS:
            cursor.execute(statement, {"rows": 50, "waiting": 20})
        for statement in p12_rows.STATEMENTS:
            cursor.execute(statement)
        for statement in p13_rows.STATEMENTS:
            cursor.execute(statement, {"rows": 200, "days": 1})
    assert ApprovalRequest.objects.count() == PayloadVersion.objects.count() == 50
    assert ApprovalRequest.objects.open().count() == 20
    assert Signature.objects.count() == 30
    assert Intervention.objects.count() == WorkflowRun.objects.count() == 50
    assert QuarantinedEvent.objects.filter(state="open").count() == 180
    groups, differences = counters_check()
    assert groups == p13_rows.GROUPS and not differences
    events = payment_events.events_of(3)
    taken = events_take([Message(raw, source="api") for raw in events])
    assert [one.outcome for one in taken] == ["accepted"] * 3
