"""Model field for amounts of money, with the most decimal places of any ISO 4217 currency.

The currency limits how many places an amount may use: `validation.clean_amount`.
"""

from decimal import Decimal
from typing import Any

from django.db import models

from apps.common.money import MOST_PLACES, trimmed

#: 16 digits before the decimal point.
DIGITS = 16 + MOST_PLACES


class AmountField(models.DecimalField):
    """An amount in major units. Its row, or the row's parent, has the currency.

    Migrations contain Django's own field, so that they import nothing of ours.
    """

    def from_db_value(self, value: Decimal | None, expression: Any, connection: Any) -> Any:
        """Return the amount without the trailing zeros of the column's four places."""
        return None if value is None else trimmed(value)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"], kwargs["decimal_places"] = DIGITS, MOST_PLACES
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DecimalField", args, kwargs
