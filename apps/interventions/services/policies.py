"""Policies: versions, and what an intervention must satisfy when its saga begins."""

from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction

from apps.approvals.contracts import RequestStatus
from apps.approvals.services import signature_needed
from apps.audit.contracts import Actor
from apps.audit.services import entry_record, refusals
from apps.errors import Conflict, NotAllowed, NotFound
from apps.interventions.contracts import (
    KIND,
    Execution,
    InterventionStatus,
    PolicyDetails,
    Step,
)
from apps.interventions.models import Intervention, Policy
from apps.interventions.services.approval import approval_of, approval_payload
from apps.interventions.services.inputs import clean_amount, clean_code, clean_currency, clean_text
from apps.interventions.services.limits import check_limit
from apps.interventions.services.rows import (
    StepStatus,
    check_unsettled,
    execution_of,
    is_undoing,
    record,
    row_save,
    saga_step,
    step_put,
    step_statuses,
)


def policy_put(
    *,
    code: str,
    name: str,
    currency: str,
    reversible: bool,
    max_amount: Decimal | None,
    by: Actor | None,
    via: str,
) -> Policy:
    """Make this the active version of the policy; equal to the active one: that one is returned.

    Interventions keep the version they were asked under. Raises Invalid with the field's code,
    and Conflict `currency_differs`: a policy's currency never changes.
    """
    subject = {"action": "policy.put", "subject_type": "policy", "subject_id": code[:80]}
    with refusals(**subject, by=by, via=via), transaction.atomic(durable=True):
        wanted = {
            "name": clean_text(name, field="name", limit=160),
            "currency": clean_currency(currency),
            "reversible": reversible,
            "max_amount": None if max_amount is None else clean_amount(max_amount),
        }
        with connection.cursor() as cursor:
            # The first version has no row to lock.
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
                [f"policy:{clean_code(code)}"],
            )
        newest = Policy.objects.filter(code=code).order_by("-version").first()
        if newest and newest.currency != currency:
            raise Conflict("The policy has another currency.", code="currency_differs")
        if newest and newest.active and all(getattr(newest, k) == v for k, v in wanted.items()):
            return newest
        for active in Policy.objects.filter(code=code, active=True):
            active.active = False
            active.save(update_fields=["active", "updated_at"])
        policy = Policy.objects.create(
            code=code, version=newest.version + 1 if newest else 1, **wanted
        )
        entry_record(**subject, by=by, via=via, body={**wanted, "version": policy.version})
    return policy


def policy_validate(*, intervention_id: UUID | str, workflow_id: str) -> None:
    """First step of the saga: the intervention may be executed now, and by this workflow alone.

    Raises NotFound; Conflict `already_settled`, `being_undone`, `already_executing` (by another
    workflow), `policy_inactive`; Invalid `amount_above_limit`; NotAllowed `approval_required`:
    the rule wants a signature and none was given for exactly this intervention. Once the executor
    was called it only answers: what was allowed then is carried on.
    """
    with saga_step(
        intervention_id=intervention_id, step=Step.VALIDATE_POLICY, action="policy.validate"
    ) as intervention:
        check_unsettled(intervention)
        if intervention.executor_id not in {"", workflow_id}:
            raise Conflict(
                f"{intervention.executor_id} executes this intervention.",
                code="already_executing",
            )
        steps = step_statuses(intervention)
        if is_undoing(steps):
            raise Conflict("The intervention is being undone.", code="being_undone")
        if steps.get(Step.VALIDATE_POLICY) == StepStatus.DONE and execution_of(steps) in {
            Execution.UNKNOWN,
            Execution.DONE,
        }:
            return
        _check_policy(intervention)
        _check_signature(intervention)
        began = intervention.status != InterventionStatus.EXECUTING
        intervention.executor_id = workflow_id
        intervention.status = InterventionStatus.EXECUTING
        step_put(intervention, Step.VALIDATE_POLICY, StepStatus.DONE)
        row_save(intervention, "status", "executor_id")
        if began:
            record(intervention, "intervention.executing", workflow_id=workflow_id)


def policy_details(*, intervention_id: UUID | str) -> PolicyDetails:
    """Second step: the version that the intervention was asked under. Raises NotFound."""
    with saga_step(
        intervention_id=intervention_id, step=Step.GET_POLICY_DETAILS, action="policy.details"
    ) as intervention:
        check_unsettled(intervention)
        policy = intervention.policy
        step_put(
            intervention,
            Step.GET_POLICY_DETAILS,
            StepStatus.DONE,
            f"{policy}, {'reversible' if policy.reversible else 'not reversible'}",
        )
        row_save(intervention)
        return PolicyDetails(
            policy=policy.code,
            version=policy.version,
            reversible=policy.reversible,
            currency=intervention.currency,
            amount=f"{intervention.amount:.2f}",
        )


def policy_active(code: str) -> Policy:
    """The active version; NotFound `policy_not_found`, Conflict `policy_inactive`."""
    policies = list(Policy.objects.filter(code=code).order_by("-active", "-version")[:1])
    if not policies:
        raise NotFound("There is no such policy.", code="policy_not_found")
    if not policies[0].active:
        raise Conflict("The policy is not active.", code="policy_inactive")
    return policies[0]


def _check_policy(intervention: Intervention) -> None:
    """A newer version does not stop what was asked under an older one; switching it off does."""
    if not intervention.policy.active:
        policy_active(intervention.policy.code)
    check_limit(intervention.policy, intervention.amount)


def _check_signature(intervention: Intervention) -> None:
    """Once a request was opened its own tiers count, however the rule was relaxed since."""
    request = approval_of(intervention)
    if request is not None and request.status == RequestStatus.APPROVED:
        signed = request.payloads.get(number=request.payload_number)
        if signed.payload == approval_payload(intervention):
            return
    elif request is None and not signature_needed(
        kind=KIND,
        scope=intervention.policy.code,
        amount=intervention.amount,
        currency=intervention.currency,
        requested_by=intervention.requested_by,
    ):
        return
    raise NotAllowed(
        "The policy wants a signature, and there is none for this intervention.",
        code="approval_required",
    )
