"""Registers the engine with shared pages and roles."""

from django.db.models.signals import post_migrate
from django.urls import reverse

from apps.accounts import roles
from apps.audit import subject_types
from apps.common.language import lazy as _
from apps.engine import default_schedules, subjects, timeline
from apps.engine.found import COMMANDS, RUNS, SCHEDULES
from apps.engine.services.operating import RUN
from apps.engine.subjects import EngineSubject
from apps.web import navigation, refusals, search, tones
from apps.web.navigation import Item

VIEW = "engine.view_enginecommand"

PLACES = (
    Item("system", _("Workers"), "workers", permission=VIEW, icon="workers", order=2),
    Item(
        "system",
        _("Runs"),
        "workflow_runs",
        permission="engine.view_workflowrun",
        parent="workers",
        order=3,
    ),
    Item("system", _("Commands"), "engine_commands", permission=VIEW, parent="workers", order=4),
    Item(
        "system",
        _("Schedules"),
        "schedules",
        permission="engine.view_workflowschedule",
        icon="schedules",
        order=6,
    ),
)

#: Of commands that an operator sends to a run: nobody has to hear that one came too late.
RUN_SUBJECT = EngineSubject(
    type=RUN,
    title=_("Workflow run"),
    restart=lambda identifier: None,
    on_undeliverable=lambda command: None,
    on_closed=lambda identifier, run: None,
    url=lambda identifier: reverse("workflow_run", args=[identifier]),
    stranded=lambda: (),
)

ACTIONS = {
    "engine.run_cancel": _("Asked the workflow to cancel"),
    "engine.run_terminate": _("Terminated the workflow"),
    "engine.run_restart": _("Started the workflow again"),
    "engine.command_retry": _("Sent it again"),
    "engine.command_discard": _("Discarded it"),
    "engine.schedule_put": _("Changed the schedule"),
    "engine.schedule_pause": _("Paused the schedule"),
    "engine.schedule_resume": _("Resumed the schedule"),
    "engine.schedule_run_now": _("Asked for a run now"),
}

TRIED = {
    "engine.input_refused": _("An input from outside that does not fit"),
    "engine.run_cancel": _("Tried to cancel the workflow"),
    "engine.run_terminate": _("Tried to terminate the workflow"),
    "engine.run_restart": _("Tried to start the workflow again"),
    "engine.command_retry": _("Tried to send it again"),
    "engine.command_discard": _("Tried to discard it"),
    "engine.schedule_pause": _("Tried to pause the schedule"),
    "engine.schedule_resume": _("Tried to resume the schedule"),
    "engine.schedule_run_now": _("Tried to run it now"),
}

NEXT_STEPS = {
    "run_ended": _("Nothing more has to be done; this page shows how it ended."),
    "still_running": _("Cancel or terminate it first."),
    "already_asked": _("This page shows what came of it."),
    "already_paused": _("Resume it when its runs are wanted again."),
    "restart_not_needed": _("Look at the row: it has ended, or its workflow is about to begin."),
    "no_row": _("Start it from where it was started the first time."),
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

WORDS = {
    "terminated": _("terminated"),
    "timed_out": _("timed out"),
    "parked": _("parked"),
    "undeliverable": _("undeliverable"),
    "refused": _("refused"),
    "leased": _("being sent"),
    "sent": _("sent"),
    "discarded": _("discarded"),
    "continued_as_new": _("continued as new"),
    "lost": _("lost"),
    # What a command asks of the engine; a schedule is a subject of the trail, too.
    "start": _("start"),
    "signal": _("signal"),
    "cancel": _("cancel"),
    "terminate": _("terminate"),
    "schedule": _("schedule"),
    "engine_command": _("command"),
    "workflow": _("workflow"),
    # Processes of ours.
    "worker": _("worker"),
    "relay": _("relay"),
    "site": _("site"),
}


#: Codes that rows keep of what failed, in words.
CODES = {
    "internal_error": _("error in the program"),
    "given_up": _("given up"),
    "being_undone": _("being undone"),
    "not_its_workflow": _("belongs to another workflow"),
    "receipt_differs": _("another receipt than before"),
    "workflow_id_taken": _("workflow id is taken"),
    "step_failed": _("a step failed"),
    "deadline_exceeded": _("not done in time"),
    "worker_stopped": _("worker was stopped"),
    "database_unavailable": _("database does not answer"),
    "input_invalid": _("input not valid"),
    "handler_unknown": _("no such handler"),
    "invalid_command": _("command not valid"),
    "command_key_reused": _("key of a command used again"),
}


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
    tones.register(TONES, {**WORDS, **CODES})
    timeline.register_words(ACTIONS, tried=TRIED)
    refusals.explain(NEXT_STEPS)
    navigation.register(*PLACES)
    subjects.register(RUN_SUBJECT)
    search.register(RUNS, COMMANDS, SCHEDULES)
