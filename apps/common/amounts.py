"""Amounts of money as columns: as many places as any currency of ISO 4217 has.

How many of them an amount may use says its currency: `validation.clean_amount`.
"""

from decimal import Decimal
from typing import Any

from django.db import models

from apps.common.money import MOST_PLACES, trimmed

#: 16 digits before the point.
DIGITS = 16 + MOST_PLACES


class AmountField(models.DecimalField):
    """An amount in major units. Its row, or one that it belongs to, has the currency.

    In migrations it is Django's own field: they need nothing of ours.
    """

    def from_db_value(self, value: Decimal | None, expression: Any, connection: Any) -> Any:
        """The column's four places are more than most currencies have."""
        return None if value is None else trimmed(value)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"], kwargs["decimal_places"] = DIGITS, MOST_PLACES
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DecimalField", args, kwargs
