"""Waiting with a clock: what a tick says about the expiry counts, not what was known before it."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from apps.approvals.contracts import Tick, TickInput, Waiting
from apps.engine.contracts import Timings
from workers import approval_wait
from workers.wakeups import Wakeups

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


# --- a row whose request is gone ------------------------------------------------------------------
class Renewed(Exception):
    """What continuing as new does to a run."""


@pytest.mark.parametrize("woken", [True, False])
def test_a_row_that_waits_and_has_no_request_is_asked_for_by_the_next_run(
    monkeypatch: pytest.MonkeyPatch, woken: bool
) -> None:
    # A backup was restored from before the request was opened; the run has gone on.
    async def look(*_: Any) -> Waiting:
        await asyncio.sleep(0)
        return Waiting("pending", waiting=True)

    async def in_time(*_: Any, **__: Any) -> bool:
        return woken

    def renew() -> None:
        raise Renewed

    monkeypatch.setattr(approval_wait, "woken_in_time", in_time)
    suggested = SimpleNamespace(is_continue_as_new_suggested=lambda: False)
    monkeypatch.setattr(approval_wait.workflow, "info", lambda: suggested)
    first = Waiting("asked", waiting=True, request_id="1")
    run = approval_wait.wait_for_decision(
        Wakeups(), look, look, first, timings=Timings(), renew=renew
    )
    with pytest.raises(Renewed):
        asyncio.run(asyncio.wait_for(run, 5))


def test_a_tick_of_a_request_that_is_gone_has_the_row_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def until(woken: Any, *, at: datetime | None) -> bool:
        return False

    async def gone(*_: Any, **__: Any) -> Tick:
        raise ApplicationError("There is no such request.", type="not_found", non_retryable=True)

    monkeypatch.setattr(approval_wait, "until", until)
    monkeypatch.setattr(approval_wait, "local_step", gone)
    monkeypatch.setattr(approval_wait.workflow, "now", lambda: START)
    wait = approval_wait.woken_in_time(
        lambda: False, request_id="1", next_at=START, expires_at=None, timings=Timings()
    )
    assert asyncio.run(wait) is True
