"""Which business rules are in force."""

from apps.payments.models import PaymentRule
from apps.payments.rules import CHECKS, DEFAULTS, Rule


def rules_in_force() -> list[Rule]:
    """Return the enabled rules in the order in which they are applied."""
    rows = {row.code: row for row in PaymentRule.objects.filter(enabled=True)}
    return [Rule(code, rows[code].parameters) for code in CHECKS if code in rows]


def rules_ensure() -> None:
    """Make the rows of rules that have none, with their defaults. Called after migrations."""
    known = set(PaymentRule.objects.values_list("code", flat=True))
    for code, parameters in DEFAULTS.items():
        if code not in known:
            PaymentRule.objects.get_or_create(code=code, defaults={"parameters": parameters})
