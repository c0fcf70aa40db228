"""Carries an event from its intake to the table: finds it, checks it against the rules, keeps it
with its scores, or ends it in the quarantine."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.exact_json import written
from apps.common.failpoints import failpoint
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine.services import timings
from apps.live.broadcast import broadcast
from apps.payments.contracts import (
    STATUSES,
    Outcome,
    Persisted,
    PersistInput,
    Stage,
    Validated,
)
from apps.payments.models import Intake, PaymentEvent, QuarantinedEvent
from apps.payments.reading import TEXTS, Event, read
from apps.payments.rules import failures_of
from apps.payments.services.intake import BY_HAND, events_take
from apps.payments.services.messages import Message
from apps.payments.services.quarantine import Failed, quarantine_put, reopen, replayed
from apps.payments.services.rules import rules_in_force
from apps.streams.records import headers_from_json


class RuleFailed(Conflict):
    """An event fails a rule, and is in the quarantine. The code is the rule's."""


def intake_of(event_id: str) -> Intake:
    """Return the row of the event that has this id. Raises NotFound `event_not_found`."""
    row = Intake.objects.filter(event_id=event_id).first()
    if row is None:
        raise NotFound(_("There is no such event."), code="event_not_found")
    return row


def event_of_intake(intake: Intake) -> Event:
    """Return the event that the row holds. Raises Invalid when the limits have become stricter
    since it was taken in."""
    found = read(
        bytes(intake.raw),
        most_bytes=max(settings.PAYMENT_EVENT_MAX_BYTES, len(intake.raw)),
        is_reserved=lambda _: False,
    )
    if not isinstance(found, Event):
        raise Invalid(found.detail, code=found.code)
    return found


def event_validate(*, event_id: str, document: Mapping[str, Any] | None = None) -> Validated:
    """Check the event against the rules; return which scores it needs. An event that fails is in
    the quarantine when RuleFailed is raised, both in one transaction.

    `document` makes the row of a workflow that was started by hand. Again, nothing is written
    twice: an event that is in the quarantine fails as it did. Raises NotFound `event_not_found`,
    Invalid with the code of an unreadable document, `event_id_differs`, `event_id_reused`.
    """
    if document is not None:
        _take_by_hand(event_id, document)
    with transaction.atomic(durable=True):
        intake = _locked(event_id)
        if intake.done_at is not None:
            if intake.stored:
                return Validated("", stored=True)
            raise _quarantined_as(intake)
        event = event_of_intake(intake)
        failures = failures_of(event.fields, rules_in_force(), now=timezone.now())
        if failures:
            events_end(
                [(intake, [failure.as_json() for failure in failures])], stage=Stage.VALIDATE
            )
        failpoint("event_validate.uncommitted")
    if failures:
        raise RuleFailed(failures[0].message, code=failures[0].code)
    return Validated(STATUSES[event.fields["status"]].value, timings=timings())


def event_persist(input: PersistInput) -> Persisted:
    """Keep the event with its scores; again, by whoever, there is one row. Raises NotFound
    `event_not_found`, Conflict `already_quarantined`."""
    with transaction.atomic(durable=True):
        intake = _locked(input.event_id)
        if intake.done_at is not None:
            if intake.stored:
                return Persisted(new=False)
            raise Conflict(_("The event is in the quarantine."), code="already_quarantined")
        row = event_row(intake, input)
        PaymentEvent.objects.bulk_create([row], ignore_conflicts=True)
        Intake.objects.filter(pk=intake.pk).update(done_at=row.ingested_at, stored=True)
        if intake.attempt > 1:
            replayed(intake.pk, row.ingested_at)
        failpoint("event_persist.uncommitted")
        broadcast("payments", id="", version=0)
    return Persisted(new=True)


def event_quarantine(*, event_id: str, stage: Stage, code: str, detail: str) -> None:
    """End an open event in the quarantine, once. Raises NotFound."""
    with transaction.atomic(durable=True):
        open_event_end(event_id=event_id, stage=stage, code=code, detail=detail)


def open_event_end(*, event_id: str, stage: Stage, code: str, detail: str) -> None:
    """As `event_quarantine`; joins the caller's transaction."""
    intake = _locked(event_id)
    if intake.done_at is None:
        error = {"code": code, "field": "", "message": detail[:500]}
        events_end([(intake, [error])], stage=stage)


def events_end(
    failed: Sequence[tuple[Intake, Sequence[Mapping[str, str]]]], *, stage: Stage
) -> None:
    """End open events in the quarantine, each with its errors. Joins the caller's transaction,
    which holds their locks."""
    if not failed:
        return
    now = timezone.now()
    rows = [_failed(intake, stage, errors) for intake, errors in failed]
    # Only an event that was replayed can have a row to be opened again.
    new = [one for one in rows if one.attempt == 1 or not reopen(one, now)]
    quarantine_put(new)
    pks = [intake.pk for intake, _ in failed]
    Intake.objects.filter(pk__in=pks).update(done_at=now, stored=False, batch=None)


def event_row(intake: Intake, input: PersistInput) -> PaymentEvent:
    """Return the unsaved row of the event with its scores."""
    return PaymentEvent(**event_values(intake, input))


def event_values(intake: Intake, input: PersistInput) -> dict[str, Any]:
    """Return what the event's row has beside the defaults, by the names of the columns."""
    fields = event_of_intake(intake).fields
    known = {name: fields.get(name, "") for name in TEXTS}
    scores: dict[str, Any] = {}
    if input.fraud:
        scores |= vars(input.fraud)
    if input.retry:
        scores |= {
            "retry_strategy": {**vars(input.retry)},
            "retry_delay_seconds": input.retry.delay_seconds,
        }
    if input.churn:
        scores |= vars(input.churn)
    return {
        "event_id": intake.event_id,
        **known,
        "amount_cents": fields["amount_cents"],
        "metadata": fields.get("metadata", {}),
        "provider_created_at": fields["provider_created_at"],
        "processed_at": fields.get("processed_at"),
        "schema_version": fields["schema_version"],
        **scores,
        "intake_id": intake.pk,
        "run_id": input.run_id,
        "ingested_at": timezone.now(),
    }


# --- helpers --------------------------------------------------------------------------------------
def _quarantined_as(intake: Intake) -> RuleFailed:
    """Return what the event went to the quarantine for: to whoever lost that answer."""
    rows = QuarantinedEvent.objects.filter(intake=intake).order_by("-updated_at")
    row = rows.values("code", "errors").first()
    if row is None:
        return RuleFailed(_("The event is in the quarantine."), code="already_quarantined")
    return RuleFailed(str(row["errors"][0].get("message", "")), code=row["code"])


def _locked(event_id: str) -> Intake:
    rows = Intake.objects.select_for_update(no_key=True).filter(event_id=event_id)
    row = rows.first()
    if row is None:
        raise NotFound(_("There is no such event."), code="event_not_found")
    return row


def _take_by_hand(event_id: str, document: Mapping[str, Any]) -> None:
    if document.get("event_id") != event_id:
        raise Invalid(
            filled(_("The workflow's id is not the event's, {id}."), id=document.get("event_id")),
            code="event_id_differs",
        )
    raw = written(document).encode()
    if Intake.objects.filter(event_id=event_id).exists():
        return
    [taken] = events_take([Message(raw, source=BY_HAND, offset=event_id[:40])])
    if taken.outcome is Outcome.QUARANTINED:
        raise Invalid(taken.detail or taken.code, code=taken.code)


def _failed(intake: Intake, stage: Stage, errors: Sequence[Mapping[str, str]]) -> Failed:
    message = Message(
        raw=bytes(intake.raw),
        source=intake.source,
        topic=intake.topic,
        partition=intake.partition,
        offset=intake.offset,
        key=None if intake.key is None else bytes(intake.key),
        headers=headers_from_json(intake.headers),
        sent_at=intake.sent_at,
    )
    return Failed(
        message=message,
        stage=stage,
        errors=errors,
        event_id=intake.event_id,
        intake=intake.pk,
        attempt=intake.attempt,
        came_once=sha256(f"intake:{intake.pk}:{intake.attempt}".encode()).hexdigest(),
    )
