"""The clock panel of a request's page: past and planned reminders, escalation, due time, expiry."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext

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
    tier = event.get("tier", 1)
    if event["event"] == REMINDER:
        text = (
            gettext("Reminder {number}, tier {tier}") if tier > 1 else gettext("Reminder {number}")
        )
        return text.format(number=event["number"], tier=tier)
    if event["event"] == ESCALATION:
        text = gettext("Escalation, tier {tier}") if tier > 1 else gettext("Escalation")
        return text.format(tier=tier)
    return gettext("Due") if event["event"] == DUE else gettext("Expiry")


def _escalates_to(escalation: dict[str, Any]) -> str:
    group = escalation.get("group") or ""
    if not escalation.get("senior"):
        return gettext("to {target}").format(target=group)
    if not group:
        return gettext("to the senior of who holds it")
    return gettext("to the senior of who holds it, else {group}").format(group=group)


def _note(approval: ApprovalRequest, event: dict[str, Any], *, done: bool) -> str:
    name = event["event"]
    if name == REMINDER:
        if event.get("left_out"):
            return gettext("left out: a later one was due as well")
        return gettext("sent") if done else ""
    if name == ESCALATION:
        if not done:
            words = _escalates_to(approval.band.get("escalation") or {})
            return (
                gettext("{words}; nobody was found yet").format(words=words)
                if event.get("tried_at")
                else words
            )
        target = approval.escalated_to or approval.escalated_group
        # A completed tier ends its escalation: the next tier has its own signers.
        same_tier = event.get("tier", 1) == approval.tier_number
        return (
            gettext("to {target}").format(target=target)
            if target and same_tier
            else gettext("done")
        )
    if name == DUE:
        return gettext("passed") if done else ""
    return gettext("nobody signed in time") if done else gettext("nobody may sign from then")
