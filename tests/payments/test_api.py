"""Payment events over the API: taken in one by one, whatever the others are."""

import json
from typing import Any

import pytest
from django.test import Client

from apps.accounts.demo_users import demo_people_ensure
from apps.accounts.models import User
from apps.payments.models import Intake, QuarantinedEvent
from tests.bookings.conftest import caller_of
from tests.payments.samples import an_event

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/payment-events"


@pytest.fixture
def caller() -> Client:
    demo_people_ensure()
    return caller_of(User.objects.get(username="admin"))


def post(caller: Client, body: Any, kind: str = "application/json") -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return caller.post(URL, content, content_type=kind)


def test_one_an_array_and_lines_are_taken_in(caller: Client) -> None:
    one = post(caller, an_event("e-1"))
    assert (one.status_code, one.json()["accepted"]) == (202, 1)
    many = post(caller, [an_event("e-2"), an_event("e-1", amount_cents=1), an_event("e-2")])
    outcomes = [(item["outcome"], item["code"]) for item in many.json()["items"]]
    assert outcomes == [
        ("accepted", None),
        ("quarantined", "event_id_reused"),
        ("twin", None),
    ]
    lines = b"\n".join(json.dumps(an_event(f"l-{n}")).encode() for n in range(3))
    assert post(caller, lines, "application/x-ndjson").json()["accepted"] == 3
    assert Intake.objects.count() == 5


def test_one_bad_event_refuses_no_other(caller: Client) -> None:
    good = json.dumps(an_event("e-1")).encode()
    body = (
        b"["
        + b",".join(
            [good, b'{"event_id":"d","a":1,"a":2}', b'{"event_id":"n","x":NaN}', b'{"x":"\\u0000"}']
        )
        + b"]"
    )
    answer = post(caller, body).json()
    assert [item["code"] for item in answer["items"]] == [
        None,
        "duplicate_key",
        "not_json",
        "invalid_text",
    ]
    assert (answer["accepted"], answer["quarantined"]) == (1, 3)
    assert {bytes(row.raw) for row in QuarantinedEvent.objects.all()} == {
        b'{"event_id":"d","a":1,"a":2}',
        b'{"event_id":"n","x":NaN}',
        b'{"x":"\\u0000"}',
    }


def test_the_same_body_again_writes_nothing(caller: Client) -> None:
    body = [an_event("e-1"), {"event_id": "e-2", "amount_cents": "x"}]
    post(caller, body)
    again = post(caller, body).json()
    assert [item["outcome"] for item in again["items"]] == ["twin", "quarantined"]
    assert (Intake.objects.count(), QuarantinedEvent.objects.get().seen) == (1, 2)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"[]", 422, "no_items"),
        (b"[" + b"1," * 1000 + b"1]", 422, "too_many_items"),
        (b" " * (8 * 1024 * 1024 + 1), 413, "too_large"),
    ],
)
def test_a_body_that_is_refused_has_a_code(
    caller: Client, body: bytes, status: int, code: str
) -> None:
    answer = post(caller, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert Intake.objects.count() == 0


def test_who_may_not_is_refused(caller: Client) -> None:
    assert post(Client(), an_event()).status_code == 401
    auditor = caller_of(User.objects.get(username="auditor"))
    answer = post(auditor, an_event())
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_an_event_is_read_once_it_is_kept(caller: Client) -> None:
    from apps.payments.contracts import ChurnPrediction, FraudScore, PersistInput
    from apps.payments.services.carrying import event_persist

    post(caller, [an_event("e/1"), an_event("e-2")])
    assert caller.get(f"{URL}/e-2").json()["code"] == "event_not_found"
    for event_id in ("e/1", "e-2"):
        scores = (FraudScore(0.5, "medium"), None, ChurnPrediction(0.1, "low", 90))
        event_persist(PersistInput(event_id, *scores))
    found = caller.get(f"{URL}/e-2").json()
    assert (found["fraud_score"], found["days_to_churn_estimate"]) == (0.5, 90)
    assert [item["event_id"] for item in caller.get(URL).json()["items"]] == ["e-2", "e/1"]
    for odd in ("nobody", "%00", "é", "x" * 200):
        assert caller.get(f"{URL}/{odd}").status_code == 404
