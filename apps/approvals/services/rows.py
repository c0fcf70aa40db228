"""The row of a request: locked, settled, recorded, told about. Joins the caller's transaction."""

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
from apps.engine import services as engine
from apps.live.broadcast import broadcast

#: Characters of a request that can be searched.
SEARCH_LIMIT = 8000
#: Which columns of a row name somebody.
_PEOPLE: dict[type, tuple[str, ...]] = {
    ApprovalRequest: ("requested_by", "settled_by", "claimed_by", "escalated_to"),
    Signature: ("actor", "authority"),
}


def tried(
    action: str, request_id: UUID | str, *, by: User, via: str
) -> AbstractContextManager[None]:
    """Outermost in every verb of a person on a request: what it refuses is audited."""
    return refusals(
        action=action,
        subject_type=SUBJECT_TYPE,
        subject_id=validation.printable(request_id),
        by=by,
        via=via,
    )


def request_lock_for(by: User, request_id: UUID | str) -> tuple[ApprovalRequest, ApprovalKind]:
    """The subject's row, then the request's: the order that the domains' own verbs have."""
    visible = ApprovalRequest.objects.visible_to(by).filter(pk=validation.uuid_of(request_id))
    # Before the lock nothing else is worth reading: neither of the two ever changes.
    seen = visible.values_list("kind", "subject_id").first()
    if seen is None:
        raise NotFound("There is no such request.")
    name, subject_id = seen
    kind = kinds.get(name)
    if kind.lock is not None:
        kind.lock(subject_id)
    return request_lock(request_id), kind


def request_lock(request_id: UUID | str) -> ApprovalRequest:
    """The locked request with everything a decision looks at, all of it read after the lock.

    The row as it is once the lock is granted, and what it points to in statements of their own: one
    with joins would, after a wait, show the new row beside the old one's people, and the loser
    would be told that nobody won. The rule, which a decision does not ask, is read on demand.
    """
    pk = validation.uuid_of(request_id)
    # Not against keys: a comment or a bulk item that points here waits for nobody, nobody for it.
    rows = ApprovalRequest.objects.select_for_update(no_key=True)
    request = rows.filter(pk=pk).first()
    if request is None:
        raise NotFound("There is no such request.")
    # As `for_signing`, but the people in one statement without a join: this runs in each decision.
    prefetch_related_objects(
        [request], Prefetch("payloads", PayloadVersion.objects.defer("payload")), "signatures"
    )
    _people_put([request, *request.signatures.all()])
    return request


def _people_put(rows: Sequence[ApprovalRequest | Signature]) -> None:
    """Read everybody whom the rows name, and put them where they are looked for."""
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
    """The locked request, for verbs that leave the subject's row alone; NotFound if invisible."""
    if (
        not ApprovalRequest.objects.visible_to(by)
        .filter(pk=validation.uuid_of(request_id))
        .exists()
    ):
        raise NotFound("There is no such request.")
    return request_lock(request_id)


def person_named(person: User | str | None, *, code: str) -> User | None:
    """The person, or who has that username; Invalid with `code` when nobody has it."""
    if person is None or isinstance(person, User):
        return person
    name = validation.text_of(person, code=code)
    found = User.objects.filter(username=name[:150]).first()
    if found is None:
        raise Invalid("There is nobody of that username.", code=code)
    return found


def search_text_of(title: str, payload: dict[str, Any]) -> str:
    """What a request is found by: its title and the payload's values."""
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
    """Wake who waits for the answer, once per `event` ("settled", "edited:2"): it re-reads."""
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
    """Wake the workflow that keeps the request's clock, where one was started; once per `event`."""
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
    """Whose events belong to the request: who waits for the answer, or who keeps its clock where
    no domain does; and who does what was approved."""
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
    """Into the trail, and to whom it concerns (`notices.tell`)."""
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
