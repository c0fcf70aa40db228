"""Reads about one request: whose turn it is, and whether a given person may sign."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from apps.approvals.contracts import RequestStatus, Verdict
from apps.approvals.models import (
    DECIDE_PERMISSION,
    ApprovalRequest,
    PayloadVersion,
    Signature,
)
from apps.engine import services as engine
from apps.errors import Conflict, DomainError, NotAllowed

if TYPE_CHECKING:
    from apps.accounts.models import User


@dataclass(frozen=True)
class Tier:
    """One of a request's ordered tiers. `state`: done, current, waiting, or closed (too late)."""

    number: int
    of: int
    group: str
    quorum: int
    signed: int
    state: str

    @property
    def missing(self) -> int:
        """How many more signatures it needs."""
        return max(self.quorum - self.signed, 0)


# Each of these works on a request from `for_detail()` without a further query.
def tiers(request: ApprovalRequest) -> list[Tier]:
    """All tiers in order, counting the signatures on the current payload only."""
    counted: dict[int, set[int]] = {}
    for signature in current_signatures(request):
        if signature.verdict == Verdict.APPROVE:
            counted.setdefault(signature.tier, set()).add(signature.authority_id)
    answer: list[Tier] = []
    current_seen = False
    for number, raw in enumerate(request.tiers, start=1):
        signed = len(counted.get(number, ()))
        if signed >= raw["quorum"] and not current_seen:
            state = "done"
        elif request.status != RequestStatus.OPEN:
            state = "closed"
        else:
            state = "waiting" if current_seen else "current"
        current_seen = current_seen or state != "done"
        answer.append(
            Tier(
                number=number,
                of=len(request.tiers),
                group=raw["group"],
                quorum=raw["quorum"],
                signed=signed,
                state=state,
            )
        )
    return answer


def current_tier(request: ApprovalRequest) -> Tier | None:
    """The tier that signs now; None when the request is settled."""
    return next((tier for tier in tiers(request) if tier.state == "current"), None)


def current_payload(request: ApprovalRequest) -> PayloadVersion:
    """The version that a signature given now would be bound to."""
    return next(p for p in request.payloads.all() if p.number == request.payload_number)


def current_signatures(request: ApprovalRequest) -> list[Signature]:
    """Those that count: an edit makes a new payload version and voids the ones before."""
    payload = current_payload(request)
    return [s for s in request.signatures.all() if s.payload_id == payload.pk]


def who_signs_next(request: ApprovalRequest) -> str:
    """For people: "one signature by reviewer (tier 1 of 2)"; empty when it is settled."""
    tier = current_tier(request)
    if tier is None:
        return ""
    count = "one" if tier.missing == 1 else str(tier.missing)
    more = "more " if tier.signed else ""
    noun = "signature" if tier.missing == 1 else "signatures"
    place = f" (tier {tier.number} of {tier.of})" if tier.of > 1 else ""
    return f"{count} {more}{noun} by {tier.group}{place}"


def can_sign(
    request: ApprovalRequest, user: "User | AnonymousUser", *, as_of: datetime | None = None
) -> str:
    """Empty when the person may sign now, else the code that deciding would be refused with."""
    refusal = state_refusal(request, as_of=as_of or timezone.now()) or person_refusal(request, user)
    return refusal.code if refusal else ""


def state_refusal(request: ApprovalRequest, *, as_of: datetime) -> DomainError | None:
    """Why nobody may sign any more; says who decided and when."""
    if request.status != RequestStatus.OPEN:
        settled_at = request.settled_at.isoformat() if request.settled_at else ""
        decided_by = str(request.settled_by) if request.settled_by else "the engine"
        return Conflict(
            f"Already {request.status} by {decided_by} at {settled_at}.",
            code="already_decided",
            status=request.status,
            # In a problem document `status` is the HTTP status: the API says it under this name.
            request_status=request.status,
            decided_by=decided_by,
            decided_at=settled_at,
        )
    if request.expires_at and as_of >= request.expires_at:
        return Conflict(
            f"It could be signed until {request.expires_at.isoformat()}.",
            code="expired",
            expires_at=request.expires_at.isoformat(),
        )
    if request.workflow_id and engine.workflow_is_closed(workflow_id=request.workflow_id):
        return Conflict(
            "The workflow that waited for this decision has ended.", code="workflow_closed"
        )
    return None


def person_refusal(
    request: ApprovalRequest,
    actor: "User | AnonymousUser",
    *,
    authority: "User | AnonymousUser | None" = None,
) -> DomainError | None:
    """Why this person may not sign an open request; superusers are treated like anybody.

    `authority` is on whose behalf the person signs (default: their own). Neither of the two may
    be the requester, an editor of any version, or actor or authority of a counting signature.
    """
    authority = authority or actor
    people = {actor.pk, authority.pk} - {None}
    if request.requested_by_id in people:
        return NotAllowed("Nobody signs what they asked for.", code="requester_cannot_sign")
    if people & {payload.edited_by_id for payload in request.payloads.all()}:
        return NotAllowed("Nobody signs what they edited.", code="editor_cannot_sign")
    signatures = current_signatures(request)
    if people & {pk for s in signatures for pk in (s.actor_id, s.authority_id)}:
        return NotAllowed("You have signed this already.", code="already_signed")
    if not actor.is_active or not actor.has_perm(DECIDE_PERMISSION):
        return NotAllowed("You may not sign requests.", code="permission_denied")
    tier = current_tier(request)
    if tier is None or not authority.groups.filter(name=tier.group).exists():
        group = tier.group if tier else ""
        return NotAllowed(
            f"A signature by {group} is needed now, and you are not in that group.",
            code="not_in_group",
            group=group,
        )
    return None
