"""The signature of an intervention: the payload that is signed, and what a decision does to the
row."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.approvals.contracts import Waiting
from apps.approvals.subject import Decided, SignedSubject
from apps.common.canonical_json import plain
from apps.common.money import exact
from apps.common.validation import clean_payee, clean_text, read_amount
from apps.interventions.contracts import KIND, InterventionStatus
from apps.interventions.models import Intervention
from apps.interventions.services.attention import ATTENTION
from apps.interventions.services.commands import INTERVENTION
from apps.interventions.services.policy_limits import check_limit, check_target
from apps.interventions.services.rows import record, row_save
from apps.interventions.services.settlement import settle_row


def approval_payload(intervention: Intervention) -> dict[str, Any]:
    """Return the payload to sign: everything that decides where money goes, as requested.

    It has the region only if the request named one, so that payloads signed without a region stay
    equal.
    """
    payload: dict[str, Any] = plain(
        {
            "intervention": intervention.pk,
            "policy": intervention.policy.code,
            "policy_version": intervention.policy.version,
            "reversible": intervention.policy.reversible,
            "budget": intervention.budget.code,
            "amount": exact(intervention.amount, intervention.currency),
            "currency": intervention.currency,
            "target": intervention.target,
            "justification": intervention.justification,
            "requested_by": intervention.requested_by.audit_id,
            **({"region": intervention.region} if intervention.region else {}),
        }
    )
    return payload


def _edit(intervention: Intervention, changes: Mapping[str, str], as_of: datetime) -> None:
    """Change amount (major units), target or justification of a waiting intervention.

    Raises Invalid `amount_invalid`, `amount_above_limit`, `amount_below_limit`, `target_invalid`,
    `justification_invalid`; Conflict `target_limit_exceeded`. The digest of the first request
    stays, so repeating that request returns this row.
    """
    if "amount" in changes:
        intervention.amount = read_amount(changes["amount"], intervention.currency)
        check_limit(intervention.policy, intervention.amount)
    if "target" in changes:
        intervention.target = clean_payee(changes["target"])
    if {"amount", "target"} & changes.keys():
        check_target(
            intervention.policy,
            target=intervention.target,
            amount=intervention.amount,
            as_of=as_of,
        )
    if "justification" in changes:
        intervention.justification = clean_text(
            changes["justification"], field="justification", limit=5000, multiline=True
        )
    row_save(intervention, "amount", "target", "justification")


def _asked(intervention: Intervention, request_id: UUID) -> None:
    if intervention.status == InterventionStatus.PENDING:
        intervention.status = InterventionStatus.AWAITING_APPROVAL
        row_save(intervention, "status")
        record(intervention, "intervention.awaiting_approval", request_id=request_id)


def _approved(intervention: Intervention, decided: Decided) -> None:
    """Mark the intervention as approved; its saga comes next."""
    intervention.status = InterventionStatus.APPROVED
    row_save(intervention, "status")
    record(
        intervention,
        "intervention.approved",
        by=decided.by,
        via=decided.via,
        signature_needed=decided.request_id is not None,
    )


def _rejected(intervention: Intervention, decided: Decided) -> None:
    settle_row(
        intervention,
        InterventionStatus(decided.code),
        code=decided.code,
        detail=decided.detail,
        by=decided.by,
        via=decided.via,
        as_of=decided.as_of,
    )


def _facts(intervention: Intervention, waiting: Waiting) -> Waiting:
    return replace(waiting, attention=ATTENTION.is_open(intervention))


SIGNED = SignedSubject(
    row=INTERVENTION,
    kind=KIND,
    waits=frozenset({InterventionStatus.PENDING, InterventionStatus.AWAITING_APPROVAL}),
    payload=approval_payload,
    scope=lambda intervention: intervention.policy.code,
    on_asked=_asked,
    on_approved=_approved,
    on_rejected=_rejected,
    facts=_facts,
    edit=_edit,
    related=("policy", "budget", "requested_by"),
)

approval_open = SIGNED.open
decision_read = SIGNED.read
intervention_expire = SIGNED.expire
approval_of = SIGNED.request_of
