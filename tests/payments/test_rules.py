"""The business rules, each at its edge."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.payments.contracts import STATUSES, Scoring
from apps.payments.reading import Event, event_of
from apps.payments.rules import DEFAULTS, REQUIRED, Rule, failures_of
from tests.payments.samples import an_event

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def failed(rules: dict[str, Any] | None = None, **changes: Any) -> list[tuple[str, str]]:
    event = event_of(an_event(**changes), is_reserved=lambda _: False)
    assert isinstance(event, Event), event
    in_force = [
        Rule(code, {**given, **(rules or {}).get(code, {})}) for code, given in DEFAULTS.items()
    ]
    return [(one.code, one.field) for one in failures_of(event.fields, in_force, now=NOW)]


def test_a_good_event_fails_nothing() -> None:
    assert failed() == []
    assert failed(currency="BrL", status="SUCCEEDED", amount_cents=100_000_000) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        *(({name: None}, [("required_fields", name)]) for name in REQUIRED if name != "event_id"),
        ({"provider": ""}, [("required_fields", "provider")]),
        ({"amount_cents": 0}, [("amount_bounds", "amount_cents")]),
        ({"amount_cents": -1}, [("amount_bounds", "amount_cents")]),
        ({"amount_cents": 100_000_001}, [("amount_bounds", "amount_cents")]),
        ({"currency": "XXX"}, [("currency_allowed", "currency")]),
        ({"status": "capturing"}, [("status_unknown", "status")]),
        ({"provider_created_at": "2026-01-01T12:05:00Z"}, []),
        (
            {"provider_created_at": "2026-01-01T12:05:01Z"},
            [("timestamp_bounds", "provider_created_at")],
        ),
        ({"payment_method_type": "shells"}, [("method_known", "payment_method_type")]),
        ({"payment_method_type": None}, []),
        (
            {"currency": "XXX", "amount_cents": 0},
            [("amount_bounds", "amount_cents"), ("currency_allowed", "currency")],
        ),
    ],
)
def test_each_rule_at_its_edge(changes: Any, expected: Any) -> None:
    assert failed(**changes) == expected


def test_blocked_people_and_merchants_fail() -> None:
    blocked = {
        "customer_blocklist": {"blocked": ["c-1"]},
        "merchant_blocklist": {"blocked": ["m-1"]},
    }
    assert failed(blocked) == [
        ("customer_blocklist", "customer_id"),
        ("merchant_blocklist", "merchant_id"),
    ]


def test_which_scores_a_status_asks_for() -> None:
    by = {scoring: {s for s, known in STATUSES.items() if known is scoring} for scoring in Scoring}
    assert by[Scoring.FRAUD] == {"succeeded", "captured", "completed", "paid", "settled"}
    assert by[Scoring.RETRY] == {"failed", "declined"}
    assert "cancelled" in by[Scoring.NEITHER]
