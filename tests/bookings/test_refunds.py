"""Refunds: by the rule and by agents, signed, and never more than was charged."""

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_decide, request_edit
from apps.bookings import payments
from apps.bookings.contracts import REFUND_ATTENTION_KIND
from apps.bookings.models import Booking, Refund
from apps.bookings.services import cancelling, refund_rows, refunds
from apps.common.errors import Conflict, DomainError, Unavailable
from apps.outbound.calls import Refused
from apps.wallets.models import JournalLine, Wallet
from apps.wallets.services.verify import ledger_verify
from tests.bookings.conftest import World, at_once, browser_of, caller_of
from tests.bookings.paid import move, paid_booking
from tests.bookings.stage import Stage
from tests.stage import failure, orm
from tests.support import eventually_async

FARE = Decimal("1500")


def balance(user_id: str = "ada") -> Decimal:
    return Wallet.objects.get(rider__user_id=user_id).balance


def kept() -> Decimal:
    """What has become revenue."""
    lines = JournalLine.objects.filter(account__code="revenue:NGN")
    return -sum((line.amount for line in lines), Decimal(0))


def cancel(world: World, booking: Booking, **changes: Any) -> Booking:
    about = {"by": world.people["requester"], "via": "api", "as_of": timezone.now()}
    return cancelling.booking_cancel(booking_id=booking.pk, **about | changes)


def ask(world: World, booking: Booking, amount: str = "1500.00", **changes: Any) -> Refund:
    about = {"by": world.people["agent"], "via": "api", "as_of": timezone.now()}
    about |= {"booking_id": booking.pk, "amount": Decimal(amount), "reason": "The bus was late."}
    return refunds.refund_request(**about | changes)[0]


def request_about(row: Any) -> ApprovalRequest:
    return ApprovalRequest.objects.get(subject_id=str(row.pk), status="open")


def sign(world: World, row: Any, verdict: str = "approve") -> ApprovalRequest:
    request = request_about(row)
    return request_decide(
        request_id=request.pk,
        by=world.people["senior"],
        verdict=verdict,
        reason="Checked.",
        payload_hash=request.payloads.order_by("-number").first().hash,
        via="api",
        as_of=timezone.now(),
    )


def check_ledger() -> None:
    assert ledger_verify().problems == []


# --- by the rule ----------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("before", "back", "status"),
    [
        (timedelta(hours=24, minutes=1), "1500.00", "done"),
        (timedelta(hours=23, minutes=59), "750.00", "awaiting_approval"),
        (timedelta(hours=2, minutes=1), "750.00", "awaiting_approval"),
        (timedelta(hours=1, minutes=59), "", ""),
    ],
)
def test_the_rule_counts_until_boarding(
    shared_world: World, before: timedelta, back: str, status: str
) -> None:
    booking = paid_booking(shared_world)
    now = timezone.now()
    move(booking.trip, now + before)
    quote = refunds.refund_quote(Booking.objects.get(pk=booking.pk), as_of=now)
    assert (quote.amount, quote.signed) == (Decimal(back or 0), status == "awaiting_approval")
    cancel(shared_world, booking, as_of=now)
    row = Booking.objects.get(pk=booking.pk)
    assert (row.status, row.reservation.status) == ("cancelled", "released")
    assert [(one.amount, one.status) for one in row.refunds.all()] == (
        [(Decimal(back), status)] if back else []
    )
    assert kept() == FARE - Decimal(back or 0)
    assert refunds.given_back(row) == (FARE if status == "done" else 0)
    assert balance() == (Decimal("5000") if status == "done" else Decimal("3500"))
    check_ledger()


@pytest.mark.django_db(transaction=True)
def test_a_large_refund_is_signed_however_early_it_is(shared_world: World) -> None:
    booking = paid_booking(shared_world, fare="20000.01", balance="30000.00")
    cancel(shared_world, booking)
    refund = Refund.objects.get()
    assert (refund.status, refund.amount) == ("awaiting_approval", Decimal("20000.01"))
    sign(shared_world, refund)
    assert balance() == Decimal("30000")


@pytest.mark.django_db(transaction=True)
def test_the_signer_may_lower_it_and_the_rest_stays(shared_world: World) -> None:
    booking = paid_booking(shared_world)
    move(booking.trip, timezone.now() + timedelta(hours=10))
    cancel(shared_world, booking)
    refund = Refund.objects.get()
    request = request_about(refund)

    def edit(amount: str) -> None:
        newest = request.payloads.order_by("-number").first()
        request_edit(
            request_id=request.pk,
            by=shared_world.people["admin"],
            changes={"amount": amount},
            payload_hash=newest.hash,
            reason="Half of it.",
            via="api",
            as_of=timezone.now(),
        )

    with pytest.raises(DomainError) as refused:
        edit("750.01")
    assert refused.value.code == "amount_above_limit"
    edit("300.00")
    assert Booking.objects.get().refunded == Decimal("300")
    sign(shared_world, refund)
    row = Booking.objects.get()
    assert (balance(), kept(), row.recognised) == (Decimal("3800"), Decimal("1200"), 1200)
    check_ledger()


@pytest.mark.django_db(transaction=True)
def test_rejected_the_cancellation_stands_and_the_money_stays(shared_world: World) -> None:
    booking = paid_booking(shared_world)
    move(booking.trip, timezone.now() + timedelta(hours=10))
    cancel(shared_world, booking)
    sign(shared_world, Refund.objects.get(), "reject")
    row = Booking.objects.get()
    assert (row.status, row.refunded, row.refunds.get().status) == ("cancelled", 0, "rejected")
    assert (balance(), kept()) == (Decimal("3500"), FARE)
    # What was kept can still be given back, by a person.
    sign(shared_world, ask(shared_world, booking, "1500.00"))
    assert (balance(), kept()) == (Decimal("5000"), Decimal(0))
    check_ledger()


# --- never more than the charge -------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_not_even_sql_refunds_more_than_was_charged(shared_world: World) -> None:
    booking = paid_booking(shared_world)
    ask(shared_world, booking, "1000.00")
    assert Booking.objects.get().refunded == Decimal("1000")
    statements = (
        "UPDATE bookings_booking SET refunded = charged + 0.01",
        "UPDATE bookings_refund SET amount = 1500.01",
        "INSERT INTO bookings_refund (id, booking_id, n, key, amount, currency, status, reason,"
        " receipt, workflow_id, idempotency_key, request_digest, error_code, error_detail, version,"
        " created_at) SELECT gen_random_uuid(), booking_id, 2, 'other', 500.01, currency, 'done',"
        " '', '', 'other', '', '', '', '', 1, now() FROM bookings_refund",
    )
    for statement in statements:
        with (
            pytest.raises(IntegrityError, match="refund_within_charge"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_of_ten_refunds_of_the_whole_fare_at_once_there_is_one(shared_world: World) -> None:
    booking = paid_booking(shared_world)
    found = at_once([partial(ask, shared_world, booking)] * 10)
    made = [one for one in found if isinstance(one, Refund)]
    assert len(made) == 1
    assert [one for one in found if one is not made[0]] == ["refund_exceeds_charge"] * 9
    sign(shared_world, made[0])
    assert balance() == Decimal("5000")
    check_ledger()


@pytest.mark.django_db(transaction=True)
def test_the_same_refund_at_once_and_again_is_one(shared_world: World) -> None:
    booking = paid_booking(shared_world)
    same = partial(ask, shared_world, booking, idempotency_key="once")
    found = at_once([same] * 8)
    assert {one.pk for one in found} == {Refund.objects.get().pk}
    with pytest.raises(Conflict) as other:
        ask(shared_world, booking, "1.00", idempotency_key="once")
    assert other.value.code == "idempotency_key_reused"


@pytest.mark.django_db(transaction=True)
def test_one_key_for_two_bookings_at_once_is_refused_once(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = paid_booking(shared_world), paid_booking(shared_world)
    ask(shared_world, first, idempotency_key="once")
    real, asked = refunds.asked_before, []

    def not_there_yet(*about: Any, **more: Any) -> Any:
        asked.append(more)
        return None if len(asked) == 1 else real(*about, **more)

    monkeypatch.setattr(refunds, "asked_before", not_there_yet)
    with pytest.raises(Conflict) as refused:
        ask(shared_world, second, idempotency_key="once")
    assert (refused.value.code, len(asked)) == ("idempotency_key_reused", 2)


@pytest.mark.django_db(transaction=True)
def test_cancelled_early_a_refund_that_waits_for_its_signature_is_part_of_it(
    shared_world: World,
) -> None:
    booking = paid_booking(shared_world)
    ask(shared_world, booking, "500.00")
    cancel(shared_world, booking)
    states = Refund.objects.order_by("n").values_list("status", "amount")
    assert list(states) == [("rejected", Decimal("500")), ("done", FARE)]
    assert balance() == Decimal("5000")
    check_ledger()


@pytest.mark.django_db(transaction=True)
def test_cancelled_by_many_at_once_it_is_refunded_once(shared_world: World) -> None:
    booking = paid_booking(shared_world)
    by_engine = partial(
        cancelling.booking_cancel_signalled,
        booking_id=booking.pk,
        reason="ill",
        as_of=timezone.now(),
    )
    at_once([partial(cancel, shared_world, booking), by_engine] * 6)
    assert (Refund.objects.count(), balance()) == (1, Decimal("5000"))
    check_ledger()


@pytest.mark.django_db(transaction=True)
def test_a_decision_twice_at_once_pays_once(shared_world: World) -> None:
    booking = paid_booking(shared_world)
    refund = ask(shared_world, booking)
    at_once([partial(sign, shared_world, refund)] * 4)
    assert balance() == Decimal("5000")
    check_ledger()


# --- the doors ------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_the_api_says_what_goes_back(shared_world: World) -> None:
    booking = paid_booking(shared_world)
    rider = caller_of(shared_world.people["requester"])
    agent = caller_of(shared_world.people["agent"])
    path = f"/api/v1/bookings/{booking.workflow_id}"
    body = {"amount": "500.00", "reason": "Late."}
    for caller, code in ((rider, 403), (agent, 201), (agent, 200)):
        answer = caller.post(
            f"{path}/refunds",
            body,
            content_type="application/json",
            headers={"Idempotency-Key": "k"},
        )
        assert answer.status_code == code, answer.content
    answer = agent.post(
        f"{path}/refunds", {**body, "amount": "1000.01"}, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_exceeds_charge")
    cancelled = rider.post(f"{path}/cancel", {}, content_type="application/json")
    assert cancelled.json() == {"message": "Booking cancelled"}
    status = rider.get(f"{path}/status").json()
    assert (status["status"], status["error"]) == ("FAILED", "Booking cancelled by user")
    assert status["booking"]["refund"] == "1500.00"
    assert [(one["amount"], one["status"]) for one in status["booking"]["refunds"]] == [
        ("500.00", "rejected"),
        ("1500.00", "done"),
    ]


@pytest.mark.django_db(transaction=True)
def test_the_page_says_what_goes_back_before_one_cancels(shared_world: World) -> None:
    booking = paid_booking(shared_world)
    rider = browser_of(shared_world.people["requester"])
    page = f"/bookings/{booking.pk}/"
    assert "100 % goes back at once, NGN 1,500.00" in plain(rider, page)
    move(booking.trip, timezone.now() + timedelta(hours=10))
    assert "50 % goes back, NGN 750.00, once somebody" in plain(rider, page)
    move(booking.trip, timezone.now() - timedelta(hours=1))
    shown = plain(rider, page)
    assert "cannot be cancelled any more" in shown
    assert 'id="cancel-box"' not in shown
    agent = browser_of(shared_world.people["agent"])
    form = {"booking_id": booking.pk, "amount": "100.00", "reason": "Late.", "idempotency_key": "x"}
    sent = agent.post("/refunds/new/", form, follow=True)
    assert sent.redirect_chain[-1][0] == f"/refunds/{Refund.objects.get().pk}/"
    assert rider.get("/refunds/new/").status_code == 403
    assert agent.get("/refunds/").status_code == 200


def plain(browser: Any, path: str) -> str:
    """The page's text, with plain blanks."""
    return str(browser.get(path).content.decode()).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.django_db(transaction=True)
def test_what_a_person_gives_up_to_send_back_stays(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = paid_booking(shared_world)

    def full(**about: Any) -> bool:
        raise Conflict("It is full.", code="wallet_full")

    monkeypatch.setattr(refund_rows, "wallet_refund", full)
    move(booking.trip, timezone.now() + timedelta(hours=10))
    cancel(shared_world, booking)
    refund = Refund.objects.get()
    sign(shared_world, refund)
    assert (Refund.objects.get().status, kept()) == ("unknown", FARE / 2)
    sign(shared_world, refund, "reject")
    row = Booking.objects.get()
    assert (Refund.objects.get().status, row.refunded, row.recognised) == ("rejected", 0, FARE)
    assert kept() == FARE
    # It can be asked for again.
    monkeypatch.undo()
    sign(shared_world, ask(shared_world, booking, "750.00"))
    assert (balance(), kept()) == (Decimal("4250"), FARE / 2)
    check_ledger()


# --- to a card ------------------------------------------------------------------------------------
async def test_a_refused_refund_to_a_card_is_asked_again_by_the_same_key(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = await stage.book(user_id="eve", payment_method="card")
    await stage.result(booking)
    real, keys = payments.refund, []

    def told(*about: Any, key: str, **more: Any) -> str:
        keys.append(key)
        if len(keys) == 1:
            raise Refused("payment service", 402, {"code": "later", "detail": "Not today."})
        receipt = real(*about, key=key, **more)
        if len(keys) == 2:
            raise Unavailable("the answer was lost", code="payment_service_unavailable")
        return receipt

    monkeypatch.setattr(payments, "refund", told)
    await orm(cancel, stage.world, booking)
    await stage.deliver()

    def became(status: str) -> Refund | None:
        return Refund.objects.filter(booking=booking, status=status).first()

    refund = await eventually_async(lambda: orm(became, "unknown"))
    asked = await orm(ApprovalRequest.objects.get, kind=REFUND_ATTENTION_KIND)
    assert (asked.status, refund.error_code) == ("open", "refund_refused")
    row = await stage.row(booking)
    assert (row.status, row.refunded) == ("cancelled", FARE)
    assert await orm(refunds.given_back, row) == 0
    assert await failure(stage.client.get_workflow_handle(refund.workflow_id)) == "refund_refused"
    await orm(sign, stage.world, refund)
    await stage.deliver()
    await eventually_async(lambda: orm(became, "done"))
    assert keys == [refund.key] * 3
    charges = await orm(stage.cards.of, booking)
    assert sum(map(Decimal, charges["refunds"].values())) == FARE
    await orm(check_ledger)
