"""Validation of input from people and programs: exact values, or refusals with stable codes."""

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.money import MOST_PLACES, places, trimmed

CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}", re.ASCII)
CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
#: ISO 3166: a country (alpha-2), or a subdivision.
WORKFLOW_ID = re.compile(r"[!-~]([ -~]{0,198}[!-~])?", re.ASCII)
REGION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?", re.ASCII)
#: ASCII digits without exponent, as people write amounts.
AMOUNT = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?", re.ASCII)
LONGEST_KEY = 120
LONGEST_LINE = 200
LONGEST_REASON = 2000
LONGEST_TEXT = 5000
#: More than the countries of the world.
MOST_REGIONS = 300
#: The columns have 16 digits before the point; sums of a budget need room above one amount.
MOST = Decimal(10) ** 15
#: Categories without a visible form: format, line and paragraph separators, private use,
#: unassigned.
_UNSEEN = frozenset({"Cf", "Zl", "Zp", "Co", "Cn"})
#: Format characters that scripts need: joiners (Persian, Indic, emoji), and the visible signs that
#: Arabic, Syriac and Kaithi write around numbers.
_NEEDED = frozenset("\u200c\u200d\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd") | frozenset(
    map(chr, range(0x0600, 0x0606))
)
_JOINERS = frozenset("\u200c\u200d")
#: Invisible characters: fillers, variation selectors, and the joiner that is a combining mark.
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
) | frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))


def unseen(text: str) -> str:
    """Return the first invisible character that can change what people read, such as one that turns
    the writing direction, as "U+202E"; empty when there is none."""
    for character in text:
        if character not in _NEEDED and unicodedata.category(character) in _UNSEEN:
            return f"U+{ord(character):04X}"
    return ""


def kept(amount: Decimal, digits: int = MOST_PLACES) -> Decimal | None:
    """Return the amount with that many places, as a column stores it; None if that changes it."""
    try:
        exact = amount.quantize(Decimal(1).scaleb(-digits))
    except (InvalidOperation, AttributeError):
        return None
    return exact if exact.is_finite() and exact == amount else None


def amount_sent(raw: Any) -> Decimal:
    """Return the amount in a program's document: a number, or a text such as 25000.00. NaN for what
    is not an amount, or has too many digits."""
    if isinstance(raw, Decimal):
        return raw
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return Decimal("NaN")
    text = raw.strip() if isinstance(raw, str) else ""
    if not isinstance(raw, str) and abs(raw) < 10**20:
        # A float is taken by its shortest text: 0.1 is a tenth, and 1e16 has no exponent.
        text = str(raw) if isinstance(raw, int) else format(Decimal(repr(raw)), "f")
    return Decimal(text) if AMOUNT.fullmatch(text) else Decimal("NaN")


def clean_amount(amount: Decimal, currency: str = "") -> Decimal:
    """Return the amount with the currency's places. Raises Invalid `amount_invalid` unless 0 <
    amount < 10^15, and if it has more places than the currency: JPY has none, KWD three. Without a
    currency the most places of any apply."""
    allowed = places(currency) if currency else MOST_PLACES
    exact = kept(amount, allowed)
    if exact is None or not 0 < exact < MOST:
        raise Invalid(
            filled(
                _(
                    "An amount is above zero and written {amount_form}, at most 15 digits "
                    "before the point."
                ),
                amount_form=amount_form(currency),
            ),
            code="amount_invalid",
        )
    return exact if currency else trimmed(exact)


def clean_signed_amount(amount: Decimal, currency: str = "") -> Decimal:
    """As `clean_amount`, of an amount that may also be below zero."""
    if isinstance(amount, Decimal) and amount.is_signed():
        return clean_amount(amount.copy_negate(), currency).copy_negate()
    return clean_amount(amount, currency)


def amount_form(currency: str) -> str:
    """Describe how an amount is written: `like 25000 in JPY: digits, without decimal places`."""
    allowed = places(currency)
    if not allowed:
        return filled(
            _("like 25000 in {currency}: digits, without decimal places"), currency=currency
        )
    number = (_("one"), _("two"), _("three"), _("four"))[allowed - 1]
    return filled(
        _("like {example}: digits, a point and at most {number} decimal places"),
        example=f"25000.{'0' * allowed}",
        number=number,
    )


def text_of(text: Any, *, code: str) -> str:
    """Return the text unchanged. Raises Invalid with `code` for NUL bytes, lone surrogates and
    non-text."""
    if not isinstance(text, str) or "\x00" in text:
        raise Invalid(_("The text has characters that cannot be stored."), code=code)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(_("The text has characters that cannot be stored."), code=code) from None
    return text


def clean_text(text: str, *, field: str, limit: int, multiline: bool = False) -> str:
    """Return the text, stripped. Raises Invalid `FIELD_invalid` when it is empty, too long, or has
    control characters, `invisible_characters` (extra field, character) when it has other invisible
    ones (`unseen`), because people sign what they read."""
    cleaned = text.strip() if isinstance(text, str) else ""
    allowed = "\n\r\t" if multiline else ""
    bad = any(unicodedata.category(c) in {"Cc", "Cs"} and c not in allowed for c in cleaned)
    if not cleaned or len(cleaned) > limit or bad:
        raise Invalid(
            filled(
                _("The {field} is a text of 1 to {limit} printable characters."),
                field=field,
                limit=limit,
            ),
            code=f"{field}_invalid",
        )
    if character := unseen(cleaned):
        raise _invisible(field, character)
    return cleaned


def clean_reason(reason: str) -> str:
    """Return the reason, which may be empty. Raises Invalid `reason_invalid`."""
    if isinstance(reason, str) and not reason.strip():
        return ""
    return clean_text(reason, field="reason", limit=LONGEST_REASON, multiline=True)


def clean_payee(text: str, *, field: str = "target") -> str:
    """Return the payee's name in normal form, so that names that look the same count as one payee
    for limits: composed (NFC), one space between words. Raises Invalid as `clean_text`, and
    `invisible_characters` also for characters that no name needs at that place."""
    cleaned = clean_text(text, field=field, limit=LONGEST_LINE)
    for before, character in zip(f" {cleaned}", cleaned, strict=False):
        if character in _BLANK or (character in _JOINERS and not _joins(before)):
            raise _invisible(field, f"U+{ord(character):04X}")
    one_way = " ".join(unicodedata.normalize("NFC", cleaned).split())
    return clean_text(one_way, field=field, limit=LONGEST_LINE)


def _joins(before: str) -> bool:
    """Return whether a joiner after this character is visible: after an Arabic letter, or a sign
    that removes the vowel of an Indic one (RFC 5892, A.1 and A.2)."""
    return unicodedata.bidirectional(before) == "AL" or unicodedata.combining(before) == 9


def _invisible(field: str, character: str) -> Invalid:
    return Invalid(
        filled(
            _("The {field} has a character that nobody sees ({character}): type it anew there."),
            field=field,
            character=character,
        ),
        code="invisible_characters",
        field=field,
        character=character,
    )


def read_amount(text: str, currency: str = "") -> Decimal:
    """Return the amount in a text such as 25000.00. Raises Invalid `amount_invalid` as
    `clean_amount`."""
    try:
        # Decimal alone accepts digits of every script, 1_0 and 1e3.
        amount = Decimal(text.strip() if AMOUNT.fullmatch(text.strip()) else "NaN")
    except (AttributeError, TypeError):
        amount = Decimal("NaN")
    return clean_amount(amount, currency)


def clean_code(code: str) -> str:
    """Return the lower-case slug. Raises Invalid `code_invalid`."""
    if not isinstance(code, str) or not CODE.fullmatch(code):
        raise Invalid(_("A code has lower-case letters, digits, - and _."), code="code_invalid")
    return code


def clean_workflow_id(workflow_id: str) -> str:
    """Return the id of a workflow that somebody started by hand, if a row can keep it whole and a
    header can carry it. Raises Invalid `workflow_id_invalid`."""
    if not WORKFLOW_ID.fullmatch(workflow_id):
        raise Invalid(
            _("A workflow's id has at most 200 letters, digits, blanks and signs of ASCII."),
            code="workflow_id_invalid",
        )
    return workflow_id


def clean_currency(currency: str) -> str:
    """Return the three capital letters. Raises Invalid `currency_invalid`."""
    if not isinstance(currency, str) or not CURRENCY.fullmatch(currency):
        raise Invalid(_("A currency has three capital letters."), code="currency_invalid")
    return currency


def clean_region(region: str) -> str:
    """Return the region if it has the form of an ISO 3166 code, such as NG or NG-KO, or is empty.
    Raises Invalid `region_invalid`."""
    if not isinstance(region, str) or (region and not REGION.fullmatch(region)):
        raise Invalid(
            _("A region is an ISO 3166 code in capital letters, such as NG or NG-KO."),
            code="region_invalid",
        )
    return region


def clean_regions(regions: Iterable[str]) -> list[str]:
    """Return the regions, unique and sorted. Raises Invalid `region_invalid`, also beyond
    MOST_REGIONS."""
    if isinstance(regions, str) or not isinstance(regions, Iterable):
        raise Invalid(_("Regions are a list of ISO 3166 codes."), code="region_invalid")
    cleaned = {clean_region(region) for region in regions} - {""}
    if len(cleaned) > MOST_REGIONS:
        raise Invalid(
            filled(_("A policy names at most {most_regions} regions."), most_regions=MOST_REGIONS),
            code="region_invalid",
        )
    return sorted(cleaned)
