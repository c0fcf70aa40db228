"""Every write of this domain, one keyword-only verb each.

The row, its steps and the ledger are the truth; a workflow only decides what to try next. Every
verb locks the intervention's row first, so two processes never disagree about what is allowed:
an execution begins only while the money is reserved, the money is released only while nothing was
executed, and a settled intervention takes part in nothing any more.
"""

from apps.interventions.services.approval import (
    approval_open,
    decision_read,
    intervention_expire,
)
from apps.interventions.services.attention import attention_open
from apps.interventions.services.batches import (
    batch_cancel,
    batch_pause,
    batch_request,
    batch_resume,
    batch_try,
)
from apps.interventions.services.batches_rows import RUN as BATCH_RUN
from apps.interventions.services.batches_running import item_note, items_prepare
from apps.interventions.services.batches_signing import SIGNED_BATCH
from apps.interventions.services.batches_warnings import batch_warn
from apps.interventions.services.budgets import (
    BudgetProof,
    budget_allocate,
    budget_commit,
    budget_open,
    budget_proof,
    budget_release,
    budget_reserve,
)
from apps.interventions.services.execution import EXECUTION
from apps.interventions.services.outcomes import (
    feature_update,
    intervention_settle,
    outcome_record,
    saga_facts,
    stakeholders_notify,
)
from apps.interventions.services.policies import (
    policy_details,
    policy_put,
    policy_switch_off,
    policy_validate,
)
from apps.interventions.services.recovery import (
    command_undeliverable,
    intervention_restart,
    process_closed,
    reservations_reconcile,
)
from apps.interventions.services.requests import intervention_cancel, intervention_request
from apps.interventions.services.rows import step_group_run
from apps.interventions.services.transfers import (
    transfer_approval,
    transfer_cancel,
    transfer_request,
)

__all__ = [
    "BATCH_RUN",
    "EXECUTION",
    "SIGNED_BATCH",
    "BudgetProof",
    "approval_open",
    "attention_open",
    "batch_cancel",
    "batch_pause",
    "batch_request",
    "batch_resume",
    "batch_try",
    "batch_warn",
    "budget_allocate",
    "budget_commit",
    "budget_open",
    "budget_proof",
    "budget_release",
    "budget_reserve",
    "command_undeliverable",
    "decision_read",
    "feature_update",
    "intervention_cancel",
    "intervention_expire",
    "intervention_request",
    "intervention_restart",
    "intervention_settle",
    "item_note",
    "items_prepare",
    "outcome_record",
    "policy_details",
    "policy_put",
    "policy_switch_off",
    "policy_validate",
    "process_closed",
    "reservations_reconcile",
    "saga_facts",
    "stakeholders_notify",
    "step_group_run",
    "transfer_approval",
    "transfer_cancel",
    "transfer_request",
]
