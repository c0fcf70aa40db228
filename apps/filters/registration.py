"""Registers saved filters with the shared site."""

from apps.accounts import scopes
from apps.audit import subject_types
from apps.common.language import lazy as _
from apps.filters.scopes import Scope
from apps.filters.services import SUBJECT, filters_offered
from apps.web import saved_filters, tones


def register() -> None:
    """Called once, when Django is ready."""
    scopes.register(Scope)
    subject_types.register(SUBJECT)
    tones.register({}, {SUBJECT: _("saved filter")})
    saved_filters.offers_by(filters_offered)
