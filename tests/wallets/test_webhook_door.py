"""The door of Paystack's webhooks: what is signed is kept as it came, else there is a trace."""

import json
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from apps.accounts import throttle
from apps.audit.models import AuditEntry
from apps.engine import leader_tasks
from apps.engine.models import EngineCommand
from apps.simulators.signed import event_bytes
from apps.wallets import paystack
from apps.wallets.models import PaymentReview, WebhookEvent
from apps.wallets.paystack import PaymentStatus, Verified
from apps.wallets.services import webhooks
from tests.stage import orm
from tests.wallets.conftest import World
from tests.wallets.topup_stage import DOOR, answer_to, send, signed
from tests.wallets.topups import initialized, look, opened

pytestmark = pytest.mark.django_db


def paid(reference: str, **changes: Any) -> bytes:
    data = {"id": 7, "reference": reference, "amount": 150010, "currency": "NGN", **changes}
    return event_bytes("charge.success", data)


def test_the_bytes_are_kept_and_the_same_again_are_counted(world: World) -> None:
    body = paid("topup-of-nobody", note="₦ \\/ \\u20a6   ")
    assert [send(body), send(body)] == [200, 200]
    event = WebhookEvent.objects.get()
    assert (bytes(event.body), event.deliveries) == (body, 2)
    assert (event.event, event.reference) == ("charge.success", "topup-of-nobody")


def test_a_wrong_signature_leaves_an_entry_in_the_trail_and_nothing_else(
    world: World, settings: Any
) -> None:
    settings.PAYSTACK_SECRET_KEY_OLD = "sk_before"
    body = paid("r-1", callback="https://example.org/")
    again = json.dumps(json.loads(body)).encode()
    for header in ("", "0" * 128, signed(body).upper(), signed(again), signed(body, "other"), "é"):
        assert send(body, header) == 401
    assert WebhookEvent.objects.count() == 0
    entries = AuditEntry.objects.filter(action="webhook.take")
    assert set(entries.values_list("code", "outcome")) == {("signature_invalid", "refused")}
    assert send(body, signed(body, "sk_before")) == 200
    assert Client().get(DOOR).status_code == 405


def test_a_flood_of_wrong_signatures_is_limited_and_does_not_flood_the_trail(
    world: World, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttle.reset()
    monkeypatch.setattr(throttle, "_redis", throttle._local)
    settings.KEY_ATTEMPTS_PER_ADDRESS = 3
    here, elsewhere = {"REMOTE_ADDR": "203.0.113.9"}, {"REMOTE_ADDR": "203.0.113.10"}
    answers = [answer_to(paid(f"r-{n}"), "0" * 128, **here) for n in range(6)]
    assert [one.status_code for one in answers] == [401] * 3 + [429] * 3
    late = answers[-1]
    assert late.json()["code"] == "too_many_requests"
    assert 0 < int(late["Retry-After"]) <= settings.THROTTLE_SECONDS
    entries = AuditEntry.objects.filter(action="webhook.take").order_by("id")
    codes = ["signature_invalid"] * 3 + ["too_many_requests"]
    assert list(entries.values_list("code", flat=True)) == codes
    limited = entries[3].body
    assert (limited["address"], limited["most"], limited["seconds"]) == ("203.0.113.9", 3, 300)
    # What is signed is taken, also from there; and others are not limited.
    assert answer_to(paid("r-7"), **here).status_code == 200
    assert answer_to(paid("r-8"), "0" * 128, **elsewhere).status_code == 401
    assert entries.count() == 5


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"\xff\xfe", b"not json", b"[]", b"null", b"{}", b'{"event": 7}'),
        b'{"event": "charge.success"}',
        b'{"event": "charge.success", "data": []}',
        b'{"event": "charge.success", "data": {"reference": "r\\u0000", "id": 1}}',
        b'{"event": "charge.success", "data": {"reference": "r", "id": -1}}',
        b'{"event": "charge.success", "data": {"reference": "r", "id": 1, "amount": 1e999}}',
        b'{"event": "charge.success", "data": {"reference": "r", "id": 1, "amount": NaN}}',
        b'{"event":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"event": "' + b"x" * 100_000 + b'"}',
        b'{"event": "\\ud800", "data": {}}',
    ],
)
def test_bytes_that_nobody_can_read_are_kept_and_a_person_is_asked(
    world: World, body: bytes
) -> None:
    assert [send(body), send(body)] == [200, 200]
    event = WebhookEvent.objects.get()
    assert (bytes(event.body), event.outcome, event.deliveries) == (body, "review", 2)
    review = PaymentReview.objects.get()
    assert (review.code, review.amount, review.event_id) == ("unreadable", None, event.pk)


def test_without_the_database_paystack_comes_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(webhooks.transaction, "atomic", away)
    assert send(paid("r-1")) == 503


def test_a_fault_while_reading_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = webhooks.event_of

    def broken(body: bytes) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(webhooks, "event_of", broken)
    assert send(event_bytes("customer.created", {"id": 1})) == 200
    assert webhooks.events_look() == 1
    monkeypatch.setattr(webhooks, "event_of", real)
    assert WebhookEvent.objects.get().outcome == ""
    look()
    assert WebhookEvent.objects.get().outcome == "ignored"


def test_it_wakes_the_top_up_that_waits_and_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paystack, "initialize", initialized)
    world.rider()
    top_up, reference = opened(world)
    assert send(paid(reference)) == 200
    signal = EngineCommand.objects.get(kind="signal")
    assert (signal.workflow_id, signal.name) == (top_up.workflow_id, "paystackWebhookReceived")
    assert WebhookEvent.objects.get().outcome == ""
    # Without the workflow's doing nothing is credited, whatever the webhook says.
    assert world.balance() == 0


@pytest.mark.parametrize(
    ("says", "code"),
    [
        (Verified(PaymentStatus.UNKNOWN), "reference_unknown"),
        (Verified(PaymentStatus.SUCCESS, None, "NGN", "9"), ""),
        (Verified(PaymentStatus.FAILED), ""),
    ],
)
def test_a_reference_that_is_not_ours_is_asked_about(
    world: World, monkeypatch: pytest.MonkeyPatch, says: Verified, code: str
) -> None:
    monkeypatch.setattr(paystack, "verify", lambda reference: says)
    assert send(paid("theirs-1")) == 200
    look()
    codes = list(PaymentReview.objects.values_list("code", flat=True))
    assert codes == ([code] if code else [])


def test_disputes_and_failed_refunds_are_a_persons_business(world: World) -> None:
    payment = {"id": 7, "reference": "r-1", "amount": 5, "currency": "NGN"}
    dispute = {"id": 4, "transaction": payment}
    assert send(event_bytes("charge.dispute.create", dispute)) == 200
    refund = {"transaction_reference": "r-1", "amount": "5", "currency": "NGN", "status": "failed"}
    assert send(event_bytes("refund.failed", refund)) == 200
    assert send(event_bytes("refund.processed", refund)) == 200
    assert list(PaymentReview.objects.order_by("pk").values_list("code", flat=True)) == [
        *("dispute", "refund_failed"),
    ]


@pytest.mark.django_db(transaction=True)
async def test_the_leader_looks_at_what_has_no_outcome(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = Verified(PaymentStatus.UNKNOWN)
    monkeypatch.setattr(paystack, "verify", lambda reference: unknown)
    assert await orm(send, paid("theirs-1")) == 200
    duties = {duty.name: duty for duty in leader_tasks.standard()}
    leader: Any = None
    assert await duties["payment_events"].fn(leader) is True
    assert (await orm(WebhookEvent.objects.get)).outcome == "review"
    # Nothing is left to do.
    for name in ("payment_events", "payment_returns", "receipts"):
        assert await duties[name].fn(leader) is False
