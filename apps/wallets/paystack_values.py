"""Values that Paystack sends: everything is what it should be, or it is not taken."""

import re
from decimal import Decimal
from typing import Any, TypeGuard

from apps.common.money import from_minor

#: The most characters of a text that we keep.
MOST_TEXT = 200
#: The greatest id of a transaction: unsigned, 64 bits.
MOST_ID = 2**64 - 1
_MOST_MINOR = 10**19
#: The columns of an amount have 16 digits before the point.
_BEYOND = Decimal(10) ** 16
_DIGITS = re.compile(r"\d{1,20}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


def _whole(raw: Any) -> int | None:
    """Return a whole number, also one that is written as a text."""
    if isinstance(raw, str) and _DIGITS.fullmatch(raw):
        return int(raw)
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def amount_of(raw: Any, currency: str) -> Decimal | None:
    """Return the amount of so many minor units, a whole number from zero, or None; also for more
    than can be kept."""
    minor = _whole(raw)
    if minor is None or not 0 <= minor < _MOST_MINOR:
        return None
    amount = from_minor(minor, currency)
    return amount if amount < _BEYOND else None


def identifier_of(raw: Any) -> str | None:
    """Return the id of a transaction or refund as text, or None."""
    number = _whole(raw)
    return str(number) if number is not None and 0 < number <= MOST_ID else None


def is_text(raw: Any, most: int = MOST_TEXT) -> TypeGuard[str]:
    """Return whether it is a text of 1 to `most` printable characters."""
    return isinstance(raw, str) and 0 < len(raw) <= most and raw.isprintable()


def is_currency(raw: Any) -> TypeGuard[str]:
    """Return whether it is written like the code of a currency."""
    return isinstance(raw, str) and _CURRENCY.fullmatch(raw) is not None
