"""Registers the engine with shared pages and roles."""

from django.db.models.signals import post_migrate

from apps.accounts import roles
from apps.audit import subject_types
from apps.engine import default_schedules, timeline
from apps.engine.found import COMMANDS, RUNS, SCHEDULES
from apps.web import search, tones

TONES = {
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
    search.register(RUNS, COMMANDS, SCHEDULES)
    timeline.register_words(
        {}, tried={"engine.input_refused": "An input from outside that does not fit"}
    )
