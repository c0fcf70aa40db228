"""Waiting with a clock: what a tick says about the expiry counts, not what was known before it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.approvals.contracts import Tick, TickInput
from workers import approval_wait

START = datetime(2025, 11, 24, 9, tzinfo=UTC)


class Timers:
    """In the workflow's place: nobody wakes it, and each timer fires at its moment."""

    def __init__(self, ticks: list[Tick]) -> None:
        self.ticks, self.asked, self.now = ticks, list[datetime](), START

    async def until(self, woken: Any, *, at: datetime | None) -> bool:
        assert at is not None
        self.now = max(at, self.now + approval_wait.SHORTEST)
        return False

    async def local_step(self, activity: Any, wanted: TickInput, **options: Any) -> Tick:
        self.asked.append(wanted.as_of)
        return self.ticks.pop(0)


def waited(
    monkeypatch: pytest.MonkeyPatch, ticks: list[Tick], *, expires_at: datetime | None
) -> Timers:
    timers = Timers(ticks)
    monkeypatch.setattr(approval_wait, "until", timers.until)
    monkeypatch.setattr(approval_wait, "local_step", timers.local_step)
    monkeypatch.setattr(approval_wait.workflow, "now", lambda: timers.now)
    answer = asyncio.run(
        approval_wait.woken_in_time(
            lambda: False,
            request_id="1",
            next_at=START + timedelta(hours=1),
            expires_at=expires_at,
            timings=None,  # type: ignore[arg-type]
        )
    )
    assert answer is False
    return timers


def test_an_edit_to_an_earlier_expiry_is_kept_although_its_signal_is_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    earlier = START + timedelta(hours=3)
    ticks = [Tick("open", earlier, earlier)]
    timers = waited(monkeypatch, ticks, expires_at=START + timedelta(days=9))
    assert (timers.now, timers.asked) == (earlier, [START + timedelta(hours=1)])


def test_what_has_expired_by_the_time_of_the_tick_is_not_asked_about_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = START + timedelta(minutes=30)
    timers = waited(monkeypatch, [Tick("open", over, over)], expires_at=None)
    assert timers.now == START + timedelta(hours=1)


def test_a_tick_of_before_that_says_nothing_of_the_expiry_leaves_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end = START + timedelta(days=1)
    timers = waited(monkeypatch, [Tick("open", end)], expires_at=end)
    assert timers.now == end
