"""The tiers of a request, and the versions of what is asked."""

from dataclasses import dataclass
from typing import Any

from apps.approvals.contracts import RequestStatus, Verdict
from apps.approvals.models import ApprovalRequest, PayloadVersion, Signature


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
    also = "".join(f" or {name}" for name in also_signing(request))
    return f"{count} {more}{noun} by {tier.group}{also}{place}"


def also_signing(request: ApprovalRequest) -> list[str]:
    """Whom an escalation has let in beside the current tier's group, by name."""
    names = [request.escalated_group] if request.escalated_group else []
    return [*names, str(request.escalated_to)] if request.escalated_to else names


def difference(was: dict[str, Any], now: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of two payloads that differ: [{field, was, now}, …], by name; None: not there."""
    return [
        {"field": name, "was": was.get(name), "now": now.get(name)}
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ]


def difference_since(request: ApprovalRequest, seen: str) -> list[dict[str, Any]] | None:
    """What has changed since the version with that hash; None when there is no such version."""
    versions = {payload.hash: payload for payload in request.payloads.all()}
    if seen not in versions:
        return None
    return difference(versions[seen].payload, current_payload(request).payload)
