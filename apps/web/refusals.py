"""Refusals on pages: what happened, and what the reader can do now.

Each app registers the next steps of its codes in `AppConfig.ready()`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext

from apps.common.errors import DomainError
from apps.common.language import lazy as _
from apps.common.registry import Registry

_next_steps = Registry[str]("next step of the refusal")


def explain(next_steps: Mapping[str, str]) -> None:
    """Register what the reader can do after refusals with these codes.

    Raises ImproperlyConfigured when another text is registered for a code.
    """
    for code, text in next_steps.items():
        _next_steps.add(code, text)


def explained() -> frozenset[str]:
    """Return the codes that have a next step."""
    return frozenset(_next_steps.by_key())


def next_step(code: str) -> str:
    """Return what the reader can do after a refusal with this code; empty without an advice."""
    return str(_next_steps.get(code) or "")


@dataclass(frozen=True)
class Refusal:
    """A refusal as a page shows it: what happened, and what to do next. `extra`: what else the
    service said, for pages that lead on."""

    code: str
    status: int
    what: str
    next_step: str
    at: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


#: If a decision came too late.
_FIRST = {
    "approved": _("{decided_by} was first: it is already approved."),
    "rejected": _("{decided_by} was first: it is already rejected."),
    "expired": _("{decided_by} was first: it is already expired."),
    "cancelled": _("{decided_by} was first: it is already cancelled."),
}


def refusal_of(error: DomainError) -> Refusal:
    """Describe the error. If a decision came too late, name who decided; `at` is the time."""
    what, at = error.detail, None
    if error.code == "already_decided":
        text = _FIRST.get(str(error.extra["status"]), _("{decided_by} was first: it has ended."))
        what = text.format(decided_by=error.extra["decided_by"])
        at = parse_datetime(str(error.extra.get("decided_at", "")))
    return Refusal(
        code=error.code,
        status=error.status,
        what=what,
        next_step=_next_steps.get(error.code) or gettext("Nothing was changed."),
        at=at,
        extra=error.extra,
    )


# Codes of apps.common, and codes that several apps share.
explain(
    {
        "permission_denied": _("Whoever keeps the roles can give you the one you need."),
        "already_settled": _("It has ended; this page shows how."),
        "reason_required": _("Say in a sentence why, for whoever reads the record later."),
        "invisible_characters": _(
            "Nothing was recorded. Type the text where that stands once more."
        ),
        "empty_file": _("Choose a file with something in it."),
        "csv_columns": _("Nothing was stored. Correct the first line, then check again."),
        "csv_invalid": _("Nothing was stored. Correct that line, then check again."),
        "csv_encoding": _("Nothing was stored. Save it as CSV UTF-8, then choose it again."),
        "json_invalid": _("Nothing was stored. Correct the line, then check again."),
        "line_too_long": _("Nothing was stored. Correct the line, then check again."),
        "amount_ambiguous": _(
            "Write it with both separators, or with neither: 1,234.00 or 1234.00."
        ),
        "too_large": _("Choose a smaller one, or split it."),
        "type_not_allowed": _("Save it as PDF, or as one of these, and bring that."),
        "too_many_rows": _("No file was made. Narrow the filters."),
        "invalid_filters": _("No file was made. Correct the filters."),
        "too_many_exports": _("No file was made. Wait some minutes."),
        "exports_busy": _("No file was made. Wait a minute, or take the CSV file."),
        "scan_refused": _("If it must be kept, bring it in another form."),
        "scan_unavailable": _("Nothing was kept. Your file is still with you."),
        "unavailable": _("Nothing was changed. Try again in a moment."),
    }
)
