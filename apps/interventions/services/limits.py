"""How much a policy lets anybody ask for."""

from decimal import Decimal

from apps.errors import Invalid
from apps.interventions.models import Policy


def check_limit(policy: Policy, amount: Decimal) -> None:
    """Invalid `amount_above_limit` with the limit as extra."""
    if policy.max_amount is not None and amount > policy.max_amount:
        raise Invalid(
            f"The policy allows at most {policy.currency} {policy.max_amount:,.2f}.",
            code="amount_above_limit",
            limit=f"{policy.max_amount:.2f}",
        )
