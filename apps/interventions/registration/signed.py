"""Words of what is signed that interventions, batches and transfers have in common.

No links: whoever sees the request may not see the policy or the budget.
"""

from django.utils.translation import gettext

from apps.approvals.signed_words import Wording
from apps.interventions.models import Budget, Policy


def say_terms(signed: Wording, policy: Policy, *, undoing: str) -> None:
    """Say the policy's name and version, and whether what it pays can be taken back."""
    signed.named(
        gettext("Policy"),
        {"policy": policy.code, "policy_version": policy.version},
        gettext("{name} ({code}, version {version})").format(
            name=policy.name, code=policy.code, version=policy.version
        ),
    )
    gone = gettext("not possible: the money is gone")
    signed.either(undoing, "reversible", yes=gettext("possible"), no=gone, warn=False)


def say_budget(signed: Wording, label: str, field: str, budget: Budget) -> None:
    """Say the budget's name and code."""
    signed.named(label, {field: budget.code}, f"{budget.name} ({budget.code})")
