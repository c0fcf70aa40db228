"""Carries out the events of a request's clock: remind, escalate, mark overdue, expire.

A workflow wakes up at each event and calls `request_tick`. The request's row decides which events
are due and which are done.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext

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
from apps.common.dates import moment_words
from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.engine.selectors import signals_sent
from apps.notifications.services import notify

#: The most unknown signals audited in one call.
MOST_STRANGERS = 20
#: Columns that an event of the clock may change.
_WRITTEN = (
    "clock",
    "version",
    "claimed_by",
    "claimed_until",
    "holds",
    "escalated_group",
    "escalated_to",
    "escalated_at",
)


def request_tick(*, request_id: UUID | str, as_of: datetime) -> Tick:
    """Carry out every due event and return the request's state. Opens the outermost transaction.

    Repeating, or two calls at once, does nothing more: an event is marked done on the locked row,
    in one transaction with its audit entry and messages. After expiry nobody is reminded. For kinds
    that are not `clocked` the request expires here (then `on_settled` is called with `by=None`, and
    the waiting workflow is signalled); otherwise the domain ends both. Raises NotFound.
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
            raise NotFound(_("There is no such request."))
        kind = kinds.find(seen.kind)
        ends = _is_over(seen, as_of=as_of) and not (kind and kind.clocked)
        if ends and kind and kind.lock:
            # Lock the subject's row first: the order of a decision.
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


def request_escalate(*, request_id: UUID | str, group: str = "", as_of: datetime) -> None:
    """Escalate an open request now, as its rule says; where it says nothing, to the senior of who
    holds it, or else to `group`. Joins the transaction that has locked the subject's row, and whose
    audit entry says by whom. No-op for a settled request. Nobody to escalate to is audited, and the
    request stays as it is."""
    request = request_lock(request_id)
    if request.status != RequestStatus.OPEN:
        return
    if not request.band.get("escalation"):
        # Of this row only: the band stays as the rule had it.
        request.band = {**request.band, "escalation": {"senior": True, "group": group}}
    request.version += 1
    _escalate(request, {"event": ESCALATION, "number": 1}, as_of)
    request.save(update_fields=_WRITTEN)
    announce(request)


def signals_judge(*, request_id: UUID | str, commands: Iterable[str]) -> int:
    """Audit signals about an open request that the outbox did not send; return how many are new.

    A signal only wakes the workflow, so a forged one decides nothing. A signal whose command is not
    in the outbox is audited as a refused `approval.signal` (`not_decided`), once per command, if it
    went to a workflow of this request while it is open. Opens the outermost transaction.
    """
    pk = validation.uuid_of(request_id)
    command_ids = list(dict.fromkeys(validation.printable(command) for command in commands))
    if not command_ids:
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
        strangers = [command for command in command_ids if command not in known][:MOST_STRANGERS]
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
            # After an outage, one reminder replaces several.
            event["left_out"] = True
        elif not _EVENTS[event["event"]](request, event, as_of):
            event["tried_at"] = as_of.isoformat()
            continue
        event["done_at"] = as_of.isoformat()
    request.save(update_fields=_WRITTEN)
    announce(request)


def _remind(request: ApprovalRequest, event: dict[str, Any], as_of: datetime) -> bool:
    people = _addressed(request, as_of=as_of)
    number = event["number"]
    record(request, "reminded", by=ENGINE, body={"number": number, "people": len(people)})
    notify(
        key=_key(request, f"reminder:{number}"),
        recipients=people,
        kind="approval.reminder",
        title=gettext("Reminder: {title}").format(title=request.title),
        text=_still_needed(request),
        url=_url(request),
    )
    return True


def _escalate(request: ApprovalRequest, event: dict[str, Any], as_of: datetime) -> bool:
    """Escalate to the senior of the current or last holder, if the rule says so and the senior may
    sign; else to the group; else to the senior of those who could have signed. The holder loses the
    claim for good, because it would keep the others out. Return whether there was a recipient."""
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
            "reason": gettext("Not signed in time: {target} may sign it as well.").format(
                target=target
            ),
            "held_by": last.audit_id if last else "",
            "people": len(people),
        },
    )
    notify(
        key=_key(request, "escalated"),
        recipients=people,
        kind="approval.escalated",
        title=gettext("Escalated to you: {title}").format(title=request.title),
        text=_still_needed(request),
        url=_url(request),
    )
    if last and last not in people:
        notify(
            key=_key(request, "escalated:holder"),
            recipients=[last],
            kind="approval.escalated",
            title=gettext("Escalated to {target}: {title}").format(
                target=target, title=request.title
            ),
            text=gettext("You held it and did not sign in time. It is no longer yours alone."),
            url=_url(request),
        )
    return True


def _target(
    request: ApprovalRequest, last: User | None, *, as_of: datetime
) -> tuple[User | None, str, list[User]]:
    """Return the senior or the group to escalate to, and who can sign as or for them."""
    escalation = request.band.get("escalation") or {}
    senior = last.senior if last and escalation.get("senior") else None
    if senior and (people := _let_in(request, as_of=as_of, senior=senior)):
        return senior, "", people
    group = escalation.get("group") or ""
    if group and Group.objects.filter(name=group).exists():
        return None, group, _let_in(request, as_of=as_of, group=group)
    senior = common_senior(request, as_of=as_of) if escalation.get("senior") else None
    if senior and (people := _let_in(request, as_of=as_of, senior=senior)):
        return senior, "", people
    return None, "", []


def _let_in(
    request: ApprovalRequest, *, as_of: datetime, senior: User | None = None, group: str = ""
) -> list[User]:
    """Return who could sign after this escalation."""
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
        title=gettext("Overdue: {title}").format(title=request.title),
        text=_still_needed(request),
        url=_url(request),
    )
    return True


_EVENTS = {REMINDER: _remind, ESCALATION: _escalate, DUE: _overdue}


# --- helpers -------------------------------------------------------------------------------------
def _addressed(request: ApprovalRequest, *, as_of: datetime) -> list[User]:
    """Return the holder, else everybody who could sign."""
    held_by = holder(request, as_of=as_of)
    return [held_by] if held_by else list(signers(request, as_of=as_of))


def _is_over(request: ApprovalRequest, *, as_of: datetime) -> bool:
    return request.expires_at is not None and as_of >= request.expires_at


def _key(request: ApprovalRequest, event: str) -> str:
    """Return the idempotency key of a notification. An edit or a new tier sets the clock again, so
    its messages have new keys."""
    tier = f":t{request.tier_number}" if request.tier_number > 1 else ""
    return f"approval:{request.pk}:v{request.payload_number}{tier}:{event}"


def _url(request: ApprovalRequest) -> str:
    return reverse("request", args=[request.pk])


def _still_needed(request: ApprovalRequest) -> str:
    parts = [gettext("Still needed: {signatures}.").format(signatures=who_signs_next(request))]
    if request.due_at:
        parts.append(gettext("Due {at}.").format(at=moment_words(request.due_at)))
    if request.expires_at:
        parts.append(gettext("It expires {at}.").format(at=moment_words(request.expires_at)))
    return " ".join(parts)
