"""Reads schedules from Temporal for pages: next and last runs, within the deadline of `reads`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.schedule.v1 import ScheduleActionResult
from temporalio.api.workflowservice.v1 import DescribeScheduleRequest
from temporalio.client import Client
from temporalio.service import RPCError

from apps.engine.error_policy import workflow_is_unknown
from apps.engine.reads import DEADLINE_SECONDS, Answer, ask

#: How many next and last runs of a schedule are read.
SHOWN = 5
_CALL = timedelta(seconds=DEADLINE_SECONDS)


@dataclass(frozen=True)
class ScheduledRun:
    """A run that the schedule began. `status`: in our words, empty where Temporal does not say."""

    workflow_id: str
    run_id: str
    due_at: datetime
    began_at: datetime
    status: str = ""


@dataclass(frozen=True)
class ScheduleState:
    """What Temporal knows of a schedule; `found` is false when it has none of that name.

    `skipped`: runs left out because the one before was still running; `missed`: because of an
    outage.
    """

    name: str
    found: bool = False
    paused: bool = False
    next_at: tuple[datetime, ...] = ()
    last: tuple[ScheduledRun, ...] = ()
    runs: int = 0
    skipped: int = 0
    missed: int = 0


@dataclass(frozen=True)
class ScheduleStates(Answer):
    """Several schedules, by name."""

    schedules: tuple[ScheduleState, ...] = field(default=())

    def of(self, name: str) -> ScheduleState | None:
        """Return the schedule's state, or None if it was not asked for."""
        return next((one for one in self.schedules if one.name == name), None)


def schedule_states(names: Sequence[str]) -> ScheduleStates:
    """Return the state of each schedule, within one deadline."""

    async def every(client: Client) -> ScheduleStates:
        found = await asyncio.gather(*(_describe(client, name) for name in names))
        return ScheduleStates(schedules=tuple(found))

    return ask(every, lambda error: ScheduleStates(available=False, error=error))


# --- helpers -------------------------------------------------------------------------------------
async def _describe(client: Client, name: str) -> ScheduleState:
    request = DescribeScheduleRequest(namespace=client.namespace, schedule_id=name)
    try:
        found = await client.workflow_service.describe_schedule(request, timeout=_CALL)
    except RPCError as error:
        if workflow_is_unknown(error):
            return ScheduleState(name)
        raise
    info = found.info
    under_way = {run.workflow_id for run in info.running_workflows}
    last = [_run(one, under_way) for one in reversed(info.recent_actions)]
    return ScheduleState(
        name,
        found=True,
        paused=found.schedule.state.paused,
        next_at=tuple(one.ToDatetime(tzinfo=UTC) for one in info.future_action_times[:SHOWN]),
        last=tuple(last[:SHOWN]),
        runs=info.action_count,
        skipped=info.overlap_skipped,
        missed=info.missed_catchup_window,
    )


def _run(one: ScheduleActionResult, under_way: set[str]) -> ScheduledRun:
    begun = one.start_workflow_result
    return ScheduledRun(
        workflow_id=begun.workflow_id,
        run_id=begun.run_id,
        due_at=one.schedule_time.ToDatetime(tzinfo=UTC),
        began_at=one.actual_time.ToDatetime(tzinfo=UTC),
        status="running" if begun.workflow_id in under_way else _status(one),
    )


def _status(one: ScheduleActionResult) -> str:
    name = WorkflowExecutionStatus.Name(one.start_workflow_status)
    status = name.removeprefix("WORKFLOW_EXECUTION_STATUS_").lower()
    return {"unspecified": "", "canceled": "cancelled"}.get(status, status)
