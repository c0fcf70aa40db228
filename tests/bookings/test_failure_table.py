"""Every step of a booking, every way to fail, both ways to pay: the seat, the money, the manifest.

`pytest tests/bookings/test_failure_table.py -s` prints the table. All cases run side by side on one
worker, each with a rider and a payment of its own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.bookings import payments
from apps.bookings.contracts import ACTIVE, ATTENTION_KIND
from apps.bookings.models import Booking, ManifestLine, Reservation
from apps.bookings.services import cancelling, running
from apps.common.errors import Conflict, Unavailable
from apps.notifications.models import Mail
from apps.wallets.services.verify import ledger_verify
from tests.bookings.conftest import put_rider
from tests.bookings.stage import Stage
from tests.stage import orm
from tests.support import eventually_async, patient

FARE, MONEY = Decimal("1500"), Decimal("5000")
ALWAYS = 10**6


@dataclass(frozen=True)
class Case:
    """A failure at a step. `times`: how often it fails; `code`: how the booking ends, empty: it is
    confirmed; `charges`: how often the card is charged."""

    step: str
    failure: str
    method: str
    code: str = ""
    times: int = ALWAYS
    charges: int = 1

    @property
    def rider(self) -> str:
        return f"{self.step}.{self.failure}.{self.method}"


BOTH = ("wallet", "card")
STEPS = ("seat_reserve", "booking_confirm", "confirmation_queue", "manifest_add")
CASES = [
    *(Case("none", "none", method) for method in BOTH),
    Case("seat_reserve", "refused", "wallet", "told_to_refuse"),
    Case("seat_reserve", "refused", "card", "told_to_refuse", charges=0),
    *(Case(step, "refused", method, "told_to_refuse") for step in STEPS[1:] for method in BOTH),
    *(Case(step, "outage", method, times=2) for step in STEPS for method in BOTH),
    Case("seat_reserve", "cancelled", "wallet", "cancelled"),
    Case("seat_reserve", "cancelled", "card", "cancelled", charges=0),
    Case("wallet_payment", "refused", "wallet", "told_to_refuse"),
    Case("wallet_payment", "outage", "wallet", times=2),
    Case("pay", "poor", "wallet", "insufficient_funds"),
    Case("pay", "nobody", "wallet", "wallet_not_found"),
    Case("charge", "refused", "card", "payment_refused", charges=0),
    Case("charge", "lost", "card", times=2),
    Case("charge", "silent", "card", "payment_service_unavailable", charges=0),
    Case("charge", "silent_after", "card", "payment_service_unavailable"),
    Case("charge", "cancelled", "card", "cancelled"),
    Case("charge", "cancelled_after", "card", "cancelled"),
]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services and the payment service's client fail for the riders of the cases as they say."""
    cases = {case.rider: case for case in CASES}
    left = {rider: case.times for rider, case in cases.items()}

    def due(rider: str, step: str) -> Case | None:
        case = cases.get(rider)
        if case is None or case.step != step or not left[rider]:
            return None
        left[rider] -= 1
        return case

    def cancel(booking: Booking) -> None:
        cancelling.booking_cancel(
            booking_id=booking.pk, by=booking.requested_by, via="api", as_of=timezone.now()
        )

    def service(step: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(**about: Any) -> Any:
            booking = Booking.objects.get(pk=about["booking_id"])
            case = due(booking.user_id, step)
            if case is not None and case.failure == "outage":
                raise Unavailable("away for a moment", code="database_unavailable")
            if case is not None and case.failure == "cancelled":
                if connection.in_atomic_block:
                    # A cancellation from elsewhere cannot be part of the steps' transaction:
                    # refused, they run one by one.
                    raise Conflict("not together", code="not_together")
                cancel(booking)
            elif case is not None:
                raise Conflict(f"{step} refuses", code="told_to_refuse")
            return real(**about)

        return call

    def charge(it: payments.Charge) -> str:
        case = due(it.user_id, "charge")
        failure = case.failure if case else ""
        booking = Booking.objects.get(workflow_id=it.key.rpartition(":")[0]) if case else None
        if failure == "silent":
            raise Unavailable("no answer", code="payment_service_unavailable")
        if failure == "cancelled" and booking:
            cancel(booking)
        receipt = real_charge(it)
        if failure in ("lost", "silent_after"):
            raise Unavailable("no answer", code="payment_service_unavailable")
        if failure == "cancelled_after" and booking:
            cancel(booking)
        return receipt

    for step in (*STEPS, "wallet_payment"):
        monkeypatch.setattr(running, step, service(step, getattr(running, step)))
    real_charge = payments.charge
    monkeypatch.setattr(payments, "charge", charge)


def riders_put() -> None:
    for case in CASES:
        if case.method == "wallet" and case.failure != "nobody":
            put_rider(case.rider, "1000.00" if case.failure == "poor" else str(MONEY))


def found(booking: Booking, case: Case, charges: dict[str, Any]) -> tuple[Any, ...]:
    """What came of it: code, seat, manifest, rider's e-mails, and how much the rider has paid."""
    row = Booking.objects.get(pk=booking.pk)
    seat = Reservation.objects.filter(booking=row, status__in=ACTIVE).count()
    lines = ManifestLine.objects.filter(booking=row).count()
    if case.method == "card":
        paid = FARE * (charges["executions"] - charges["reversals"])
        assert charges["executions"] == case.charges, case
    else:
        journals = row.charged - row.refunded
        paid = journals
    assert paid == row.charged - row.refunded, case
    return row.error_code, seat, lines, paid


async def test_no_failure_of_any_step_sells_a_seat_unpaid_or_keeps_money_without_one(
    stage: Stage, told: None, record_property: Any
) -> None:
    await orm(riders_put)
    stage.cards.behave(refuse_targets=["charge.refused.card"])

    booked = [
        (case, await stage.book(user_id=case.rider, payment_method=case.method)) for case in CASES
    ]
    results = await asyncio.gather(*(stage.result(booking) for _, booking in booked))
    done = [(*one, result) for one, result in zip(booked, results, strict=True)]
    wrong = {}
    for case, booking, result in done:
        charges = await orm(stage.cards.of, booking) if case.method == "card" else {}
        code, seat, lines, paid = await orm(found, booking, case, charges)
        stands = not case.code
        expected = (case.code, int(stands), int(stands), FARE if stands else Decimal(0))
        print(f"{case.rider:42} {result['status']:10} {code:28} seat {seat} money {paid}")
        if (code, seat, lines, paid) != expected or result["code"] != case.code:
            wrong[case.rider] = (code, seat, lines, paid, result)
        assert (result["bookingId"] == str(booking.pk)) == stands
    assert wrong == {}
    report = await orm(ledger_verify)
    assert report.problems == []


async def test_the_words_of_the_results_are_those_that_clients_know(stage: Stage) -> None:
    stage.cards.behave(refuse_targets=["bad"])
    refused = await stage.book(user_id="bad", payment_method="card")
    poor = await stage.book(user_id="nobody")
    results = [await stage.result(refused), await stage.result(poor)]
    assert results[0] == {
        "bookingId": "",
        "status": "FAILED",
        "error": "Payment failed",
        "code": "payment_refused",
    }
    assert (results[1]["code"], results[1]["status"]) == ("wallet_not_found", "FAILED")
    good = await stage.book()
    row = await stage.row(good)
    assert await stage.result(good) == {
        "bookingId": str(row.pk),
        "status": "CONFIRMED",
        "error": "",
        "code": "",
    }
    assert await stage.balance() == MONEY - FARE
    mails = await orm(lambda: list(Mail.objects.values_list("address", flat=True)))
    assert mails == ["ada@example.com"]


async def test_a_charge_that_nobody_answers_for_keeps_the_seat_and_asks_a_person(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.SAGA_DEADLINE_SECONDS = patient(4)

    def silent(*args: Any, **kwargs: Any) -> Any:
        raise Unavailable("no answer", code="payment_service_unavailable")

    monkeypatch.setattr(payments, "charge", silent)
    monkeypatch.setattr(payments, "take_back", silent)
    booking = await stage.book(payment_method="card")

    def asked() -> ApprovalRequest | None:
        return ApprovalRequest.objects.filter(kind=ATTENTION_KIND).first()

    await eventually_async(lambda: orm(asked), timeout=60)
    row = await stage.row(booking)
    assert (row.status, row.reservation.status) == ("running", "paying")


async def test_started_by_hand_it_makes_its_row_and_books(stage: Stage) -> None:
    handle = await stage.client.start_workflow(
        "bookRideWorkflow",
        {"userId": "ada", "busId": "bus", "segment": "A-B", "fare": 1500},
        id=f"by-hand-{stage.queue}",
        task_queue=stage.queue,
    )
    result = await handle.result()
    row = await orm(Booking.objects.get, workflow_id=handle.id)
    assert (result["status"], result["bookingId"]) == ("CONFIRMED", str(row.pk))
    assert row.requested_by is None
    for body, code in (
        ({"userId": "ada", "busId": "no-bus", "segment": "A-B", "fare": 1500}, "vehicle_not_found"),
        ({"userId": "ada", "busId": "bus", "segment": "A-B", "fare": 7}, "fare_differs"),
        ({"userId": "a b", "busId": "bus", "segment": "A-B"}, "user_id_invalid"),
    ):
        result = await stage.client.execute_workflow(
            "BookRideWorkflow", body, id=f"{code}-{stage.queue}", task_queue=stage.queue
        )
        assert (result["bookingId"], result["status"], result["code"]) == ("", "FAILED", code)


async def test_a_signal_of_the_engine_cancels_while_the_card_is_charged(stage: Stage) -> None:
    stage.cards.behave(answer_delay_seconds=1)
    booking = await stage.book(user_id="eve", payment_method="card")

    async def charging() -> bool:
        steps = await orm(lambda: set(booking.steps.values_list("name", flat=True)))
        return "process_payment" in steps

    await eventually_async(charging)
    await stage.run_of(booking).signal("cancelBooking", "I am ill")
    result = await stage.result(booking)
    assert (result["status"], result["error"]) == ("FAILED", "Booking cancelled by user")
    row, charges = await stage.row(booking), await orm(stage.cards.of, booking)
    assert (row.status, row.error_detail, row.reservation.status) == (
        "cancelled",
        "I am ill",
        "released",
    )
    assert (charges["executions"], charges["reversals"]) == (1, 1)


async def test_a_cancellation_in_the_engine_gives_everything_back(stage: Stage) -> None:
    stage.cards.behave(answer_delay_seconds=1)
    booking = await stage.book(user_id="eve", payment_method="card")

    async def charging() -> bool:
        steps = await orm(lambda: set(booking.steps.values_list("name", flat=True)))
        return "process_payment" in steps

    await eventually_async(charging)
    await stage.run_of(booking).cancel()
    result = await stage.result(booking)
    assert (result["status"], result["code"]) == ("FAILED", "cancelled")
    assert (await stage.row(booking)).reservation.status == "released"
