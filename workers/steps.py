"""Runs a workflow's steps: `local_step` for short database work, `remote_step` for the rest.

`local_step` is a local activity: no task queue, no extra history events, twice the throughput. It
has one attempt of two seconds; then the same activity runs remotely. Without that limit a
PostgreSQL outage fills the workflow-task slots with local retries, and other queues stand still.

Either way, a refusal of the domain reaches the workflow as an `ApplicationError` whose `type` is
its stable code: `except ApplicationError as refused: refused.type == "budget_exhausted"`.

The commands made here are in recorded histories. A change of their order or kind needs
`workflow.patched` and a removal plan; a change of a timeout does not.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol, TypeVar, cast

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)
from temporalio.workflow import ActivityCancellationType

A = TypeVar("A")
R = TypeVar("R")

LOCAL_SECONDS = 2.0
#: Infrastructure comes back after seconds or minutes: retry soon at first, then every five seconds.
RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=0.5),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=5),
)
#: For calls that everything waits for, however long the other side is away.
WITHOUT_END = RetryPolicy(
    initial_interval=timedelta(seconds=2),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=30),
)
#: For calls that leave the house: five attempts, after 1 to 30 s.
OUTSIDE = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=30),
    maximum_attempts=5,
)


class Timed(Protocol):
    """Seconds for remote steps; `apps.engine.contracts.Timings` fits."""

    @property
    def activity(self) -> float: ...

    @property
    def heartbeat(self) -> float: ...


class _Contract:
    """Used when the caller has no timings of its own: activity 5 min, heartbeat 30 s."""

    activity = 300.0
    heartbeat = 30.0


async def local_step(
    activity_fn: Callable[[A], R],
    arg: A,
    *,
    timings: Timed | None = None,
    retry: RetryPolicy = RETRY,
    result_type: type[R] | None = None,
) -> R:
    """Run a short, idempotent database step; return its result.

    Raises ApplicationError with the domain's code when the step is refused. Infrastructure errors
    are retried for as long as the workflow waits: put a deadline around it. `retry` applies to
    remote attempts: if it limits them, the last error arrives as from `remote_step`. A cancellation
    of the workflow passes through.
    """
    try:
        result = await workflow.execute_local_activity(
            cast(Any, activity_fn),
            arg,
            schedule_to_close_timeout=timedelta(seconds=LOCAL_SECONDS),
            retry_policy=RetryPolicy(maximum_attempts=1),
            result_type=result_type,
        )
        return cast(R, result)
    except FailureError as failure:
        # A local failure arrives as a bare ApplicationError, a timeout as an ActivityError.
        refusal = _refusal(failure)
        if refusal is not None and refusal.non_retryable:
            raise refusal from None
        if is_cancelled_exception(failure):
            raise
        workflow.logger.info("step.goes_remote", extra={"step": _name(activity_fn)})
    timed = timings or _Contract()
    # A short step sends no heartbeats; the heartbeat timeout is how soon a killed worker is
    # noticed.
    return await _remote(
        activity_fn,
        arg,
        result_type,
        start_to_close_timeout=timedelta(seconds=min(timed.activity, timed.heartbeat)),
        retry_policy=retry,
    )


async def remote_step(
    activity_fn: Callable[[A], R],
    arg: A,
    *,
    timings: Timed | None = None,
    retry: RetryPolicy = RETRY,
    attempts: int = 0,
    result_type: type[R] | None = None,
) -> R:
    """Run a slow or external step, which heartbeats (`apps.engine.heartbeats`); return its result.

    Infrastructure errors are retried as `retry` says, without end if neither it nor `attempts` sets
    one (three attempts, from 2 s on: `RetryPolicy(initial_interval=timedelta(seconds=2),
    maximum_interval=timedelta(seconds=60), maximum_attempts=3)`). When the workflow is cancelled,
    the step waits until the activity has noticed and ended: its effects can then be compensated.
    Raises as `local_step`; the last error of exhausted attempts also arrives as ApplicationError, a
    timeout as ActivityError.
    """
    timed = timings or _Contract()
    return await _remote(
        activity_fn,
        arg,
        result_type,
        start_to_close_timeout=timedelta(seconds=timed.activity),
        heartbeat_timeout=timedelta(seconds=timed.heartbeat),
        retry_policy=replace(retry, maximum_attempts=attempts or retry.maximum_attempts),
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


async def _remote(
    activity_fn: Callable[[A], R], arg: A, result_type: type[R] | None, **options: Any
) -> R:
    try:
        result = await workflow.execute_activity(
            cast(Any, activity_fn), arg, result_type=result_type, **options
        )
        return cast(R, result)
    except ActivityError as failure:
        refusal = _refusal(failure)
        if refusal is not None:
            raise refusal from None
        raise


def _refusal(failure: FailureError) -> ApplicationError | None:
    cause = failure.cause if isinstance(failure, ActivityError) else failure
    return cause if isinstance(cause, ApplicationError) else None


def _name(activity_fn: Callable[..., Any]) -> str:
    return getattr(activity_fn, "__name__", str(activity_fn))
