"""Checks the parameters of business rules before they are put in force. Pure functions."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.money import is_currency
from apps.payments.reading import TEXTS
from apps.payments.rules import DEFAULTS, REQUIRED

#: Rules that an event cannot be kept without: columns have no value for "unknown", and nobody knows
#: which scores an unknown status asks for.
INDISPENSABLE = frozenset({"required_fields", "status_known"})
#: Fields that may be required besides.
REQUIRABLE = (*REQUIRED, *(name for name in TEXTS if name not in REQUIRED), "processed_at")
#: The largest amount, and the smallest below zero, of the table's column.
MOST_AMOUNT = 2**63 - 1
#: A week, in seconds.
MOST_AHEAD = 7 * 24 * 3600
MOST_CURRENCIES = 300
MOST_METHODS = 100
MOST_BLOCKED = 10_000

Parameters = dict[str, Any]


def parameters_checked(code: str, given: Mapping[str, Any]) -> Parameters:
    """Return the parameters as the rule's row keeps them. `code`: of a known rule.

    Raises Invalid `parameters_unknown` (a name is missing, or is none of the rule's),
    `bounds_invalid`, `bounds_out_of_order`, `ahead_invalid`, `currency_unknown`, `field_unknown`,
    `field_indispensable`, and of lists `list_invalid`, `list_empty`, `list_too_long`,
    `entry_invalid`, `entry_twice`; each with the `field` it is about.
    """
    names = set(DEFAULTS[code])
    if not isinstance(given, Mapping) or set(given) != names:
        raise Invalid(
            filled(
                _("This rule's parameters are: {names}."), names=", ".join(sorted(names)) or "–"
            ),
            code="parameters_unknown",
        )
    return _CHECKED[code](given)


# --- a function for each rule ---------------------------------------------------------------------
def _required_fields(given: Mapping[str, Any]) -> Parameters:
    fields = _list(given, "fields", most=len(REQUIRABLE), longest=40)
    for name in fields:
        if name not in REQUIRABLE:
            raise Invalid(
                filled(_("There is no field {name} that could be required."), name=name),
                code="field_unknown",
                field="fields",
            )
    for name in REQUIRED:
        if name not in fields:
            raise Invalid(
                filled(_("No event can be kept without {name}."), name=name),
                code="field_indispensable",
                field="fields",
            )
    # In the order of the event's fields: the first that is missing is the event's code.
    return {"fields": [name for name in REQUIRABLE if name in fields]}


def _amount_bounds(given: Mapping[str, Any]) -> Parameters:
    least = _integer(given, "least", -MOST_AMOUNT, MOST_AMOUNT, "bounds_invalid")
    most = _integer(given, "most", -MOST_AMOUNT, MOST_AMOUNT, "bounds_invalid")
    if least > most:
        raise Invalid(
            _("The least amount is above the most."), code="bounds_out_of_order", field="least"
        )
    return {"least": least, "most": most}


def _currency_allowed(given: Mapping[str, Any]) -> Parameters:
    currencies = _list(given, "currencies", most=MOST_CURRENCIES, longest=3)
    for code in currencies:
        if not is_currency(code):
            raise Invalid(
                filled(
                    _("{code} is no currency of ISO 4217: three capital letters, such as BRL."),
                    code=code,
                ),
                code="currency_unknown",
                field="currencies",
            )
    return {"currencies": currencies}


def _status_known(given: Mapping[str, Any]) -> Parameters:
    return {}


def _timestamp_bounds(given: Mapping[str, Any]) -> Parameters:
    return {"ahead_seconds": _integer(given, "ahead_seconds", 0, MOST_AHEAD, "ahead_invalid")}


def _method_known(given: Mapping[str, Any]) -> Parameters:
    longest = TEXTS["payment_method_type"]
    return {"methods": _list(given, "methods", most=MOST_METHODS, longest=longest)}


def _blocklist(given: Mapping[str, Any]) -> Parameters:
    longest = TEXTS["customer_id"]
    return {"blocked": _list(given, "blocked", most=MOST_BLOCKED, longest=longest, least=0)}


_CHECKED: dict[str, Callable[[Mapping[str, Any]], Parameters]] = {
    "required_fields": _required_fields,
    "amount_bounds": _amount_bounds,
    "currency_allowed": _currency_allowed,
    "status_known": _status_known,
    "timestamp_bounds": _timestamp_bounds,
    "method_known": _method_known,
    "customer_blocklist": _blocklist,
    "merchant_blocklist": _blocklist,
}


# --- helpers --------------------------------------------------------------------------------------
def _integer(given: Mapping[str, Any], name: str, least: int, most: int, code: str) -> int:
    value = given[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(
            filled(
                _("{name} is a whole number from {least} to {most}."),
                name=name,
                least=least,
                most=most,
            ),
            code=code,
            field=name,
        )
    return value


def _list(
    given: Mapping[str, Any], name: str, *, most: int, longest: int, least: int = 1
) -> list[str]:
    """Return the list of different printable texts."""
    entries = given[name]
    if isinstance(entries, str) or not isinstance(entries, Sequence):
        raise Invalid(filled(_("{name} is a list."), name=name), code="list_invalid", field=name)
    if len(entries) < least:
        raise Invalid(
            filled(
                _("{name} is empty: every event would fail. Switch the rule off instead."),
                name=name,
            ),
            code="list_empty",
            field=name,
        )
    if len(entries) > most:
        raise Invalid(
            filled(_("{name} has at most {most} entries."), name=name, most=most),
            code="list_too_long",
            field=name,
        )
    seen: set[str] = set()
    for entry in entries:
        if not _is_text(entry, longest):
            raise Invalid(
                filled(
                    _("An entry of {name} has 1 to {longest} printable characters."),
                    name=name,
                    longest=longest,
                ),
                code="entry_invalid",
                field=name,
            )
        if entry in seen:
            raise Invalid(
                filled(_("{entry} is listed twice."), entry=entry), code="entry_twice", field=name
            )
        seen.add(entry)
    return list(entries)


def _is_text(entry: Any, longest: int) -> bool:
    return (
        isinstance(entry, str)
        and 0 < len(entry) <= longest
        and not any(unicodedata.category(character) in {"Cc", "Cs"} for character in entry)
    )
