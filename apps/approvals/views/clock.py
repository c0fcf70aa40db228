"""The clock panel of a request's page: past and planned reminders, escalation, due time, expiry."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from apps.approvals.contracts import RequestStatus
from apps.approvals.models import ApprovalRequest
from apps.approvals.services.clock import DUE, ESCALATION, REMINDER, event_moment


@dataclass(frozen=True)
class Moment:
    """One line. `state`: done, late, next, waiting, or missed (the request was settled before)."""

    name: str
    at: datetime
    state: str
    note: str = ""

    @property
    def tone(self) -> str:
        return {"done": "good", "next": "info", "late": "bad"}.get(self.state, "")


def context(approval: ApprovalRequest) -> dict[str, Any]:
    """Return the context of `_request_clock.html`: the events in order, and whether it is
    overdue."""
    is_open = approval.status == RequestStatus.OPEN
    overdue = bool(is_open and approval.due_at and approval.due_at <= timezone.now())
    return {"clock": _moments(approval, is_open=is_open), "overdue": overdue}


def _moments(approval: ApprovalRequest, *, is_open: bool) -> list[Moment]:
    moments: list[Moment] = []
    coming = is_open
    events = [(event_moment(event), event) for event in approval.clock]
    if approval.expires_at:
        events.append((approval.expires_at, {"event": "expiry", "number": 1, "done_at": None}))
    for at, event in sorted(events, key=lambda one: one[0]):
        name, done = event["event"], bool(event["done_at"])
        if name == "expiry":
            done = approval.status == RequestStatus.EXPIRED
        state = "late" if done and name == DUE else "done" if done else "missed"
        if not done and is_open:
            state, coming = ("next" if coming else "waiting"), False
        moments.append(Moment(_name(event), at, state, _note(approval, event, done=done)))
    return moments


def _name(event: dict[str, Any]) -> str:
    tier = f", tier {event['tier']}" if event.get("tier", 1) > 1 else ""
    if event["event"] == REMINDER:
        return f"Reminder {event['number']}{tier}"
    if event["event"] == ESCALATION:
        return f"Escalation{tier}"
    return "Due" if event["event"] == DUE else "Expiry"


def _note(approval: ApprovalRequest, event: dict[str, Any], *, done: bool) -> str:
    name = event["event"]
    if name == REMINDER:
        if event.get("left_out"):
            return "left out: a later one was due as well"
        return "sent" if done else ""
    if name == ESCALATION:
        if not done:
            escalation = approval.band.get("escalation") or {}
            senior = "the senior of who holds it" if escalation.get("senior") else ""
            words = "to " + ", else ".join(filter(None, [senior, escalation.get("group")]))
            return f"{words}; nobody was found yet" if event.get("tried_at") else words
        target = approval.escalated_to or approval.escalated_group
        # A completed tier ends its escalation: the next tier has its own signers.
        same_tier = event.get("tier", 1) == approval.tier_number
        return f"to {target}" if target and same_tier else "done"
    if name == DUE:
        return "passed" if done else ""
    return "nobody signed in time" if done else "nobody may sign from then"
