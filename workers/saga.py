"""Workflow helper: a saga with a deadline, whose compensation no cancellation can interrupt.

    return await self._saga.uncancellable(self._run(ref))
    ...
    stop = await self._saga.run_until(self._steps(ref), deadline=…)
    if stop is not None:
        facts = await undone(…)

A cancellation of the workflow only marks the saga: code that awaits something then goes on waiting.
The steps are stopped as by a deadline. If they are already compensated, or are required after
an effect that stands, the mark changes nothing.

Nothing in here uses `workflow.wait_condition`: when the SDK applies all incoming events before any
task runs, it raises a cancellation of the workflow in whichever task waits there, protected or not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, Protocol, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from apps.engine.contracts import EffectState, Stop

R = TypeVar("R")
Task = asyncio.Task[Any]

CANCELLED = Stop("cancelled", "cancelled", "Its workflow was cancelled in the engine.")
GIVEN_UP = Stop("failed", "given_up", "A person decided not to carry on.")
#: Pauses before a required step that was refused is tried again.
INSIST_SECONDS = (1, 5)
_SILENT = "There is no answer: nobody knows whether it was done or undone."


class Facts(Protocol):
    """What a saga's row says of its only effect."""

    @property
    def settled(self) -> bool: ...

    @property
    def execution(self) -> str: ...

    @property
    def reversible(self) -> bool: ...


class RolledBack(Protocol):
    """The outcome of a reversal."""

    @property
    def execution(self) -> str: ...


F = TypeVar("F", bound=Facts)


class Stopped(Exception):
    """Raised between two steps of a saga that was stopped during the first of them."""


class Saga:
    """One run of a saga. Make one in the workflow's `__init__`."""

    def __init__(self) -> None:
        self._cancelled: asyncio.Future[None] = asyncio.Future()
        self._stopped = False

    async def uncancellable(self, work: Coroutine[Any, Any, R]) -> R:
        """Run `work`, the whole run, to its own end; return or raise what it does.

        A cancellation only marks the saga, at any await and any number of times.
        """
        task = asyncio.create_task(work)
        while not task.done():
            try:
                await workflow.wait([task])
            except asyncio.CancelledError:
                if not self._cancelled.done():
                    self._cancelled.set_result(None)
        return task.result()

    async def run_until(self, steps: Coroutine[Any, Any, None], *, deadline: float) -> Stop | None:
        """Run the steps; return None when all are done, else why not: refused, not done within
        `deadline` seconds, or cancelled in Temporal.

        Returns only when the running step has ended: before that it is unknown what to compensate.
        """
        task = asyncio.create_task(steps)
        await workflow.wait(
            [task, self._cancelled], timeout=deadline, return_when=asyncio.FIRST_COMPLETED
        )
        late = Stop("failed", "deadline_exceeded", f"Not done within {deadline:g} s.")
        stop = CANCELLED if self._cancelled.done() else None if task.done() else late
        self._stopped = stop is not None
        return await outcome_of(task, stop)

    async def heard(self, bell: asyncio.Future[None], *, timeout: float | None) -> None:
        """Wait until `bell` is done, the workflow is cancelled, or after `timeout` seconds."""
        await workflow.wait(
            [bell, self._cancelled], timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )

    @property
    def cancelled(self) -> bool:
        """Return whether the workflow was cancelled in Temporal, at any time until now."""
        return self._cancelled.done()

    def check(self) -> None:
        """Raise Stopped if the saga was stopped. Call it between two steps: a step that succeeds
        although the saga was stopped is still the last one."""
        if self._stopped or self._cancelled.done():
            raise Stopped


async def undone(
    read: Callable[[], Awaitable[F]],
    roll_back: Callable[[], Coroutine[Any, Any, RolledBack]],
    settle: Callable[[], Awaitable[F]],
    ask: Callable[[str, str], Awaitable[NoReturn]],
    *,
    patience: float,
    name: str,
) -> F | None:
    """Undo a saga with one effect (`apps.engine.effects`, of this `name`) as its row says; return
    the row's state, or None when the effect stands.

    Steps: `read` the row, `roll_back` the effect, `settle` the row, which releases reservations.
    After `patience` seconds without an answer, or if it is unknown whether the effect took place,
    `ask` opens a review item and ends the run.
    """
    while True:
        facts = await read()
        if facts.settled:
            return facts
        state = facts.execution
        if state == EffectState.UNKNOWN or (state == EffectState.DONE and facts.reversible):
            task = asyncio.create_task(roll_back())
            await workflow.wait([task], timeout=patience)
            silent = Stop("failed", f"{name}_unknown", _SILENT)
            stop = await outcome_of(task, None if task.done() else silent)
            if stop is not None and stop.code != "already_settled":
                await ask(stop.code, stop.detail)
            state = task.result().execution if stop is None else (await read()).execution
        if state == EffectState.DONE:
            return None
        try:
            return await settle()
        except ApplicationError as refused:
            # An attempt that was believed dead has made the call meanwhile.
            if refused.type != f"{name}_stands":
                raise


async def insist(step: Callable[[], Awaitable[Any]]) -> Stop | None:
    """Run a required step; return None when it is done, else why not. A refusal is retried after
    each of INSIST_SECONDS, outages are waited out."""
    trouble: Stop | None = None
    for pause in (*INSIST_SECONDS, 0):
        try:
            await step()
            return None
        except ApplicationError as refused:
            workflow.logger.warning("step.refused", extra={"code": refused.type})
            trouble = refusal(refused)
        if pause:
            await asyncio.sleep(pause)
    return trouble


def fail(code: str, detail: str) -> NoReturn:
    """End the run as failed, so that a second run with its id may continue from the row."""
    raise ApplicationError(detail, type=code, non_retryable=True)


async def outcome_of(task: Task, stop: Stop | None) -> Stop | None:
    """Wait for the task, cancelled if it was stopped; return None when it was done, else why not.

    A success or a refusal in the last moment counts. An attempt that fails then was not retried
    only because of the stop. Raises what is not a failure of a step.
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
    """Return the stop of a refused step, with its code."""
    return Stop("failed", refused.type or "step_failed", refused.message)
