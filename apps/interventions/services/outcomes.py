"""The steps after the execution, and the end of a saga with or without an effect."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from apps.accounts.models import User
from apps.approvals.selectors import signer_ids
from apps.common.ended import ended_already
from apps.common.errors import Conflict, Invalid
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.steps import refused
from apps.interventions.contracts import (
    SUBJECT,
    Execution,
    InterventionStatus,
    SagaFacts,
    Step,
)
from apps.interventions.models import Intervention
from apps.interventions.services.approval import SIGNED
from apps.interventions.services.budgets import commit_open, has_open_reservation
from apps.interventions.services.commands import INTERVENTION, cancel_signal
from apps.interventions.services.features import features_add
from apps.interventions.services.rows import (
    StepStatus,
    attention_status,
    check_executor,
    check_forwards,
    execution_of,
    intervention_lock,
    record,
    row_save,
    saga_step,
    step_put,
    step_save,
    step_statuses,
)
from apps.interventions.services.settlement import settle_row
from apps.notifications.services import notify


def feature_update(*, intervention_id: UUID | str) -> None:
    """Add the execution to the feature store, once. Raises Conflict `not_executed`,
    `being_undone`."""
    with saga_step(
        intervention_id,
        step=Step.UPDATE_FEATURE_STORE,
        action="intervention.feature_update",
    ) as intervention:
        if _is_to_do(intervention, Step.UPDATE_FEATURE_STORE):
            step_save(intervention, Step.UPDATE_FEATURE_STORE, StepStatus.DONE)
            features_add(intervention)


def stakeholders_notify(*, intervention_id: UUID | str) -> None:
    """Notify the requester and the signers, each once. Raises Conflict `not_executed`,
    `being_undone`."""
    with saga_step(
        intervention_id,
        step=Step.NOTIFY_STAKEHOLDERS,
        action="intervention.notify",
        related=["budget", "requested_by"],
    ) as intervention:
        if _is_to_do(intervention, Step.NOTIFY_STAKEHOLDERS):
            # A batch notifies once, at its end, not for each payment.
            people = _stakeholders(intervention) if intervention.batch_id is None else []
            notify(
                key=f"{SUBJECT}:{intervention.pk}:executed",
                recipients=people,
                kind=f"{SUBJECT}.executed",
                title=gettext("Executed: {intervention}").format(intervention=intervention)[:200],
                text=gettext("Receipt {receipt}, from the budget {code}.").format(
                    receipt=intervention.receipt, code=intervention.budget.code
                ),
                url=f"/interventions/{intervention.pk}/",
            )
            told = ngettext("{count} person told", "{count} people told", len(people)).format(
                count=len(people)
            )
            step_save(intervention, Step.NOTIFY_STAKEHOLDERS, StepStatus.DONE, told)


def outcome_record(*, intervention_id: UUID | str, missing: str = "") -> None:
    """Do the last step: spend the reservation and end as executed, in one transaction; once.

    `missing` names steps that could not be done although the execution stands; a later run without
    any clears it. Raises Conflict `not_executed`, `being_undone`, `reservation_released`.
    """
    with saga_step(
        intervention_id,
        step=Step.RECORD_OUTCOME,
        action="intervention.outcome",
        related=["budget"],
    ) as intervention:
        if intervention.has_ended:
            _complete(intervention, missing)
            return
        check_forwards(step_statuses(intervention))
        step_put(intervention, Step.RECORD_OUTCOME, StepStatus.DONE)
        settle_row(
            intervention,
            InterventionStatus.EXECUTED,
            code="steps_missing" if missing else "",
            detail=gettext("Executed, but not done: {missing}").format(missing=missing)
            if missing
            else "",
            as_of=timezone.now(),
        )
        # Last, because it locks the budget's row, which every other intervention needs too.
        commit_open(intervention)


def intervention_settle(
    *, intervention_id: UUID | str, status: str, code: str, detail: str, workflow_id: str = ""
) -> SagaFacts:
    """End a saga or a request without an effect; return what stands.

    Wakes the workflow that waits for a signature, unless it is `workflow_id`. No-op for an
    intervention that has ended. Raises Invalid `bad_status`; Conflict `already_executing` when a
    saga calls while another one executes the intervention, `execution_stands` when the executor
    has, or may have, acted: the money cannot be released then, and the intervention does not end
    here.
    """
    with (
        refused(INTERVENTION, intervention_id, action="intervention.settle"),
        transaction.atomic(durable=True),
    ):
        if status not in {InterventionStatus.FAILED, InterventionStatus.CANCELLED}:
            raise Invalid(_("A saga without an effect fails or is cancelled."), code="bad_status")
        intervention = intervention_lock(intervention_id)
        if not intervention.has_ended:
            if workflow_id not in {"", intervention.workflow_id}:
                check_executor(intervention, workflow_id)
            if execution_of(step_statuses(intervention)) in {Execution.UNKNOWN, Execution.DONE}:
                raise Conflict(_("The execution stands."), code="execution_stands")
            waits = intervention.status == InterventionStatus.AWAITING_APPROVAL
            settle_row(
                intervention,
                InterventionStatus(status),
                code=code,
                detail=detail,
                as_of=timezone.now(),
            )
            if waits and workflow_id != intervention.workflow_id:
                cancel_signal(intervention)
            failpoint("settle_intervention.uncommitted")
        return _facts(intervention)


def saga_facts(*, intervention_id: UUID | str, workflow_id: str = "") -> SagaFacts:
    """Return what the database knows of the saga now.

    Raises NotFound; Conflict `already_executing` when another saga than `workflow_id` executes the
    intervention.
    """
    with transaction.atomic(durable=True):
        intervention = intervention_lock(intervention_id)
        if workflow_id and not intervention.has_ended:
            check_executor(intervention, workflow_id)
        return _facts(intervention)


def _facts(intervention: Intervention) -> SagaFacts:
    steps = step_statuses(intervention)
    return SagaFacts(
        status=intervention.status,
        execution=execution_of(steps),
        reserved=has_open_reservation(intervention),
        reversible=intervention.policy.reversible,
        attention=attention_status(intervention),
        code=intervention.error_code,
        detail=intervention.error_detail,
    )


def _is_to_do(intervention: Intervention, step: Step) -> bool:
    steps = step_statuses(intervention)
    check_forwards(steps)
    if execution_of(steps) is not Execution.DONE:
        raise Conflict(_("The execution is not known to be done."), code="not_executed")
    return steps.get(step) != StepStatus.DONE


def _complete(intervention: Intervention, missing: str) -> None:
    """Note that the missing steps are done."""
    if intervention.status != InterventionStatus.EXECUTED:
        raise Conflict(
            ended_already(intervention.status),
            code="already_settled",
        )
    if intervention.error_code and not missing:
        intervention.error_code = intervention.error_detail = ""
        row_save(intervention, "error_code", "error_detail")
        process.tell_followers(INTERVENTION, intervention, process.SETTLED)
        record(intervention, f"{SUBJECT}.completed")


def _stakeholders(intervention: Intervention) -> list[User]:
    signers = signer_ids(SIGNED.key(intervention))
    people = User.objects.filter(pk__in=signers).exclude(pk=intervention.requested_by_id)
    return [intervention.requested_by, *people.order_by("pk")]
