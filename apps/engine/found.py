"""What operators find of the engine: workflows, commands, schedules."""

from django.urls import reverse
from django.utils.translation import gettext

from apps.common.language import lazy as _
from apps.engine.contracts import RunStatus
from apps.engine.models import EngineCommand, WorkflowRun, WorkflowSchedule
from apps.web.links import VIEW_RUNS
from apps.web.search import BY_NUMBER, Found, Source, among, by_start, by_value, everything


def _run(run: WorkflowRun) -> Found:
    return Found(
        title=run.workflow_id,
        href=reverse("workflow_run", args=[run.pk]),
        key=run.run_id,
        state=run.status,
        notes=(
            run.workflow_type,
            gettext("queue {task_queue}").format(task_queue=run.task_queue)
            if run.task_queue
            else "",
        ),
        at=run.closed_at or run.started_at,
    )


def _command(command: EngineCommand) -> Found:
    return Found(
        title=f"{command.title}: {command.workflow_id}",
        href=reverse("engine_command", args=[command.pk]),
        key=str(command.pk),
        state=command.state,
        notes=(command.key, command.error[:100]),
        at=command.created_at,
        workflow_id=command.workflow_id,
    )


def _schedule(schedule: WorkflowSchedule) -> Found:
    return Found(
        title=schedule.name,
        href=reverse("schedule", args=[schedule.name]),
        state="paused" if schedule.paused else "",
        notes=(schedule.workflow_type, schedule.cron, schedule.note),
        at=schedule.updated_at,
    )


RUNS = Source(
    key="runs",
    title=_("Workflows"),
    hint=_("the workflow’s id or its beginning"),
    permission=VIEW_RUNS,
    order=70,
    find=among(
        # Continued runs are parts of the same workflow.
        lambda: WorkflowRun.objects.exclude(status=RunStatus.CONTINUED_AS_NEW),
        by_start("workflow_id"),
        found=_run,
        seen=everything,
    ),
)

COMMANDS = Source(
    key="commands",
    title=_("Commands to the engine"),
    hint=_("the command’s number or key, or the beginning of the workflow’s id"),
    permission="engine.view_enginecommand",
    order=80,
    find=among(
        lambda: EngineCommand.objects.all(),
        BY_NUMBER,
        by_value("key", like=r"\S+:\S+"),
        by_start("workflow_id"),
        found=_command,
        seen=everything,
    ),
)

SCHEDULES = Source(
    key="schedules",
    title=_("Schedules"),
    hint=_("the name or its beginning"),
    permission="engine.view_workflowschedule",
    order=85,
    find=among(
        lambda: WorkflowSchedule.objects.all(), by_start("name"), found=_schedule, seen=everything
    ),
)
