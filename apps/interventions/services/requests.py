"""The request for an intervention, and its cancellation."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from apps.accounts.models import User
from apps.common.canonical_json import digest
from apps.common.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.common.failpoints import failpoint
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.validation import (
    clean_amount,
    clean_code,
    clean_currency,
    clean_payee,
    clean_region,
    clean_text,
)
from apps.engine import process
from apps.interventions.contracts import SUBJECT, Execution, InterventionStatus
from apps.interventions.models import Budget, Intervention, Policy
from apps.interventions.services.commands import (
    CANCEL_PERMISSION,
    INTERVENTION,
    cancel_signal,
)
from apps.interventions.services.periods import check_open
from apps.interventions.services.policies import policy_active, policy_currency
from apps.interventions.services.policy_limits import check_target, check_terms
from apps.interventions.services.rows import (
    check_unsettled,
    execution_of,
    record,
    step_statuses,
)
from apps.interventions.services.settlement import settle_row

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
    """Request `amount` (major units of `currency`) for `target`; return the row, and whether it is
    new.

    `currency` must be the policy's, which never changes; empty: the policy's. Row, audit entry and
    the command that starts the workflow commit together. Repeating the key by the same person
    returns the same row, also for concurrent calls. Raises, each audited: NotAllowed
    `permission_denied`; Invalid `amount_invalid`, `currency_invalid`, `target_invalid`,
    `justification_invalid`, `code_invalid`, `idempotency_key_invalid`, `currency_mismatch`,
    `amount_above_limit`, `amount_below_limit`, `region_invalid`, `region_required`,
    `region_not_covered`; NotFound `policy_not_found`, `budget_not_found`; Conflict
    `policy_inactive`, `policy_not_yet_valid`, `policy_expired`, `target_limit_exceeded`,
    `budget_not_open` (extra starts_on, ends_on), `idempotency_key_reused`. The saga checks the
    policy's terms again.
    """
    with process.audited(INTERVENTION, "request", by=by, via=via):
        if not by.has_perm(REQUEST_PERMISSION):
            raise NotAllowed(_("You may not ask for interventions."), code="permission_denied")
        currency = currency or policy_currency(clean_code(policy))
        body: dict[str, Any] = {
            "policy": clean_code(policy),
            "budget": clean_code(budget),
            "amount": clean_amount(amount, currency),
            "currency": clean_currency(currency),
            "target": clean_payee(target),
            "justification": clean_text(
                justification, field="justification", limit=5000, multiline=True
            ),
        }
        # Without a region the digest has no region, so that requests from before there were regions
        # keep their digest.
        if clean_region(region):
            body["region"] = region

        def columns() -> dict[str, Any]:
            chosen_policy = policy_active(policy)
            chosen_budget = budget_for(chosen_policy, budget, currency=currency, as_of=as_of)
            check_terms(chosen_policy, amount=body["amount"], region=region, as_of=as_of)
            check_target(chosen_policy, target=body["target"], amount=body["amount"], as_of=as_of)
            return {**body, "policy": chosen_policy, "budget": chosen_budget}

        def made(intervention: Intervention) -> None:
            record(intervention, f"{SUBJECT}.requested", by=by, via=via, **body)
            failpoint("intervention_request.uncommitted")

        intervention, new = process.ask_once(
            INTERVENTION,
            columns,
            made=made,
            by=by,
            key=idempotency_key,
            digest=digest(body),
            related=("policy", "budget", "requested_by"),
            as_of=as_of,
        )
        if new:
            failpoint("intervention_request.committed")
        return intervention, new


def intervention_cancel(
    *,
    intervention_id: UUID | str,
    by: User,
    via: str,
    reason: str = "",
    as_of: datetime,
) -> Intervention:
    """Cancel the intervention at once: release its reservation and close its request for a
    signature.

    Wakes the waiting workflow, which then ends. Possible until the executor is called. Raises, each
    audited: NotFound (also when the person may not see it); NotAllowed `permission_denied`;
    Conflict `already_settled`, `execution_started`; Invalid `reason_invalid`.
    """
    with process.acting(
        INTERVENTION,
        "cancel",
        intervention_id,
        by=by,
        via=via,
        reason=reason,
        permission=CANCEL_PERMISSION,
    ) as (intervention, reason):
        check_unsettled(intervention)
        if execution_of(step_statuses(intervention)) in {Execution.UNKNOWN, Execution.DONE}:
            raise Conflict(
                _("The executor has been called: too late to cancel."), code="execution_started"
            )
        intervention.cancel_requested_at = as_of
        intervention.save(update_fields=["cancel_requested_at"])
        settle_row(
            intervention,
            InterventionStatus.CANCELLED,
            code="cancelled",
            detail=reason or gettext("Cancelled by {by}.").format(by=by),
            by=by,
            via=via,
            as_of=as_of,
        )
        cancel_signal(intervention)
    return intervention


def budget_for(policy: Policy, code: str, *, currency: str, as_of: datetime) -> Budget:
    """Return the budget of that code, for payments under this policy. Raises NotFound
    `budget_not_found`, Invalid `currency_mismatch`, Conflict `budget_not_open`."""
    budget = Budget.objects.filter(code=code).first()
    if budget is None:
        raise NotFound(_("There is no such budget."), code="budget_not_found")
    for text, theirs in (
        (_("The policy is in {theirs}."), policy.currency),
        (_("The budget is in {theirs}."), budget.currency),
    ):
        if theirs != currency:
            raise Invalid(filled(text, theirs=theirs), code="currency_mismatch")
    check_open(budget, as_of=as_of)
    return budget
