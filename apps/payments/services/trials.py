"""Dry runs: an event is carried on for real, in a transaction that is rolled back."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction
from django.forms.models import model_to_dict
from django.utils import timezone

from apps.common.errors import DomainError
from apps.payments.contracts import PersistInput
from apps.payments.models import Intake, PaymentEvent, QuarantinedEvent
from apps.payments.rules import Rule, failures_of
from apps.payments.services.carrying import event_row
from apps.payments.services.payloads import Version, newest_version
from apps.payments.services.replaying import carry_on, readable
from apps.payments.services.rules import rules_in_force

#: So many events of a selection are tried.
MOST_TRIED = 200
#: Columns that a dry run does not know, or that say nothing to a person.
_UNSAID = {"id", "intake", "run_id", "lane", "ingested_at"}


@dataclass(frozen=True)
class Trial:
    """What a replay of the event would do now: it is kept (`code` is empty), or it fails with a
    code. `failures`: of all rules; `known`: that its id is that of another event, and where;
    `row`: the columns that would be written, without scores."""

    event: UUID
    event_id: str | None
    version: int
    code: str = ""
    detail: str = ""
    failures: Sequence[dict[str, str]] = ()
    known: str = ""
    row: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the trial for an answer."""
        return asdict(self)


def event_try(row: QuarantinedEvent, *, text: str | None = None) -> Trial:
    """Try the event's newest signed version, or `text` in its place. Writes nothing: rules,
    constraints and triggers are real, and everything is rolled back."""
    return _try_all([row], text=text)[0]


def events_try(rows: Sequence[QuarantinedEvent]) -> list[Trial]:
    """As `event_try`, for at most MOST_TRIED events, each by itself."""
    return _try_all(rows[:MOST_TRIED])


# --- helpers --------------------------------------------------------------------------------------
def _try_all(rows: Sequence[QuarantinedEvent], *, text: str | None = None) -> list[Trial]:
    rules = rules_in_force()
    trials = []
    for row in rows:
        version = (
            newest_version(row) if text is None else Version(0, text.encode("utf-8", "replace"))
        )
        # A transaction for each: a row that the database refuses ends its own alone.
        with transaction.atomic(durable=True):
            trials.append(_try(row, version, rules))
            transaction.set_rollback(True)
    return trials


def _try(row: QuarantinedEvent, version: Version, rules: Sequence[Rule]) -> Trial:
    about: dict[str, Any] = {
        "event": row.pk,
        "event_id": row.event_id,
        "version": version.number,
    }
    now = timezone.now()
    try:
        event = readable(version)
        about["event_id"] = event.event_id
        failures = [one.as_json() for one in failures_of(event.fields, rules, now=now)]
        about |= {"failures": failures, "known": _known(event.event_id)}
        carry_on(row, version, now=now)
        if failures:
            return Trial(**about, code=failures[0]["code"], detail=failures[0]["message"])
        return Trial(**about, row=_written(event.event_id))
    except DomainError as refusal:
        # Of an event that is unreadable, why it is.
        code = refusal.extra.get("why", refusal.code)
        return Trial(**about, code=code, detail=refusal.extra.get("detail_of") or refusal.detail)


def _known(event_id: str) -> str:
    """Return where another event has this id: `payment_events`, `intake`, or nowhere."""
    if PaymentEvent.objects.filter(event_id=event_id).exists():
        return "payment_events"
    under_way = Intake.objects.filter(event_id=event_id, done_at=None)
    return "intake" if under_way.exists() else ""


def _written(event_id: str) -> dict[str, Any]:
    intake = Intake.objects.get(event_id=event_id)
    made = event_row(intake, PersistInput(event_id))
    made.save(force_insert=True)
    made.refresh_from_db()
    columns = model_to_dict(made)
    return {
        name: value
        for name, value in columns.items()
        if name not in _UNSAID and value not in (None, "", {})
    }
