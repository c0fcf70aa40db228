"""What a request's clock does at its moments: remind, escalate, say that it is overdue, expire.

A workflow wakes up at each of them and asks for a tick. What is due, and what is done, is the word
of the request's row.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import transaction
from django.urls import reverse

from apps.accounts.models import User
from apps.approvals import kinds, validation
from apps.approvals.contracts import SUBJECT_TYPE, RequestStatus, Tick
from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors import common_senior, holder, signers, who_signs_next
from apps.approvals.services.claim_leases import hold_end
from apps.approvals.services.clock import (
    DUE,
    ESCALATION,
    REMINDER,
    clock_next,
    event_moment,
)
from apps.approvals.services.requests import request_expire
from apps.approvals.services.rows import announce, record, request_lock, workflow_tell
from apps.audit.contracts import ENGINE, Outcome
from apps.audit.selectors import entries_about
from apps.audit.services import entry_record, refusals
from apps.common.errors import NotFound
from apps.engine.selectors import signals_sent
from apps.notifications.services import notify

#: Signals that nobody sent from here and that are written down at one look.
MOST_STRANGERS = 20


def request_tick(*, request_id: UUID | str, as_of: datetime) -> Tick:
    """Do every event that is due at `as_of` and not done; how it stands then. Outermost verb.

    Again, or two at once, does nothing more: done is noted on the locked row, with its audit entry
    and messages in the same transaction. Once the time to sign is over nobody is reminded. The
    request itself expires here for kinds that are not `clocked` (then `on_settled` is called with
    `by=None`, and the waiting workflow is told); otherwise the domain ends both. Raises NotFound.
    """
    with (
        refusals(
            action="approval.tick",
            subject_type=SUBJECT_TYPE,
            subject_id=validation.printable(request_id),
            by=ENGINE,
            via="engine",
        ),
        transaction.atomic(durable=True),
    ):
        seen = ApprovalRequest.objects.filter(pk=validation.uuid_of(request_id)).first()
        if seen is None:
            raise NotFound("There is no such request.")
        kind = kinds.find(seen.kind)
        ends = _is_over(seen, as_of=as_of) and not (kind and kind.clocked)
        if ends and kind and kind.lock:
            # The subject's row first: the order of a decision.
            kind.lock(seen.subject_id)
        request = request_lock(request_id)
        if not _is_over(request, as_of=as_of):
            _do_due(request, as_of=as_of)
        elif ends and request.status == RequestStatus.OPEN:
            request = request_expire(request_id=request.pk, as_of=as_of)
            if kind:
                kind.on_settled(request=request, by=None, via="engine", as_of=as_of)
                workflow_tell(request, kind, event="settled")
        expires_at = request.expires_at if request.status == RequestStatus.OPEN else None
        return Tick(request.status, next_at=clock_next(request), expires_at=expires_at)


def signals_judge(*, request_id: UUID | str, commands: Iterable[str]) -> int:
    """Write down signals about an open request that nobody here has sent; how many are new.

    A signal only wakes: whoever forges one decides nothing. One whose command our outbox does not
    know, for a workflow of this request, and that finds it open is audited as a refused
    `approval.signal` (`not_decided`), once per command. Outermost verb.
    """
    pk = validation.uuid_of(request_id)
    wanted = list(dict.fromkeys(validation.printable(command) for command in commands))
    if not wanted:
        return 0
    with transaction.atomic(durable=True):
        rows = ApprovalRequest.objects.open().select_for_update(no_key=True)
        request = rows.filter(pk=pk).first()
        if request is None:
            return 0
        ours = signals_sent(SUBJECT_TYPE, request.pk, workflow_id=request.workflow_id)
        noted = entries_about((SUBJECT_TYPE, request.pk)).filter(action="approval.signal")
        known = {validation.printable(key) for key in ours}
        known |= set(noted.values_list("body__command", flat=True))
        strangers = [command for command in wanted if command not in known][:MOST_STRANGERS]
        for command in strangers:
            entry_record(
                action="approval.signal",
                subject_type=SUBJECT_TYPE,
                subject_id=str(request.pk),
                by=ENGINE,
                via="engine",
                outcome=Outcome.REFUSED,
                code="not_decided",
                body={
                    "command": command,
                    "detail": "A signal said that it was decided. Nobody has decided.",
                },
            )
        return len(strangers)


# --- events --------------------------------------------------------------------------------------
def _do_due(request: ApprovalRequest, *, as_of: datetime) -> None:
    due = [
        event for event in request.clock if not event["done_at"] and event_moment(event) <= as_of
    ]
    if not due or request.status != RequestStatus.OPEN:
        return
    request.version += 1
    reminders = [event for event in due if event["event"] == REMINDER]
    for event in due:
        if event in reminders[:-1]:
            # After an outage: one says what several would.
            event["left_out"] = True
        elif not _EVENTS[event["event"]](request, event, as_of):
            event["tried_at"] = as_of.isoformat()
            continue
        event["done_at"] = as_of.isoformat()
    request.save(
        update_fields=[
            "clock",
            "version",
            "claimed_by",
            "claimed_until",
            "holds",
            "escalated_group",
            "escalated_to",
            "escalated_at",
        ]
    )
    announce(request)


def _remind(request: ApprovalRequest, event: dict[str, Any], as_of: datetime) -> bool:
    people = _addressed(request, as_of=as_of)
    number = event["number"]
    record(request, "reminded", by=ENGINE, body={"number": number, "people": len(people)})
    notify(
        key=_key(request, f"reminder:{number}"),
        recipients=people,
        kind="approval.reminder",
        title=f"Reminder: {request.title}",
        text=_still_needed(request),
        url=_url(request),
    )
    return True


def _escalate(request: ApprovalRequest, event: dict[str, Any], as_of: datetime) -> bool:
    """To the senior of who holds it or held it last, where the rule says so and there is one who
    may sign; else to the group; else to the senior of those who could have. The holder had the
    time: the claim ends for good, for it would keep the others out. Whether there was anybody."""
    last = request.claimed_by
    senior, group, people = _target(request, last, as_of=as_of)
    request.escalated_to, request.escalated_group = senior, group
    if not senior and not group:
        if not event.get("tried_at"):
            _nobody(request)
        return False
    target = str(senior) if senior else group
    request.escalated_at = as_of
    hold_end(request, as_of=as_of, lost=True)
    record(
        request,
        "escalated",
        by=ENGINE,
        body={
            "to": senior.audit_id if senior else f"group:{group}",
            "reason": f"Not signed in time: {target} may sign it as well.",
            "held_by": last.audit_id if last else "",
            "people": len(people),
        },
    )
    notify(
        key=_key(request, "escalated"),
        recipients=people,
        kind="approval.escalated",
        title=f"Escalated to you: {request.title}",
        text=_still_needed(request),
        url=_url(request),
    )
    if last and last not in people:
        notify(
            key=_key(request, "escalated:holder"),
            recipients=[last],
            kind="approval.escalated",
            title=f"Escalated to {target}: {request.title}",
            text="You held it and did not sign in time. It is no longer yours alone.",
            url=_url(request),
        )
    return True


def _target(
    request: ApprovalRequest, last: User | None, *, as_of: datetime
) -> tuple[User | None, str, list[User]]:
    """The senior or the group that it is escalated to, and who of them, or for them, can sign."""
    wanted = request.band.get("escalation") or {}
    senior = last.senior if last and wanted.get("senior") else None
    if senior and (people := _let_in(request, as_of=as_of, senior=senior)):
        return senior, "", people
    group = wanted.get("group") or ""
    if group and Group.objects.filter(name=group).exists():
        return None, group, _let_in(request, as_of=as_of, group=group)
    senior = common_senior(request, as_of=as_of) if wanted.get("senior") else None
    if senior and (people := _let_in(request, as_of=as_of, senior=senior)):
        return senior, "", people
    return None, "", []


def _let_in(
    request: ApprovalRequest, *, as_of: datetime, senior: User | None = None, group: str = ""
) -> list[User]:
    """Who could sign once it is escalated there."""
    request.escalated_to, request.escalated_group = senior, group
    return list(signers(request, as_of=as_of, person=senior, group=group))


def _nobody(request: ApprovalRequest) -> None:
    entry_record(
        action="approval.escalated",
        subject_type=SUBJECT_TYPE,
        subject_id=str(request.pk),
        by=ENGINE,
        via="engine",
        outcome=Outcome.REFUSED,
        code="nobody_to_escalate_to",
        body={
            "version": request.version,
            "detail": "It was to be escalated, and there is nobody to escalate it to.",
        },
    )


def _overdue(request: ApprovalRequest, event: dict[str, Any], as_of: datetime) -> bool:
    record(request, "overdue", by=ENGINE, body={"due_at": event["at"]})
    notify(
        key=_key(request, "overdue"),
        recipients=_addressed(request, as_of=as_of),
        kind="approval.overdue",
        title=f"Overdue: {request.title}",
        text=_still_needed(request),
        url=_url(request),
    )
    return True


_EVENTS = {REMINDER: _remind, ESCALATION: _escalate, DUE: _overdue}


# --- helpers -------------------------------------------------------------------------------------
def _addressed(request: ApprovalRequest, *, as_of: datetime) -> list[User]:
    """Who holds it, else everybody who could sign."""
    held_by = holder(request, as_of=as_of)
    return [held_by] if held_by else list(signers(request, as_of=as_of))


def _is_over(request: ApprovalRequest, *, as_of: datetime) -> bool:
    return request.expires_at is not None and as_of >= request.expires_at


def _key(request: ApprovalRequest, event: str) -> str:
    """An edit sets the clock again, and so does each tier: what was said before counts no more."""
    tier = f":t{request.tier_number}" if request.tier_number > 1 else ""
    return f"approval:{request.pk}:v{request.payload_number}{tier}:{event}"


def _url(request: ApprovalRequest) -> str:
    return reverse("request", args=[request.pk])


def _still_needed(request: ApprovalRequest) -> str:
    parts = [f"Still needed: {who_signs_next(request)}."]
    if request.due_at:
        parts.append(f"Due {_told(request.due_at)}.")
    if request.expires_at:
        parts.append(f"It expires {_told(request.expires_at)}.")
    return " ".join(parts)


def _told(at: datetime) -> str:
    return f"{at.astimezone(UTC):%-d %b %Y, %H:%M} UTC"
