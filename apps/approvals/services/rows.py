"""The request's row: lock, settle, audit, notify, signal. Joins the caller's transaction."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, prefetch_related_objects

from apps.accounts.models import User
from apps.approvals import kinds, notifications, validation
from apps.approvals.contracts import (
    SIGNAL_CHANGED,
    SUBJECT_TYPE,
    TASK_QUEUE,
    RequestStatus,
)
from apps.approvals.kinds import ApprovalKind
from apps.approvals.models import ApprovalRequest, PayloadVersion, Signature
from apps.audit.contracts import Actor
from apps.audit.services import entry_record, refusals
from apps.common.errors import Invalid, NotFound
from apps.common.language import lazy as _
from apps.engine import services as engine
from apps.live.broadcast import broadcast

#: How many characters of a request are searchable.
SEARCH_LIMIT = 8000
#: The columns that name users, for each model.
_PEOPLE: dict[type, tuple[str, ...]] = {
    ApprovalRequest: ("requested_by", "settled_by", "claimed_by", "escalated_to"),
    Signature: ("actor", "authority"),
}


def tried(
    action: str, request_id: UUID | str, *, by: User, via: str
) -> AbstractContextManager[None]:
    """Audit refusals. The outermost context manager in every action of a user on a request."""
    return refusals(
        action=action,
        subject_type=SUBJECT_TYPE,
        subject_id=validation.printable(request_id),
        by=by,
        via=via,
    )


def request_lock_for(by: User, request_id: UUID | str) -> tuple[ApprovalRequest, ApprovalKind]:
    """Lock the subject's row, then the request's: the order of the domains' own services."""
    visible = ApprovalRequest.objects.visible_to(by).filter(pk=validation.uuid_of(request_id))
    # Read only these two columns before the lock: they never change.
    seen = visible.values_list("kind", "subject_id").first()
    if seen is None:
        raise NotFound(_("There is no such request."))
    name, subject_id = seen
    kind = kinds.get(name)
    if kind.lock is not None:
        kind.lock(subject_id)
    return request_lock(request_id), kind


def request_lock(request_id: UUID | str) -> ApprovalRequest:
    """Lock the request and return it with everything a decision reads, all read after the lock.

    The row and its relations are read by separate statements. After waiting for a lock, one
    statement with joins would return the new row with the old row's people, and the error message
    would name no decider. The rule is read on demand, because a decision does not need it.
    """
    pk = validation.uuid_of(request_id)
    # no_key: inserts of comments and bulk items that reference the row do not wait for it.
    rows = ApprovalRequest.objects.select_for_update(no_key=True)
    request = rows.filter(pk=pk).first()
    if request is None:
        raise NotFound(_("There is no such request."))
    # As `for_signing`, but with all users in one statement without joins: every decision runs this.
    prefetch_related_objects(
        [request], Prefetch("payloads", PayloadVersion.objects.defer("payload")), "signatures"
    )
    _people_put([request, *request.signatures.all()])
    return request


def _people_put(rows: Sequence[ApprovalRequest | Signature]) -> None:
    """Read all users that the rows name, in one query, and set the related objects."""
    named = [
        (row, field, pk)
        for row in rows
        for field in _PEOPLE[type(row)]
        if (pk := getattr(row, f"{field}_id")) is not None
    ]
    people = User.objects.in_bulk({pk for _, _, pk in named})
    for row, field, pk in named:
        setattr(row, field, people[pk])


def request_lock_seen(by: User, request_id: UUID | str) -> ApprovalRequest:
    """Lock the request, for actions that do not touch the subject's row. NotFound if invisible."""
    if (
        not ApprovalRequest.objects.visible_to(by)
        .filter(pk=validation.uuid_of(request_id))
        .exists()
    ):
        raise NotFound(_("There is no such request."))
    return request_lock(request_id)


def person_named(person: User | str | None, *, code: str) -> User | None:
    """Return the user, or the one with that username. Raises Invalid with `code` if there is
    none."""
    if person is None or isinstance(person, User):
        return person
    name = validation.text_of(person, code=code)
    found = User.objects.filter(username=name[:150]).first()
    if found is None:
        raise Invalid(_("There is nobody of that username."), code=code)
    return found


def search_text_of(title: str, payload: dict[str, Any]) -> str:
    """Return the searchable text: the title and the payload's values."""
    return " ".join([title, *_values(payload)])[:SEARCH_LIMIT]


def request_settle(
    request: ApprovalRequest,
    status: RequestStatus,
    *,
    by: User | None,
    reason: str,
    as_of: datetime,
    reason_code: str = "",
) -> str:
    request.status = status
    request.settled_at = as_of
    request.settled_by = by
    request.settled_reason = reason
    request.settled_reason_code = reason_code
    request.claimed_by = None
    request.claimed_until = None
    request.version += 1
    request.save(
        update_fields=[
            "status",
            "settled_at",
            "settled_by",
            "settled_reason",
            "settled_reason_code",
            "claimed_by",
            "claimed_until",
            "version",
        ]
    )
    if status is not RequestStatus.EXPIRED:
        # At the expiry the clock wakes up by itself.
        clock_tell(request, event="settled")
    return status.value


def workflow_tell(request: ApprovalRequest, kind: ApprovalKind, *, event: str) -> None:
    """Signal the workflow that waits for the answer, once per `event` ("settled", "edited:2"); it
    then reads the row."""
    if not request.workflow_id or not kind.signal:
        return
    engine.workflow_signal(
        key=f"approval:{request.pk}:{event}",
        workflow_id=request.workflow_id,
        task_queue=kind.task_queue,
        name=kind.signal,
        subject_type=request.subject_type,
        subject_id=request.subject_id,
    )


def clock_tell(request: ApprovalRequest, *, event: str) -> None:
    """Signal the workflow that keeps the request's clock, if one was started; once per `event`."""
    kind = kinds.find(request.kind)
    if kind is None or kind.clocked:
        return
    if not request.clock_id:
        return
    engine.workflow_signal(
        key=f"approval:{request.pk}:clock:{event}",
        workflow_id=request.clock_id,
        task_queue=TASK_QUEUE,
        name=SIGNAL_CHANGED,
        subject_type=SUBJECT_TYPE,
        subject_id=str(request.pk),
    )


def workflows_of(request: ApprovalRequest) -> list[str]:
    """Return the workflows whose events belong to the request: the one that waits for the answer,
    or the one that keeps the clock; and those that carry out the approval."""
    found = [request.workflow_id or request.clock_id]
    kind = kinds.find(request.kind)
    if kind and kind.carried_out_by and request.status == RequestStatus.APPROVED:
        found += kind.carried_out_by(request)
    return found


def record(
    request: ApprovalRequest,
    event: str,
    *,
    by: Actor,
    via: str = "engine",
    body: dict[str, Any] | None = None,
) -> None:
    """Write the audit entry, and notify whom it concerns (`notifications.tell`)."""
    entry_record(
        action=f"approval.{event}",
        subject_type=SUBJECT_TYPE,
        subject_id=str(request.pk),
        by=by,
        via=via,
        body={
            "title": request.title,
            "subject_type": request.subject_type,
            "subject_id": request.subject_id,
            "version": request.version,
            **(body or {}),
        },
    )
    notifications.tell(request, event, by=by, body=body)


def announce(request: ApprovalRequest) -> None:
    identifier = str(request.pk)
    for topic in ("inbox", f"request:{identifier}", "home"):
        broadcast(topic, id=identifier, version=request.version)


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _values(item)
    elif isinstance(value, list):
        for item in value:
            yield from _values(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
