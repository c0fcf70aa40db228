"""Workflow helper: run a saga as a child that outlives its parent, or follow one that another run
carries."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

from apps.engine.contracts import Timings
from workers.attributes import subject_attributes

F = TypeVar("F")

#: Code of a saga's refusal: another run carries its row.
ALREADY_EXECUTING = "already_executing"


class AlreadyRunning(Exception):
    """Another run carries the row, or did: follow it."""


async def run_child(
    name: str,
    ref: Any,
    *,
    id: str,
    subject: tuple[str, str],
    timings: Timings,
    backstop: timedelta,
    restarted: bool = False,
) -> Any:
    """Run the workflow `name` for the row `subject` (type and id) to its end; return its result.

    The child outlives this run and is not cancelled with it. `restarted`: a person asked for a
    second run, so a failed one may be run again. `backstop` is the server-side timeout for a child
    that nothing else would end: it closes a saga without compensation. Raises AlreadyRunning;
    ChildWorkflowError when the child failed.
    """
    reuse = WorkflowIDReusePolicy
    try:
        child = await workflow.start_child_workflow(
            name,
            ref,
            id=id,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
            id_reuse_policy=reuse.ALLOW_DUPLICATE_FAILED_ONLY
            if restarted
            else reuse.REJECT_DUPLICATE,
            execution_timeout=backstop,
            task_timeout=timedelta(seconds=timings.task),
            search_attributes=subject_attributes(*subject),
        )
    except WorkflowAlreadyStartedError as failure:
        raise AlreadyRunning(id) from failure
    try:
        return await child
    except ChildWorkflowError as failure:
        cause = failure.cause
        elsewhere = isinstance(cause, ApplicationError) and cause.type == ALREADY_EXECUTING
        if elsewhere and not is_cancelled_exception(failure):
            # The saga was started by hand under another id, and that run continues.
            raise AlreadyRunning(id) from failure
        raise


async def follow(
    look: Callable[[], Awaitable[F]],
    ended: Callable[[F], bool],
    *,
    within: timedelta,
    longest: timedelta,
    woken: Callable[[], bool] = lambda: False,
    renew: Callable[[], None] | None = None,
) -> F:
    """Poll a row that another run carries until it has `ended`, or for `within`; return its last
    state.

    The pause is a second at first, doubles up to `longest`, and ends early when `woken()`, which
    `look` must clear. `renew` continues as new before the history grows too long.
    """
    until, pause = workflow.now() + within, timedelta(seconds=1)
    facts = await look()
    while not ended(facts) and workflow.now() < until:
        if renew is not None and workflow.info().is_continue_as_new_suggested():
            renew()
        try:
            await workflow.wait_condition(woken, timeout=pause)
        except TimeoutError:
            pause = min(2 * pause, longest)
        facts = await look()
    return facts
