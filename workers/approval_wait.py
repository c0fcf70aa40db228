"""Workflow helper: wait for an approval and fire its reminders and escalations meanwhile.

A domain whose approval kind is `clocked` calls `wait_for_decision` instead of `wait_condition`: its
own workflow then keeps the request's reminders, escalation and due date, without a second workflow.
A request without a clock needs no activity, and a timer only if it expires.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from apps.approvals.activities.clock import tick_request
from apps.approvals.contracts import RequestStatus, TickInput, Waiting
from workers.steps import Timed, local_step
from workers.wakeups import Wakeups

#: The shortest timer, so that a time moved during the loop does not make it spin.
SHORTEST = timedelta(seconds=1)


W = TypeVar("W", bound=Waiting)


async def wait_for_decision(
    wakeups: Wakeups,
    read: Callable[[tuple[str, ...]], Awaitable[W]],
    expire: Callable[[], Awaitable[W]],
    facts: W,
    *,
    timings: Timed,
    renew: Callable[[], None],
) -> W:
    """Wait until the row no longer waits; return its last state.

    Calls `read` with the signals' ids after signals, and `expire` at the expiry. `renew` continues
    as new when the history has become long, because signals that decide nothing may be sent without
    end. The next run reads its row, so no signal received at that time is lost; it opens the
    request again if a restored backup has the row without the request. Raises what
    `workers.steps.local_step` raises.
    """
    while facts.waiting:
        if workflow.info().is_continue_as_new_suggested():
            renew()
        if not await woken_in_time(
            wakeups.woken,
            request_id=facts.request_id,
            next_at=facts.next_at,
            expires_at=facts.expires_at,
            timings=timings,
        ):
            facts = await expire()
        else:
            signals = wakeups.take()
            facts = await read(signals)
            if not facts.waiting:
                wakeups.keep(signals)
        if facts.waiting and not facts.request_id:
            renew()
    return facts


async def woken_in_time(
    woken: Callable[[], bool],
    *,
    request_id: str,
    next_at: datetime | None,
    expires_at: datetime | None,
    timings: Timed,
) -> bool:
    """Wait until `woken()`, and fire the events of the request's clock meanwhile.

    True: woken, or the request was found settled or gone; read the row again. False: `expires_at`
    (or the one that an edit has set) has passed, and the domain ends its row. Raises what
    `workers.steps.local_step` raises.
    """
    while True:
        at = earliest(next_at, expires_at)
        if await until(woken, at=at):
            return True
        if at == expires_at:
            return False
        try:
            tick = await local_step(
                tick_request, TickInput(request_id, workflow.now()), timings=timings
            )
        except ApplicationError as refused:
            if refused.type != "not_found":
                raise
            return True
        if tick.status != RequestStatus.OPEN:
            return True
        next_at = tick.next_at
        if tick.expires_at is not None:
            # An edit has moved the expiry, and its signal may be late. If it was moved further
            # away, this only wakes the workflow: the domain finds nothing due.
            expires_at = tick.expires_at
            if workflow.now() >= expires_at:
                return False


async def until(woken: Callable[[], bool], *, at: datetime | None) -> bool:
    """Wait until `woken()` (True) or until the time (False); without a time for ever."""
    timeout = None if at is None else max(at - workflow.now(), SHORTEST)
    try:
        await workflow.wait_condition(woken, timeout=timeout)
    except TimeoutError:
        return False
    return True


def earliest(*moments: datetime | None) -> datetime | None:
    """Return the earliest of the given times, or None."""
    return min((moment for moment in moments if moment is not None), default=None)
