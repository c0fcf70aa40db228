"""Words of interventions on shared pages: next steps after refusals, words and tones of states."""

from apps.common.language import lazy as _
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
    # The subject of a request, in the link to it.
    "intervention-batch": _("batch"),
}


def register() -> None:
    """Register the texts. Called once, when Django is ready."""
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, WORDS)
