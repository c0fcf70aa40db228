"""Asking for an intervention, and taking the request back."""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.audit.services import refusals
from apps.common.canonical_json import digest
from apps.common.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.common.failpoints import failpoint
from apps.common.idempotency import asked_before, clean_key, save_or_known
from apps.common.identifiers import new_id
from apps.common.validation import (
    clean_amount,
    clean_code,
    clean_currency,
    clean_reason,
    clean_region,
    clean_text,
)
from apps.engine import process
from apps.interventions.contracts import SUBJECT, Execution, InterventionStatus
from apps.interventions.models import Budget, Intervention, Policy
from apps.interventions.services.commands import (
    CANCEL_PERMISSION,
    INTERVENTION,
    approval_start,
    cancel_signal,
)
from apps.interventions.services.periods import check_open
from apps.interventions.services.policies import policy_active, policy_currency
from apps.interventions.services.policy_limits import check_target, check_terms
from apps.interventions.services.rows import (
    check_unsettled,
    execution_of,
    intervention_lock,
    record,
    step_statuses,
)
from apps.interventions.services.settlement import settle_row
from apps.interventions.services.validation import clean_target

REQUEST_PERMISSION = "interventions.request_intervention"


def intervention_request(
    *,
    policy: str,
    budget: str,
    amount: Decimal,
    currency: str = "",
    target: str,
    justification: str,
    region: str = "",
    by: User,
    via: str,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[Intervention, bool]:
    """Ask for `amount` (major units of `currency`) to `target`; the row, and whether it is new.

    `currency`: empty is the policy's, which never changes; else it must be that one.
    Row, audit entry and the command that starts its workflow commit together. The same key of the
    same person again: the same row, also when two come at once. Raises, each audited:
    NotAllowed `permission_denied`; Invalid `amount_invalid`, `currency_invalid`, `target_invalid`,
    `justification_invalid`, `code_invalid`, `idempotency_key_invalid`, `currency_mismatch`,
    `amount_above_limit`, `amount_below_limit`, `region_invalid`, `region_required`,
    `region_not_covered`; NotFound `policy_not_found`, `budget_not_found`; Conflict
    `policy_inactive`, `policy_not_yet_valid`, `policy_expired`, `target_limit_exceeded`,
    `budget_not_open` (extra starts_on, ends_on), `idempotency_key_reused`. The saga checks the
    policy's terms again.
    """
    with refusals(
        action="intervention.request",
        subject_type=SUBJECT,
        subject_id="",
        by=by,
        via=via,
    ):
        if not by.has_perm(REQUEST_PERMISSION):
            raise NotAllowed("You may not ask for interventions.", code="permission_denied")
        currency = currency or policy_currency(clean_code(policy))
        body: dict[str, Any] = {
            "policy": clean_code(policy),
            "budget": clean_code(budget),
            "amount": clean_amount(amount, currency),
            "currency": clean_currency(currency),
            "target": clean_target(target),
            "justification": clean_text(
                justification, field="justification", limit=5000, multiline=True
            ),
        }
        # A repeat of what was asked before there were regions has the digest of then.
        if clean_region(region):
            body["region"] = region
        key = clean_key(idempotency_key)
        body_digest = digest(body)
        rows = Intervention.objects.select_related("policy", "budget", "requested_by")
        before = partial(asked_before, rows, by=by, key=key, digest=body_digest)
        with transaction.atomic(durable=True):
            # Before the rules of today: a repeat is answered as the first was.
            if known := before():
                return known, False
            chosen_policy = policy_active(policy)
            chosen_budget = Budget.objects.filter(code=budget).first()
            if chosen_budget is None:
                raise NotFound("There is no such budget.", code="budget_not_found")
            check_currencies(currency, chosen_policy, chosen_budget)
            check_open(chosen_budget, as_of=as_of)
            check_terms(chosen_policy, amount=body["amount"], region=region, as_of=as_of)
            check_target(chosen_policy, target=body["target"], amount=body["amount"], as_of=as_of)
            identifier = new_id()
            intervention = Intervention(
                id=identifier,
                policy=chosen_policy,
                budget=chosen_budget,
                amount=body["amount"],
                currency=currency,
                target=body["target"],
                justification=body["justification"],
                region=region,
                requested_by=by,
                idempotency_key=key,
                request_digest=body_digest,
                workflow_id=f"{SUBJECT}-{identifier}",
                created_at=as_of,
            )
            if known := save_or_known(intervention, before):
                return known, False
            record(intervention, f"{SUBJECT}.requested", by=by, via=via, **body)
            approval_start(intervention)
            process.tell(INTERVENTION, intervention, "status")
            failpoint("intervention_request.uncommitted")
        failpoint("intervention_request.committed")
        return intervention, True


def intervention_cancel(
    *,
    intervention_id: UUID | str,
    by: User,
    via: str,
    reason: str = "",
    as_of: datetime,
) -> Intervention:
    """End it as cancelled, with its reservation given back and its request closed, at once.

    The waiting workflow is woken and ends. Possible until the executor is called. Raises, each
    audited: NotFound (also when the person may not see it); NotAllowed `permission_denied`;
    Conflict `already_settled`, `execution_started`; Invalid `reason_invalid`.
    """
    with refusals(
        action="intervention.cancel",
        subject_type=SUBJECT,
        subject_id=str(intervention_id),
        by=by,
        via=via,
    ):
        reason = clean_reason(reason)
        with transaction.atomic(durable=True):
            intervention = intervention_lock(intervention_id)
            owner = intervention.requested_by_id == by.pk
            if (
                not owner
                and not Intervention.objects.visible_to(by).filter(pk=intervention.pk).exists()
            ):
                raise NotFound("There is no such intervention.")
            if not owner and not by.has_perm(CANCEL_PERMISSION):
                raise NotAllowed("You may not cancel this.", code="permission_denied")
            check_unsettled(intervention)
            if execution_of(step_statuses(intervention)) in {Execution.UNKNOWN, Execution.DONE}:
                raise Conflict(
                    "The executor has been called: too late to cancel.", code="execution_started"
                )
            intervention.cancel_requested_at = as_of
            intervention.save(update_fields=["cancel_requested_at"])
            settle_row(
                intervention,
                InterventionStatus.CANCELLED,
                code="cancelled",
                detail=reason or f"Cancelled by {by}.",
                by=by,
                via=via,
                as_of=as_of,
            )
            cancel_signal(intervention)
        return intervention


def check_currencies(currency: str, policy: Policy, budget: Budget) -> None:
    for owner, theirs in (("policy", policy.currency), ("budget", budget.currency)):
        if theirs != currency:
            raise Invalid(f"The {owner} is in {theirs}.", code="currency_mismatch")
