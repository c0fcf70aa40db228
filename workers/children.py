"""Workflow helper: a saga as a child that outlives its parent, and one that somebody else runs."""

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

#: Code of a saga's refusal: its row is carried by a run with another id.
ALREADY_EXECUTING = "already_executing"


class AlreadyRunning(Exception):
    """Another run has the row, or had it: follow it."""


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
    """Run the workflow `name` for the row `subject` (type and id) to its end; its result.

    It outlives this run and is not cancelled with it. `restarted`: a person asked for a second run,
    so one that failed may be run again. `backstop` is the server's, for what nobody will ever end:
    it closes a saga without compensating. Raises AlreadyRunning; ChildWorkflowError when it failed.
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
            # It was started by hand under another id, and that one goes on.
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
    """Look at a row that another run carries until it has `ended`, or for `within`; the last look.

    Between two looks: a second at first, then twice as long each time up to `longest`, or until
    `woken()`; `look` is to clear that. `renew` continues as new, before the history grows too long.
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
