"""Simulates an approval. Live data: shown, never part of a hash, never signed."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext, ngettext

from apps.approvals import kinds
from apps.approvals.contracts import RequestStatus
from apps.approvals.kinds import Simulation
from apps.approvals.models import ApprovalRequest
from apps.approvals.rule_text import band_in_words
from apps.approvals.selectors.signing import can_sign
from apps.approvals.selectors.tiers import current_tier, who_signs_next

if TYPE_CHECKING:
    from apps.accounts.models import User


@dataclass(frozen=True)
class Preview:
    """`can_sign` is empty, or the code why the user cannot sign; `signs_after` is who signs after
    one more approval; empty: nobody, the request is carried out. `effect` is the domain's
    simulation."""

    rule: str
    rule_version: int | None
    band: str
    can_sign: str
    signs_now: str
    signs_after: str
    settles: bool
    effect: Simulation | None


def simulation(request: ApprovalRequest, user: "User", *, as_of: datetime) -> Preview:
    """Return the matched rule, who signs now and after the user's approval, and the domain's
    effect."""
    kind = kinds.find(request.kind)
    open_ = request.status == RequestStatus.OPEN
    after, settles = after_one_more(request)
    return Preview(
        rule=str(request.rule or gettext("the kind's default")),
        rule_version=request.rule.version if request.rule else None,
        band=band_words(request),
        can_sign=can_sign(request, user, as_of=as_of),
        signs_now=who_signs_next(request),
        signs_after=after,
        settles=settles,
        effect=kind.simulate(request, user) if kind and kind.simulate and open_ else None,
    )


def band_words(request: ApprovalRequest) -> str:
    """Describe the matched band in words; empty without one."""
    rule = request.rule
    bounds = [raw.get("above") for raw in rule.bands] if rule else []
    above = request.band.get("above")
    later = bounds[bounds.index(above) + 1 :] if above in bounds else []
    currency = rule.currency if rule else ""
    return band_in_words(request.band, currency, up_to=later[0] if later else None)


def after_one_more(request: ApprovalRequest) -> tuple[str, bool]:
    """Say who signs after one more approval, and whether that approval settles the request."""
    tier = current_tier(request)
    if tier is None:
        return "", False
    if tier.missing > 1:
        left = tier.missing - 1
        text = ngettext("one more signature by {who}", "{count} more signatures by {who}", left)
        return text.format(count=left, who=tier.group), False
    if tier.number == tier.of:
        return "", True
    following = request.tiers[tier.number]
    quorum = following["quorum"]
    text = ngettext(
        "one signature by {group} (tier {number} of {of})",
        "{count} signatures by {group} (tier {number} of {of})",
        quorum,
    )
    said = text.format(count=quorum, group=following["group"], number=tier.number + 1, of=tier.of)
    return said, False
