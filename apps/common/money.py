"""Money as text: amounts for display, exact amounts, and amounts as people write them.

An amount is a Decimal of major units (naira, not kobo). Its currency sets the decimal places.
"""

import re
from decimal import Context, Decimal

from iso4217 import Currency

from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _

NO_BREAK = "\u00a0"
_USUAL = 2
_CENT = Decimal("0.01")
#: The default context rounds to 28 digits; sums of a whole ledger may have more.
_EVERY_DIGIT = Context(prec=60)
#: ISO 4217 minor units of the active codes. Metals and units of account have none.
_PLACES = {known.code: known.exponent for known in Currency if known.exponent is not None}
#: The most decimal places of any currency. Columns have this width.
MOST_PLACES = 4
#: Characters that are only ever used as thousands separators.
_BLANKS = str.maketrans("", "", " \u00a0\u2009\u202f'\u2019")
_PLAIN = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3}){0,5}", re.ASCII)
_BLANK_GROUPS = re.compile(
    r"[+-]?[1-9]\d{0,2}(?:([ \u00a0\u2009\u202f'\u2019])\d{3})(?:\1\d{3}){0,5}", re.ASCII
)
#: Also matches 1000,000, because a separator of millions may be missing.
_MAYBE_GROUPED = re.compile(r"[+-]?[1-9]\d{0,19}", re.ASCII)
_DECIMALS = re.compile(r"\d{1,20}", re.ASCII)


def places(currency: str) -> int:
    """Return the digits of the currency's minor unit (ISO 4217): 0 for JPY, 3 for KWD, 2 if not
    listed."""
    return _PLACES.get(currency, _USUAL)


def is_currency(code: str) -> bool:
    """Return whether this is an active code of ISO 4217 that amounts can have."""
    return code in _PLACES


def unit(currency: str) -> Decimal:
    """Return the currency's smallest amount: 0.01 for NGN, 1 for JPY."""
    return Decimal(1).scaleb(-places(currency))


def figure(amount: Decimal, currency: str) -> str:
    """Return the amount for display without currency: `25,000.00`; rounded to the currency's
    places."""
    return f"{amount:,.{places(currency)}f}"


def shown(amount: Decimal | None, currency: str, *, blank: str = " ") -> str:
    """Return the amount for display: `NGN 25,000.00`, `JPY 25,000`; a dash without an amount.

    Rounded to the currency's places, because averages have more. `blank` separates currency and
    amount.
    """
    if amount is None:
        return "–"
    return f"{currency}{blank}{figure(amount, currency)}" if currency else figure(amount, currency)


def exact(amount: Decimal, currency: str) -> str:
    """Return the amount for programs, signatures, hashes and audit: `25000.00`, `25000` of JPY,
    `1.250` of KWD. Each amount has one text. Never rounded: further places are kept."""
    text = f"{amount:.{places(currency)}f}"
    return text if Decimal(text) == amount else f"{amount:f}"


def exact_or_none(amount: Decimal | None, currency: str) -> str | None:
    """As `exact`; None without an amount."""
    return None if amount is None else exact(amount, currency)


def unambiguous(amount: Decimal, currency: str) -> str:
    """Return the exact amount for a file that is read again: `amount_written` reads it as this
    amount. Three places could be thousands, so KWD 1.250 is `1.2500`."""
    text = exact(amount, currency)
    return f"{text}0" if len(text.partition(".")[2]) == 3 else text


def to_minor(amount: Decimal, currency: str) -> int:
    """Return the amount in the currency's minor units: 150010 of NGN 1500.10, 25000 of JPY 25000.

    Raises Invalid `amount_invalid` for an amount with more places than the currency has, instead
    of rounding it; NaN and infinity are no amounts either.
    """
    minor = amount.scaleb(places(currency), context=_EVERY_DIGIT) if amount.is_finite() else amount
    if not minor.is_finite() or minor != minor.to_integral_value():
        raise Invalid(
            filled(
                _("An amount of {currency} is a whole number of its smallest unit, {unit}."),
                currency=currency,
                unit=f"{unit(currency):f}",
            ),
            code="amount_invalid",
        )
    return int(minor)


def from_minor(minor: int, currency: str) -> Decimal:
    """Return the amount of so many minor units: 1500.10 of NGN 150010. Exact."""
    return Decimal(minor).scaleb(-places(currency), context=_EVERY_DIGIT)


def trimmed(amount: Decimal) -> Decimal:
    """Return the amount without trailing zeros, but with at least two places: 25000.0000 is
    25000.00, 1.2500 is 1.25. For an amount whose currency is not known."""
    cents = amount.quantize(_CENT, context=_EVERY_DIGIT)
    return cents if cents == amount else amount.normalize(_EVERY_DIGIT)


def amount_written(text: str) -> Decimal:
    """Return the amount in a cell of a file, in any usual form: 1234.56, 1234,56, 1,234.56,
    1.234,56, 1 234,56, 1'234.56.

    Raises Invalid `amount_ambiguous` for an amount with two readings, such as 1,234 and 1.234,
    instead of guessing; Invalid `amount_invalid` for what is not an amount.
    """
    cell = text.strip()
    whole, mark, decimals = cell, "", ""
    if (last := max(cell.rfind("."), cell.rfind(","))) >= 0:
        whole, mark, decimals = cell[:last], cell[last], cell[last + 1 :]
    if not mark or mark in whole:
        return _whole(cell)
    if not _DECIMALS.fullmatch(decimals):
        raise _no_amount()
    if len(decimals) == 3 and _MAYBE_GROUPED.fullmatch(whole):
        raise Invalid(
            filled(
                _(
                    "{cell} can be read as {whole}{decimals} or as {whole} and a fraction. "
                    "Write it without a separator of thousands: {whole}{decimals} is the "
                    "first, {whole}.{decimals}0 is the second."
                ),
                cell=cell,
                whole=whole,
                decimals=decimals,
            ),
            code="amount_ambiguous",
        )
    return Decimal(f"{_whole(whole)}.{decimals}")


def _whole(text: str) -> Decimal:
    """Return the number without a fraction: digits, plain or in groups of three."""
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    if _GROUPED.fullmatch(text):
        return Decimal(text.replace(",", "").replace(".", ""))
    if _BLANK_GROUPS.fullmatch(text):
        return Decimal(text.translate(_BLANKS))
    raise _no_amount()


def _no_amount() -> Invalid:
    return Invalid(
        _("An amount is written like 25000.00 or 25000,00, in digits."), code="amount_invalid"
    )
