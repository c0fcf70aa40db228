"""Workflow helper: a saga with a deadline, whose compensation no cancellation can cut off.

    return await self._saga.uncancellable(self._run(ref))
    ...
    stop = await self._saga.run_until(self._steps(ref), deadline=…, late=…, on_cancel=…)
    if stop is not None:
        compensate, then settle as `stop` says

A cancellation of the workflow only marks the saga: whoever awaits something at that moment goes on.
The steps are then stopped like by a deadline. Where they are compensated already, or where they
are insisted on after an effect that stands, the mark changes nothing.

Nothing in here waits by `workflow.wait_condition`: where the SDK applies all that came in before
any task runs, that raises a cancellation of the workflow in whichever task it stands, protected or
not.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from apps.engine.contracts import Stop

R = TypeVar("R")
Task = asyncio.Task[Any]


class Stopped(Exception):
    """Raised between two steps of a saga that was stopped during the first of them."""


class Saga:
    """One run of a saga. Make one in the workflow's `__init__`."""

    def __init__(self) -> None:
        self._cancelled: asyncio.Future[None] = asyncio.Future()
        self._stopped = False

    async def uncancellable(self, work: Coroutine[Any, Any, R]) -> R:
        """Run `work`, the whole of the run, to its own end; returns or raises what it does.

        A cancellation only marks the saga, at whichever await it comes and however often.
        """
        task = asyncio.create_task(work)
        while not task.done():
            try:
                await workflow.wait([task])
            except asyncio.CancelledError:
                if not self._cancelled.done():
                    self._cancelled.set_result(None)
        return task.result()

    async def run_until(
        self, steps: Coroutine[Any, Any, None], *, deadline: float, late: Stop, on_cancel: Stop
    ) -> Stop | None:
        """Run the steps; None when all are done, else why not.

        `late` after `deadline` seconds, `on_cancel` when the workflow was cancelled. Returns only
        when the running step has ended: until then nobody knows what there is to compensate.
        """
        task = asyncio.create_task(steps)
        await workflow.wait(
            [task, self._cancelled], timeout=deadline, return_when=asyncio.FIRST_COMPLETED
        )
        stop = on_cancel if self._cancelled.done() else None if task.done() else late
        self._stopped = stop is not None
        return await outcome_of(task, stop)

    def check(self) -> None:
        """Between two steps: a step that ends well although it was stopped is still the last one.

        Raises Stopped.
        """
        if self._stopped or self._cancelled.done():
            raise Stopped


async def done_within(task: Task, seconds: float) -> bool:
    """Wait for the task; whether it ended in time. It is not cancelled."""
    await workflow.wait([task], timeout=seconds)
    return task.done()


async def outcome_of(task: Task, stop: Stop | None) -> Stop | None:
    """Wait for the task, cancelled if it was stopped; None when it was done, else why not.

    Done in the last moment counts as done, and so does a refusal. An attempt that fails then was
    only not tried again because of the stop. Raises what is no failure of a step.
    """
    if stop is not None:
        task.cancel()
    outcome: Any = (await asyncio.gather(task, return_exceptions=True))[0]
    if isinstance(outcome, ApplicationError) and not is_cancelled_exception(outcome):
        return stop if stop and not outcome.non_retryable else refusal(outcome)
    if isinstance(outcome, FailureError | asyncio.CancelledError | Stopped):
        return stop or Stop("failed", "step_failed", str(outcome))
    if isinstance(outcome, BaseException):
        raise outcome
    return None


def refusal(refused: ApplicationError) -> Stop:
    """The stop of a step that said no, with its code."""
    return Stop("failed", refused.type or "step_failed", refused.message)
