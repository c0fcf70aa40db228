"""Amounts of money as columns and as form fields: as many places as any currency of ISO 4217 has.

How many of them an amount may use says its currency: `validation.clean_amount`.
"""

from typing import Any

from django import forms
from django.db import models

from apps.common.money import MOST_PLACES

#: 16 digits before the point.
DIGITS = 16 + MOST_PLACES


class AmountField(models.DecimalField):
    """An amount in major units. Its row, or one that it belongs to, has the currency.

    In migrations it is Django's own field: they need nothing of ours.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"], kwargs["decimal_places"] = DIGITS, MOST_PLACES
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DecimalField", args, kwargs


class AmountFormField(forms.DecimalField):
    """What people type for one; the service refuses what is finer than the currency."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=DIGITS, decimal_places=MOST_PLACES, **kwargs)
