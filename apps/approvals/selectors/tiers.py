"""The tiers and payload versions of a request."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, ngettext

from apps.approvals.contracts import RequestStatus, Verdict
from apps.approvals.models import ApprovalRequest, PayloadVersion, Signature
from apps.common.lists_in_words import one_of


@dataclass(frozen=True)
class Tier:
    """One of a request's ordered tiers. `state`: done, current, waiting, or closed (settled
    before)."""

    number: int
    of: int
    group: str
    quorum: int
    signed: int
    state: str

    @property
    def missing(self) -> int:
        """Return the number of missing signatures."""
        return max(self.quorum - self.signed, 0)


# The functions below need no further query on a request from `for_detail()`.
def tiers(request: ApprovalRequest) -> list[Tier]:
    """Return all tiers in order, counting signatures on the current payload only."""
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
    """Return the current tier; None when the request is settled."""
    return next((tier for tier in tiers(request) if tier.state == "current"), None)


def current_payload(request: ApprovalRequest) -> PayloadVersion:
    """Return the version to which a signature given now would be bound."""
    return next(p for p in request.payloads.all() if p.number == request.payload_number)


def current_signatures(request: ApprovalRequest) -> list[Signature]:
    """Return the signatures on the current payload version: an edit voids earlier ones."""
    payload = current_payload(request)
    return [s for s in request.signatures.all() if s.payload_id == payload.pk]


def who_signs_next(request: ApprovalRequest) -> str:
    """Return a text such as "one signature by reviewer (tier 1 of 2)"; empty when settled."""
    tier = current_tier(request)
    if tier is None:
        return ""
    if tier.signed:
        text = ngettext(
            "one more signature by {who}", "{count} more signatures by {who}", tier.missing
        )
    else:
        text = ngettext("one signature by {who}", "{count} signatures by {who}", tier.missing)
    who = one_of([tier.group, *also_signing(request)])
    needed = text.format(count=tier.missing, who=who)
    if tier.of == 1:
        return needed
    return gettext("{signatures} (tier {number} of {of})").format(
        signatures=needed, number=tier.number, of=tier.of
    )


def also_signing(request: ApprovalRequest) -> list[str]:
    """Return the names of the group and the senior that an escalation added to the current tier."""
    names = [request.escalated_group] if request.escalated_group else []
    return [*names, str(request.escalated_to)] if request.escalated_to else names


def difference(was: dict[str, Any], now: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the differing fields of two payloads, by name: [{field, was, now}, …]; None:
    absent."""
    return [
        {"field": name, "was": was.get(name), "now": now.get(name)}
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ]


def difference_since(request: ApprovalRequest, seen: str) -> list[dict[str, Any]] | None:
    """Return what changed since the version with the hash `seen`; None if there is no such
    version."""
    versions = {payload.hash: payload for payload in request.payloads.all()}
    if seen not in versions:
        return None
    return difference(versions[seen].payload, current_payload(request).payload)
