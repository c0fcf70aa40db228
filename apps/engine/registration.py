"""Registers the engine with shared pages and roles."""

from django.db.models.signals import post_migrate
from django.urls import reverse

from apps.accounts import roles
from apps.audit import subject_types
from apps.engine import default_schedules, subjects, timeline
from apps.engine.found import COMMANDS, RUNS, SCHEDULES
from apps.engine.services.operating import RUN
from apps.engine.subjects import EngineSubject
from apps.web import navigation, refusals, search, tones
from apps.web.navigation import Item

VIEW = "engine.view_enginecommand"

PLACES = (
    Item("system", "Workers", "workers", permission=VIEW, icon="workers", order=2),
    Item(
        "system",
        "Runs",
        "workflow_runs",
        permission="engine.view_workflowrun",
        parent="workers",
        order=3,
    ),
    Item("system", "Commands", "engine_commands", permission=VIEW, parent="workers", order=4),
    Item(
        "system",
        "Schedules",
        "schedules",
        permission="engine.view_workflowschedule",
        icon="schedules",
        order=6,
    ),
)

#: Of commands that an operator sends to a run: nobody has to hear that one came too late.
RUN_SUBJECT = EngineSubject(
    type=RUN,
    title="Workflow run",
    restart=lambda identifier: None,
    on_undeliverable=lambda command: None,
    on_closed=lambda identifier, run: None,
    url=lambda identifier: reverse("workflow_run", args=[identifier]),
    stranded=lambda: (),
)

ACTIONS = {
    "engine.run_cancel": "Asked the workflow to cancel",
    "engine.run_terminate": "Terminated the workflow",
    "engine.run_restart": "Started the workflow again",
    "engine.command_retry": "Sent it again",
    "engine.command_discard": "Discarded it",
    "engine.schedule_put": "Changed the schedule",
    "engine.schedule_pause": "Paused the schedule",
    "engine.schedule_resume": "Resumed the schedule",
    "engine.schedule_run_now": "Asked for a run now",
}

TRIED = {
    "engine.input_refused": "An input from outside that does not fit",
    "engine.run_cancel": "Tried to cancel the workflow",
    "engine.run_terminate": "Tried to terminate the workflow",
    "engine.run_restart": "Tried to start the workflow again",
    "engine.command_retry": "Tried to send it again",
    "engine.command_discard": "Tried to discard it",
    "engine.schedule_pause": "Tried to pause the schedule",
    "engine.schedule_resume": "Tried to resume the schedule",
    "engine.schedule_run_now": "Tried to run it now",
}

NEXT_STEPS = {
    "run_ended": "Nothing more has to be done; this page shows how it ended.",
    "still_running": "Cancel or terminate it first.",
    "already_asked": "This page shows what came of it.",
    "already_paused": "Resume it when its runs are wanted again.",
    "restart_not_needed": "Look at the row: it has ended, or its workflow is about to begin.",
    "no_row": "Start it from where it was started the first time.",
}

TONES = {
    "active": "good",
    "paused": "warn",
    "terminated": "bad",
    "timed_out": "bad",
    "parked": "bad",
    "undeliverable": "bad",
    "refused": "bad",
}

WORDS = {"timed_out": "timed out"}


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    post_migrate.connect(default_schedules.ensure, dispatch_uid="engine.default_schedules")
    subject_types.register("engine_command", "schedule")
    roles.grant(
        "operator",
        "engine.view_*",
        "engine.change_enginecommand",
        "engine.change_workflowrun",
        "engine.change_workflowschedule",
    )
    tones.register(TONES, WORDS)
    timeline.register_words(ACTIONS, tried=TRIED)
    refusals.explain(NEXT_STEPS)
    navigation.register(*PLACES)
    subjects.register(RUN_SUBJECT)
    search.register(RUNS, COMMANDS, SCHEDULES)
