"""Counts how long each user has claimed a request. Without a limit, claims could keep others out.

`ApprovalRequest.holds`: {"of": the tier and version it counts for, "people": {id: {"from", "until",
"used", "lost"}}}. Another tier or payload version starts at zero. Nothing here saves the row.
"""

from datetime import datetime
from typing import Any

from django.conf import settings

from apps.approvals.models import ApprovalRequest
from apps.common.errors import Conflict
from apps.common.language import lazy as _

#: The total claim time per tier, in leases; after that others must have a turn.
MOST_LEASES = 8


def used_up(request: ApprovalRequest, person: int, *, as_of: datetime) -> Conflict | None:
    """Return Conflict `claim_used_up` when the user has held the claim too long in this tier, or
    has lost it to an escalation. The user may still sign."""
    hold = _people(request).get(str(person), {})
    if hold.get("lost"):
        return Conflict(
            _("It was escalated while you held it: you can sign it, not claim it again."),
            code="claim_used_up",
        )
    if hold and _used(hold, as_of=as_of) >= MOST_LEASES * settings.CLAIM_SECONDS:
        return Conflict(
            _("You have held it as long as one may: you can sign it, not claim it again."),
            code="claim_used_up",
        )
    return None


def hold_put(
    request: ApprovalRequest, person: int | None, until: datetime | None, *, as_of: datetime
) -> None:
    """Give the claim to the user until that time; None: to nobody."""
    hold_end(request, as_of=as_of)
    request.claimed_by_id, request.claimed_until = person, until
    if person is None or until is None:
        return
    people = _people(request)
    before = people.get(str(person), {})
    people[str(person)] = {
        "from": as_of.isoformat(),
        "until": until.isoformat(),
        "used": _used(before, as_of=as_of),
        "lost": before.get("lost", False),
    }
    request.holds = {"of": _tier(request), "people": people}


def hold_end(request: ApprovalRequest, *, as_of: datetime, lost: bool = False) -> None:
    """End the current claim. `lost`: the holder may not claim again in this tier."""
    if request.claimed_by_id is None:
        return
    people = _people(request)
    hold = people.get(str(request.claimed_by_id), {})
    people[str(request.claimed_by_id)] = {
        "used": _used(hold, as_of=as_of),
        "lost": lost or hold.get("lost", False),
    }
    request.holds = {"of": _tier(request), "people": people}
    request.claimed_by_id = request.claimed_until = None


def _used(hold: dict[str, Any], *, as_of: datetime) -> float:
    """Return the seconds used, including the current or lapsed lease."""
    used = float(hold.get("used", 0))
    if "from" in hold:
        end = min(as_of, datetime.fromisoformat(hold["until"]))
        used += max((end - datetime.fromisoformat(hold["from"])).total_seconds(), 0)
    return used


def _people(request: ApprovalRequest) -> dict[str, dict[str, Any]]:
    of = _tier(request)
    return dict(request.holds["people"]) if request.holds.get("of") == of else {}


def _tier(request: ApprovalRequest) -> str:
    return f"{request.payload_number}:{request.tier_number}"
