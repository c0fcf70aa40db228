"""How much of a fare goes back when a confirmed booking is cancelled. Versions stay: a booking
keeps the one that it was made under."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from apps.common.money import unit

#: A refund that is decided later before boarding than this, or is above this (major units), is
#: signed.
SIGNED_WITHIN = timedelta(hours=24)
SIGNED_ABOVE = Decimal("20000.00")


@dataclass(frozen=True)
class RefundRule:
    """A version of the rule. `bands`: at least so long before boarding goes back so much percent,
    the longest time first; after the last one nothing."""

    version: int
    bands: tuple[tuple[timedelta, int], ...]

    def percent(self, before: timedelta) -> int:
        """Return how much percent goes back that long before boarding."""
        return next((percent for least, percent in self.bands if before >= least), 0)


RULES = {
    rule.version: rule
    for rule in (RefundRule(1, ((timedelta(hours=24), 100), (timedelta(hours=2), 50))),)
}
NEWEST = max(RULES)


def share(amount: Decimal, percent: int, currency: str) -> Decimal:
    """Return that part of the amount, in whole minor units of the currency."""
    return (amount * percent / 100).quantize(unit(currency), rounding=ROUND_HALF_UP)
