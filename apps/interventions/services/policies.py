"""Policies: their versions, and the checks at the beginning of a saga."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.approvals.contracts import RequestStatus
from apps.approvals.services import signature_needed
from apps.audit.contracts import Actor
from apps.audit.services import entry_record, refusals
from apps.common.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.validation import (
    clean_amount,
    clean_code,
    clean_currency,
    clean_reason,
    clean_regions,
    clean_text,
)
from apps.common.versions import lock_versions, put_version, switch_off
from apps.common.windows import Period
from apps.interventions.contracts import (
    KIND,
    Execution,
    InterventionStatus,
    Step,
)
from apps.interventions.models import Intervention, Policy
from apps.interventions.services.approval import approval_of, approval_payload
from apps.interventions.services.batches_signing import signed_with_batch
from apps.interventions.services.policy_limits import check_terms
from apps.interventions.services.rows import (
    StepStatus,
    check_executor,
    check_forwards,
    check_unsettled,
    execution_of,
    record,
    saga_step,
    step_save,
    step_statuses,
)
from apps.live.broadcast import broadcast

#: The longest period of a target's limit: ten years.
MOST_TARGET_DAYS = 3660


def policy_put(
    *,
    code: str,
    name: str,
    currency: str,
    reversible: bool,
    max_amount: Decimal | None,
    min_amount: Decimal | None = None,
    target_limit: Decimal | None = None,
    target_days: int | None = None,
    valid_from: date | None = None,
    valid_until: date | None = None,
    regions: Iterable[str] = (),
    by: Actor | None,
    via: str,
) -> Policy:
    """Make this the active version of the policy; return the active one if it is equal.

    Amounts are in major units; days are whole days in the site's time zone. Interventions keep the
    version under which they were requested. Raises Invalid with the field's code,
    `limits_out_of_order`, `days_out_of_order`, `target_limit_invalid`, `region_invalid`, and
    Conflict `currency_differs`, because a policy's currency never changes.
    """
    subject = {"action": "policy.put", "subject_type": "policy", "subject_id": code[:80]}
    with refusals(**subject, by=by, via=via), transaction.atomic(durable=True):
        values: dict[str, Any] = {
            "name": clean_text(name, field="name", limit=160),
            "currency": clean_currency(currency),
            "reversible": reversible,
            "min_amount": None if min_amount is None else clean_amount(min_amount, currency),
            "max_amount": None if max_amount is None else clean_amount(max_amount, currency),
            "target_limit": target_limit,
            "target_days": target_days,
            "valid_from": valid_from,
            "valid_until": valid_until,
            "regions": clean_regions(regions),
        }
        _check_order(values)

        def same_currency(newest: Policy) -> None:
            if newest.currency != currency:
                raise Conflict(_("The policy has another currency."), code="currency_differs")

        policy, new = put_version(
            Policy.objects.all(), {"code": clean_code(code)}, values, check=same_currency
        )
        if new:
            entry_record(**subject, by=by, via=via, body={**values, "version": policy.version})
            policy_announce(policy)
    return policy


def policy_switch_off(
    *, code: str, by: Actor | None, via: str, reason: str = "", version: int | None = None
) -> Policy:
    """Deactivate the policy: nobody can request under it, and nothing that waits under it is
    executed.

    A new version activates it again. `version`: the active version that the caller saw. Raises,
    each audited: NotFound `policy_not_found`; Conflict `policy_inactive` when it is already
    inactive, `version_changed` when another version is active; Invalid `reason_invalid`.
    """
    subject = {"action": "policy.switch_off", "subject_type": "policy", "subject_id": code[:80]}
    with refusals(**subject, by=by, via=via), transaction.atomic(durable=True):
        reason = clean_reason(reason)
        key = {"code": clean_code(code)}
        lock_versions(Policy.objects.all(), key)
        policy = policy_active(code)
        if version is not None and policy.version != version:
            raise Conflict(
                filled(_("Version {version} is the active one."), version=policy.version),
                code="version_changed",
                version=policy.version,
            )
        switch_off(Policy.objects.all(), key)
        policy.active = False
        body = {"version": policy.version, "reason": reason}
        entry_record(**subject, by=by, via=via, body=body)
        policy_announce(policy)
    return policy


def policy_announce(policy: Policy) -> None:
    """Update open pages of this policy and of the list."""
    for topic in ("policies", f"policy:{policy.code}"):
        broadcast(topic, id=policy.code, version=policy.version)


def _check_order(values: dict[str, Any]) -> None:
    """Raise Invalid, in words, for what the table's constraints would refuse."""
    least, most = values["min_amount"], values["max_amount"]
    if least is not None and most is not None and least > most:
        raise Invalid(_("The least amount is above the most."), code="limits_out_of_order")
    Period(values["valid_from"], values["valid_until"]).checked()
    limit, days = values["target_limit"], values["target_days"]
    if limit is None and days is None:
        return
    if limit is None or days is None:
        raise Invalid(
            _("A limit for each target needs both: the amount, and how many days it looks back."),
            code="target_limit_invalid",
        )
    try:
        values["target_limit"] = clean_amount(limit, values["currency"])
    except Invalid as refusal:
        raise Invalid(refusal.detail, code="target_limit_invalid") from refusal
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= MOST_TARGET_DAYS:
        raise Invalid(
            filled(
                _("The limit for each target looks back 1 to {most_target_days} days."),
                most_target_days=MOST_TARGET_DAYS,
            ),
            code="target_limit_invalid",
        )
    if least is not None and least > values["target_limit"]:
        raise Invalid(
            _("The limit for each target is below the least amount: nobody could be paid."),
            code="target_limit_invalid",
        )


def policy_validate(
    *, intervention_id: UUID | str, workflow_id: str, as_of: datetime | None = None
) -> None:
    """Do the first step of the saga: check that the intervention may be executed now, and bind it
    to this workflow.

    Raises NotFound; Conflict `already_settled`, `being_undone`, `already_executing` (by another
    workflow), `policy_inactive`, `policy_not_yet_valid`, `policy_expired`; Invalid
    `amount_above_limit`, `amount_below_limit`, `region_required`, `region_not_covered`; NotAllowed
    `approval_required`: the rule requires a signature and there is none for exactly this
    intervention. Once the executor was called, policy and signature are not checked again, because
    they allowed the call. `as_of`: None: now.
    """
    with saga_step(
        intervention_id,
        step=Step.VALIDATE_POLICY,
        action="policy.validate",
        related=["policy", "requested_by"],
    ) as intervention:
        check_unsettled(intervention)
        check_executor(intervention, workflow_id)
        steps = step_statuses(intervention)
        check_forwards(steps)
        if steps.get(Step.VALIDATE_POLICY) == StepStatus.DONE and execution_of(steps) in {
            Execution.UNKNOWN,
            Execution.DONE,
        }:
            return
        _check_policy(intervention, as_of=as_of or timezone.now())
        _check_signature(intervention)
        began = intervention.status != InterventionStatus.EXECUTING
        intervention.executor_id = workflow_id
        intervention.status = InterventionStatus.EXECUTING
        changed = ["status", "executor_id"]
        step_save(intervention, Step.VALIDATE_POLICY, StepStatus.DONE, fields=changed)
        if began:
            record(intervention, "intervention.executing", workflow_id=workflow_id)


def policy_details(*, intervention_id: UUID | str) -> Policy:
    """Do the second step: return the version under which the intervention was requested. Raises
    NotFound."""
    with saga_step(
        intervention_id,
        step=Step.GET_POLICY_DETAILS,
        action="policy.details",
        related=["policy"],
    ) as intervention:
        check_unsettled(intervention)
        policy = intervention.policy
        step_save(
            intervention,
            Step.GET_POLICY_DETAILS,
            StepStatus.DONE,
            f"{policy}, {'reversible' if policy.reversible else 'not reversible'}",
        )
        return policy


def policy_active(code: str) -> Policy:
    """Return the active version. Raises NotFound `policy_not_found`, Conflict `policy_inactive`."""
    policies = list(Policy.objects.filter(code=code).order_by("-active", "-version")[:1])
    if not policies:
        raise NotFound(_("There is no such policy."), code="policy_not_found")
    if not policies[0].active:
        raise Conflict(_("The policy is not active."), code="policy_inactive")
    return policies[0]


def policy_currency(code: str) -> str:
    """Return the policy's currency, also of an inactive policy. Raises NotFound
    `policy_not_found`."""
    currency = Policy.objects.filter(code=code).values_list("currency", flat=True).first()
    if currency is None:
        raise NotFound(_("There is no such policy."), code="policy_not_found")
    return currency


def _check_policy(intervention: Intervention, *, as_of: datetime) -> None:
    """Check the terms. A newer version does not stop a request under an older one; deactivating the
    policy does."""
    if not intervention.policy.active:
        policy_active(intervention.policy.code)
    check_terms(
        intervention.policy,
        amount=intervention.amount,
        region=intervention.region,
        as_of=as_of,
    )


def _check_signature(intervention: Intervention) -> None:
    """Check the signature. If a request was opened, its own tiers count, even if the rule was
    relaxed since."""
    batched = intervention.batch_id is not None
    request = None if batched else approval_of(intervention)
    if batched:
        if signed_with_batch(intervention):
            return
    elif request is not None and request.status == RequestStatus.APPROVED:
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
        _("The policy wants a signature, and there is none for this intervention."),
        code="approval_required",
    )
