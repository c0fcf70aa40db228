"""Business rules of payment events: pure functions of an event, parameters and the time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.payments.contracts import STATUSES

#: Every field that an event must have, beside its id.
REQUIRED = (
    "event_id",
    "provider",
    "provider_event_id",
    "event_type",
    "status",
    "currency",
    "amount_cents",
    "provider_created_at",
)
CURRENCIES = ("USD", "EUR", "GBP", "CAD", "AUD", "JPY", "CHF", "CNY", "HKD", "NZD", "BRL", "NGN")
METHODS = ("card", "bank_transfer", "pix", "boleto", "wallet", "ussd", "mobile_money", "other")


@dataclass(frozen=True)
class Failure:
    """A rule that an event fails: the rule's code, the field, and a sentence."""

    code: str
    field: str
    message: str

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "field": self.field, "message": self.message}


@dataclass(frozen=True)
class Rule:
    """A rule as it is in force: its code, and the parameters that its row has."""

    code: str
    parameters: Mapping[str, Any]


def rule_of(code: str, parameters: Mapping[str, Any]) -> Rule:
    """Return the rule with its lists as sets, in which a value is found at once; the fields that
    are required keep their order."""
    return Rule(
        code,
        {
            name: frozenset(value) if isinstance(value, list) and name != "fields" else value
            for name, value in parameters.items()
        },
    )


Fields = Mapping[str, Any]
Check = Callable[[Fields, Mapping[str, Any], datetime], list[Failure]]


def failures_of(fields: Fields, rules: Sequence[Rule], *, now: datetime) -> list[Failure]:
    """Return every failure, in the order of the rules; the first is the event's code. Rules whose
    field is missing say nothing: that is `required_fields`' to say."""
    return [
        failure for rule in rules for failure in CHECKS[rule.code](fields, rule.parameters, now)
    ]


def _required(fields: Fields, given: Mapping[str, Any], now: datetime) -> list[Failure]:
    return [
        Failure("required_fields", name, f"{name} is missing.")
        for name in given.get("fields", REQUIRED)
        if fields.get(name) in (None, "")
    ]


def _amount(fields: Fields, given: Mapping[str, Any], now: datetime) -> list[Failure]:
    amount, least, most = fields.get("amount_cents"), given["least"], given["most"]
    if amount is None or least <= amount <= most:
        return []
    return [Failure("amount_bounds", "amount_cents", f"It is {amount}, not {least} to {most}.")]


def _currency(fields: Fields, given: Mapping[str, Any], now: datetime) -> list[Failure]:
    return _among(fields, "currency", given["currencies"], "currency_allowed")


def _status(fields: Fields, given: Mapping[str, Any], now: datetime) -> list[Failure]:
    found = _among(fields, "status", STATUSES, "status_known")
    return [Failure("status_unknown", one.field, one.message) for one in found]


def _times(fields: Fields, given: Mapping[str, Any], now: datetime) -> list[Failure]:
    latest = now + timedelta(seconds=given["ahead_seconds"])
    return [
        Failure("timestamp_bounds", name, f"{fields[name].isoformat()} is in the future.")
        for name in ("provider_created_at", "processed_at")
        if fields.get(name) and fields[name] > latest
    ]


def _method(fields: Fields, given: Mapping[str, Any], now: datetime) -> list[Failure]:
    return _among(fields, "payment_method_type", given["methods"], "method_known")


def _customer(fields: Fields, given: Mapping[str, Any], now: datetime) -> list[Failure]:
    return _blocked(fields, "customer_id", given["blocked"], "customer_blocklist")


def _merchant(fields: Fields, given: Mapping[str, Any], now: datetime) -> list[Failure]:
    return _blocked(fields, "merchant_id", given["blocked"], "merchant_blocklist")


def _among(fields: Fields, name: str, known: Any, code: str) -> list[Failure]:
    value = fields.get(name)
    if value in (None, "") or value in known:
        return []
    return [Failure(code, name, f"{str(value)[:60]!r} is not known.")]


def _blocked(fields: Fields, name: str, blocked: Any, code: str) -> list[Failure]:
    if fields.get(name) in blocked:
        return [Failure(code, name, f"{name} is blocked.")]
    return []


#: In the order in which they are applied.
CHECKS: dict[str, Check] = {
    "required_fields": _required,
    "amount_bounds": _amount,
    "currency_allowed": _currency,
    "status_known": _status,
    "timestamp_bounds": _times,
    "method_known": _method,
    "customer_blocklist": _customer,
    "merchant_blocklist": _merchant,
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "required_fields": {"fields": list(REQUIRED)},
    "amount_bounds": {"least": 1, "most": 100_000_000},
    "currency_allowed": {"currencies": list(CURRENCIES)},
    "status_known": {},
    "timestamp_bounds": {"ahead_seconds": 300},
    "method_known": {"methods": list(METHODS)},
    "customer_blocklist": {"blocked": []},
    "merchant_blocklist": {"blocked": []},
}
