"""Input as it comes from people and programs, made exact or refused with a stable code."""

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.common.errors import Invalid
from apps.common.money import MOST_PLACES, places, trimmed

CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}", re.ASCII)
CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
#: ISO 3166: a country (alpha-2), or a part of one.
REGION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?", re.ASCII)
#: As people write it: ASCII digits, no exponent.
AMOUNT = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?", re.ASCII)
LONGEST_KEY = 120
LONGEST_LINE = 200
LONGEST_REASON = 2000
LONGEST_TEXT = 5000
#: More than the countries of the world.
MOST_REGIONS = 300
#: The columns have 16 digits before the point; sums of a budget need room above one amount.
MOST = Decimal(10) ** 15
#: Of no form of their own: format, line and paragraph separators, private use, unassigned.
_UNSEEN = frozenset({"Cf", "Zl", "Zp", "Co", "Cn"})
#: Format characters that scripts need: joiners (Persian, Indic, emoji), and the signs that Arabic,
#: Syriac and Kaithi write around numbers, which are seen.
_NEEDED = frozenset("\u200c\u200d\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd") | frozenset(
    map(chr, range(0x0600, 0x0606))
)
_JOINERS = frozenset("\u200c\u200d")
#: Nothing is seen of them: fillers, selectors of variants, the joiner that is a mark.
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
) | frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))


def unseen(text: str) -> str:
    """The first character of the text that nobody sees and that changes what is read, such as one
    that turns the direction of writing, as "U+202E"; empty when there is none."""
    for character in text:
        if character not in _NEEDED and unicodedata.category(character) in _UNSEEN:
            return f"U+{ord(character):04X}"
    return ""


def kept(amount: Decimal, digits: int = MOST_PLACES) -> Decimal | None:
    """The same amount with so many places, as a column keeps it; None where that changes it."""
    try:
        exact = amount.quantize(Decimal(1).scaleb(-digits))
    except (InvalidOperation, AttributeError):
        return None
    return exact if exact.is_finite() and exact == amount else None


def amount_sent(raw: Any) -> Decimal:
    """The amount in a document of a program: a number, or a text such as 25000.00. NaN for what is
    none, or has too many digits to be read."""
    if isinstance(raw, Decimal):
        return raw
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return Decimal("NaN")
    text = raw.strip() if isinstance(raw, str) else ""
    if not isinstance(raw, str) and abs(raw) < 10**20:
        # A float is written as it was: 0.1 is a tenth, and 1e16 has no exponent.
        text = str(raw) if isinstance(raw, int) else format(Decimal(repr(raw)), "f")
    return Decimal(text) if AMOUNT.fullmatch(text) else Decimal("NaN")


def clean_amount(amount: Decimal, currency: str = "") -> Decimal:
    """The amount with the currency's places; Invalid `amount_invalid` unless 0 < amount < 10^15,
    exactly, and not finer than the currency is: JPY has no places, KWD three. Without a currency
    it may have as many as any has."""
    allowed = places(currency) if currency else MOST_PLACES
    exact = kept(amount, allowed)
    if exact is None or not 0 < exact < MOST:
        raise Invalid(
            f"An amount is above zero and written {amount_form(currency)}, at most 15 digits "
            "before the point.",
            code="amount_invalid",
        )
    return exact if currency else trimmed(exact)


def amount_form(currency: str) -> str:
    """How an amount is written, in words: `like 25000 in JPY: digits, without decimal places`."""
    allowed = places(currency)
    if not allowed:
        return f"like 25000 in {currency}: digits, without decimal places"
    number = ("one", "two", "three", "four")[allowed - 1]
    return f"like 25000.{'0' * allowed}: digits, a point and at most {number} decimal places"


def clean_text(text: str, *, field: str, limit: int, multiline: bool = False) -> str:
    """The text without blanks around it; Invalid `FIELD_invalid` when it is empty, too long, or
    has control characters, `invisible_characters` (extra field, character) when it has others that
    nobody sees (`unseen`): it is signed as it is read."""
    cleaned = text.strip() if isinstance(text, str) else ""
    allowed = "\n\r\t" if multiline else ""
    bad = any(unicodedata.category(c) in {"Cc", "Cs"} and c not in allowed for c in cleaned)
    if not cleaned or len(cleaned) > limit or bad:
        raise Invalid(
            f"The {field} is a text of 1 to {limit} printable characters.", code=f"{field}_invalid"
        )
    if character := unseen(cleaned):
        raise _invisible(field, character)
    return cleaned


def clean_reason(reason: str) -> str:
    """Why something is done; empty where nobody says why; Invalid `reason_invalid`."""
    if not reason.strip():
        return ""
    return clean_text(reason, field="reason", limit=LONGEST_REASON, multiline=True)


def clean_payee(text: str, *, field: str = "target") -> str:
    """Who is paid, written in one way, so that what reads the same is the same payee to the limits
    that count by it: composed (NFC), one blank between words. Invalid as `clean_text`, and
    `invisible_characters` also for those that no name needs where they stand."""
    cleaned = clean_text(text, field=field, limit=LONGEST_LINE)
    for before, character in zip(f" {cleaned}", cleaned, strict=False):
        if character in _BLANK or (character in _JOINERS and not _joins(before)):
            raise _invisible(field, f"U+{ord(character):04X}")
    one_way = " ".join(unicodedata.normalize("NFC", cleaned).split())
    return clean_text(one_way, field=field, limit=LONGEST_LINE)


def _joins(before: str) -> bool:
    """Whether a joiner after this character changes what is seen: after an Arabic letter, or a sign
    that takes away the vowel of an Indic one (RFC 5892, A.1 and A.2)."""
    return unicodedata.bidirectional(before) == "AL" or unicodedata.combining(before) == 9


def _invisible(field: str, character: str) -> Invalid:
    return Invalid(
        f"The {field} has a character that nobody sees ({character}): type it anew there.",
        code="invisible_characters",
        field=field,
        character=character,
    )


def read_amount(text: str, currency: str = "") -> Decimal:
    """The amount that a text such as 25000.00 names; Invalid `amount_invalid` as `clean_amount`."""
    try:
        # Decimal alone reads digits of every script, 1_0 and 1e3.
        amount = Decimal(text.strip() if AMOUNT.fullmatch(text.strip()) else "NaN")
    except (AttributeError, TypeError):
        amount = Decimal("NaN")
    return clean_amount(amount, currency)


def clean_code(code: str) -> str:
    """A slug in lower case; Invalid `code_invalid`."""
    if not isinstance(code, str) or not CODE.fullmatch(code):
        raise Invalid("A code has lower-case letters, digits, - and _.", code="code_invalid")
    return code


def clean_currency(currency: str) -> str:
    """Three capital letters; Invalid `currency_invalid`."""
    if not isinstance(currency, str) or not CURRENCY.fullmatch(currency):
        raise Invalid("A currency has three capital letters.", code="currency_invalid")
    return currency


def clean_region(region: str) -> str:
    """An ISO 3166 code by its form, such as NG or NG-KO; empty stays empty; Invalid
    `region_invalid`."""
    if not isinstance(region, str) or (region and not REGION.fullmatch(region)):
        raise Invalid(
            "A region is an ISO 3166 code in capital letters, such as NG or NG-KO.",
            code="region_invalid",
        )
    return region


def clean_regions(regions: Iterable[str]) -> list[str]:
    """Such codes, each once and in order; Invalid `region_invalid`, also beyond MOST_REGIONS."""
    if isinstance(regions, str) or not isinstance(regions, Iterable):
        raise Invalid("Regions are a list of ISO 3166 codes.", code="region_invalid")
    cleaned = {clean_region(region) for region in regions} - {""}
    if len(cleaned) > MOST_REGIONS:
        raise Invalid(f"A policy names at most {MOST_REGIONS} regions.", code="region_invalid")
    return sorted(cleaned)
