"""Reads about one request: whose turn it is, who may sign, what approving it would do."""

from apps.approvals.selectors.people import acting_for, common_senior, signers
from apps.approvals.selectors.signing import (
    Standing,
    authorities,
    can_sign,
    claim_refusal,
    delegations_of,
    delegations_to,
    holder,
    leaseholder,
    own_refusal,
    person_refusal,
    standing,
    state_refusal,
)
from apps.approvals.selectors.simulation import Preview, band_words, simulation
from apps.approvals.selectors.tiers import (
    Tier,
    also_signing,
    current_payload,
    current_signatures,
    current_tier,
    difference,
    difference_since,
    tiers,
    who_signs_next,
)

__all__ = [
    "Preview",
    "Standing",
    "Tier",
    "acting_for",
    "also_signing",
    "authorities",
    "band_words",
    "can_sign",
    "claim_refusal",
    "common_senior",
    "current_payload",
    "current_signatures",
    "current_tier",
    "delegations_of",
    "delegations_to",
    "difference",
    "difference_since",
    "holder",
    "leaseholder",
    "own_refusal",
    "person_refusal",
    "signers",
    "simulation",
    "standing",
    "state_refusal",
    "tiers",
    "who_signs_next",
]
