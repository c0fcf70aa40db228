"""Words of interventions on shared pages: next steps after refusals, words and tones of states."""

from apps.common.language import lazy as _
from apps.engine import timeline
from apps.interventions.contracts import Step
from apps.interventions.models import BudgetEntry
from apps.web import refusals, tones

NEXT_STEPS = {
    "execution_started": _("The programs finish it; this page shows how it ends."),
    "budget_exceeded": _("Nothing was asked. Choose another budget, or a smaller sum."),
    "budget_not_open": _("Nothing was asked. Choose the budget of the period that runs now."),
    "same_budget": _("Choose two different budgets."),
    "no_valid_items": _(
        "Nothing was stored. Check the list: each line says what is wrong with it."
    ),
    "amount_below_limit": _("Ask for more, or under a policy that allows so little."),
    "amount_above_limit": _("Ask for less, or under a policy that allows as much."),
    "policy_not_yet_valid": _("Ask again from that day on, or under another policy."),
    "policy_expired": _("Ask under another policy, or have this one prolonged."),
    "policy_inactive": _("Ask under another policy, or have this one switched on again."),
    "region_required": _("Name the region where it is paid."),
    "region_not_covered": _("Ask under a policy that covers it."),
    "target_limit_exceeded": _(
        "Ask for no more than what is left, or when earlier payments count no longer."
    ),
    "version_changed": _("Nothing was changed. Look at the version that is active now."),
}

TONES = {
    "reserve": "warn",
    "commit": "info",
    "release": "good",
    "allocate": "",
    "transfer_out": "warn",
    "transfer_in": "good",
    # States of policies and budgets.
    "applies_now": "good",
    "off": "warn",
    "not_yet_valid": "warn",
    "no_longer_valid": "warn",
    "low": "warn",
}

WORDS = {
    # Kinds of ledger lines, in the words of the bar of amounts.
    **{kind.value: kind.label for kind in BudgetEntry.Kind},
    "low": _("little is left"),
    "applies_now": _("applies now"),
    "off": _("off"),
    "not_yet_valid": _("not yet valid"),
    "no_longer_valid": _("no longer valid"),
    # Steps of the saga.
    Step.VALIDATE_POLICY: _("validate policy"),
    Step.GET_POLICY_DETAILS: _("get policy details"),
    Step.RESERVE_BUDGET: _("reserve budget"),
    Step.EXECUTE: _("execute intervention"),
    Step.UPDATE_FEATURE_STORE: _("update feature store"),
    Step.NOTIFY_STAKEHOLDERS: _("notify stakeholders"),
    Step.RECORD_OUTCOME: _("record outcome"),
    Step.ROLL_BACK: _("roll back"),
    Step.RELEASE_BUDGET: _("release budget"),
    # Subjects of the trail, and what outcomes are grouped by.
    "intervention": _("intervention"),
    "intervention-batch": _("batch"),
    "budget_transfer": _("transfer"),
    "policy": _("policy"),
    "budget": _("budget"),
    "region": _("region"),
    "status": _("status"),
    "day": _("day"),
    "month": _("month"),
}


ACTIONS = {
    "intervention.requested": _("Asked for it"),
    "intervention.awaiting_approval": _("Waits for a signature"),
    "intervention.approved": _("Approved"),
    "intervention.executing": _("Execution began"),
    "intervention.executed": _("Executed"),
    "intervention.failed": _("Failed"),
    "intervention.rejected": _("Rejected"),
    "intervention.expired": _("Expired: nobody signed in time"),
    "intervention.cancelled": _("Called off"),
    "intervention.edited": _("Edited"),
    "intervention.restarted": _("Its workflow was started again"),
    "intervention.completed": _("The missing steps are done"),
    "intervention.left_by_batch": _("Its batch goes on without it"),
    "intervention.execution_done": _("The payment was made"),
    "intervention.execution_refused": _("The payment was refused"),
    "intervention.rolled_back": _("The payment was taken back"),
    "intervention.reversal_refused": _("Taking the payment back was refused"),
    "intervention-batch.requested": _("Asked for the batch"),
    "intervention-batch.running": _("The batch began"),
    "intervention-batch.paused": _("Paused the batch"),
    "intervention-batch.resumed": _("Resumed the batch"),
    "intervention-batch.restarted": _("Its workflow was started again"),
    "intervention-batch.completed": _("The batch is worked through"),
    "intervention-batch.rejected": _("The batch was rejected"),
    "intervention-batch.cancelled": _("The batch was cancelled"),
    "budget.transfer_requested": _("Asked for the transfer"),
    "budget.transfer_done": _("The money was moved"),
    "budget.transfer_failed": _("Nothing was moved"),
    "budget.transfer_rejected": _("The transfer was rejected"),
    "budget.transfer_expired": _("Expired: nobody signed in time"),
    "budget.transfer_cancelled": _("The transfer was taken back"),
}
TRIED = {
    "intervention.request": _("Tried to ask for it"),
    "intervention.cancel": _("Tried to call it off"),
    "intervention.approval_open": _("No signature could be asked for"),
    "intervention-batch.request": _("Tried to ask for a batch"),
    "intervention-batch.pause": _("Tried to pause the batch"),
    "intervention-batch.resume": _("Tried to resume the batch"),
    "intervention-batch.cancel": _("Tried to cancel the batch"),
    "intervention-batch.approval_open": _("No signature could be asked for"),
    "budget.transfer_request": _("Tried to ask for a transfer"),
    "budget.transfer_cancel": _("Tried to take it back"),
    "budget_transfer.approval_open": _("No signature could be asked for"),
}


#: Codes that rows keep of what failed, in words.
CODES = {
    "budget_exceeded": _("budget exceeded"),
    "budget_full": _("budget full"),
    "budget_not_found": _("budget not found"),
    "budget_not_open": _("budget not open"),
    "same_budget": _("the same budget twice"),
    "execution_refused": _("execution refused"),
    "execution_unknown": _("execution without a known end"),
    "execution_stands": _("execution not undone"),
    "execution_started": _("execution has begun"),
    "execution_unfinished": _("execution unfinished"),
    "approved_not_executed": _("approved but not executed"),
    "steps_missing": _("steps missing"),
    "unsettled": _("not settled in time"),
    "needs_attention": _("needs attention"),
    "executor_unavailable": _("executor does not answer"),
    "not_executed": _("not executed yet"),
    "not_reserved": _("nothing is reserved"),
    "not_validated": _("not validated yet"),
    "reservation_released": _("reservation released"),
    "policy_inactive": _("policy is off"),
    "policy_expired": _("policy expired"),
    "policy_not_yet_valid": _("policy not yet valid"),
    "policy_not_found": _("policy not found"),
    "region_required": _("region missing"),
    "region_not_covered": _("region not covered"),
    "amount_above_limit": _("amount above the limit"),
    "amount_below_limit": _("amount below the limit"),
    "target_limit_exceeded": _("limit of the target exceeded"),
    "batch_differs": _("batch has changed"),
    "item_invalid": _("payment not valid"),
    "already_executing": _("execution has begun already"),
}


def register() -> None:
    """Register the texts. Called once, when Django is ready."""
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, {**WORDS, **CODES})
    timeline.register_words(ACTIONS, tried=TRIED)
