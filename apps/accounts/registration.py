"""Registers the app's navigation and pages with the shared site."""

from apps.accounts import roles
from apps.accounts.found import PEOPLE
from apps.audit import subject_types
from apps.common.language import lazy as _
from apps.web import refusals, search

NEXT_STEPS = {
    "second_person_needed": _("Nothing was changed. Ask another administrator, or wait for a day."),
}


def register() -> None:
    """Called once, when Django is ready."""
    # Of every app's models, those to come as well.
    roles.grant("auditor", "*.view_*")
    subject_types.register("user", "role")
    refusals.explain(NEXT_STEPS)
    search.register(PEOPLE)
