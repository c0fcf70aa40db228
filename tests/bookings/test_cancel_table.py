"""Cancelling at every moment of a booking, by each door: the seat, the money, the answer.

`pytest tests/bookings/test_cancel_table.py -s` prints the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from threading import Event
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from temporalio.service import RPCError

from apps.bookings import payments
from apps.bookings.contracts import ACTIVE
from apps.bookings.models import Booking, ManifestLine, Refund, Reservation
from apps.bookings.services import running
from apps.common.errors import Conflict
from apps.notifications.models import Mail
from apps.wallets.services.verify import ledger_verify
from tests.bookings.conftest import browser_of, caller_of, put_rider
from tests.bookings.paid import move
from tests.bookings.stage import Stage
from tests.bookings.test_refunds import sign
from tests.bookings.test_trip_cancellation import cancel as trip_cancel
from tests.stage import orm
from tests.support import LONG_ENOUGH, eventually_async, patient

FARE = Decimal("1500")
DOORS = ("api", "page", "signal", "engine")


@dataclass(frozen=True)
class Moment:
    """When it is cancelled. `step`: the workflow stands before it; `before`: so long before
    boarding, once the booking is confirmed. `paid`: what the rider has paid in the end; `refunds`:
    their states; `answer`: what API and page answer; `method`: how it is paid."""

    name: str
    step: str = ""
    method: str = "wallet"
    before: timedelta | None = None
    paid: Decimal = Decimal(0)
    refunds: tuple[str, ...] = ()
    answer: int = 200
    code: str = "cancelled"
    standing: bool = False


HALF = FARE / 2
MOMENTS = [
    Moment("1 not started", "start"),
    Moment("2 before the seat", "seat_reserve"),
    Moment("3 seat held", "wallet_payment"),
    Moment("4 card in flight", "charge", "card"),
    Moment("5 charged", "booking_complete", "card"),
    Moment("6 confirmed, no manifest yet", "manifest_add", "card", refunds=("done",)),
    Moment("7 a day before", before=timedelta(hours=25), refunds=("done",)),
    Moment("7 by card", method="card", before=timedelta(hours=25), refunds=("done",)),
    Moment(
        "8 ten hours before", before=timedelta(hours=10), paid=HALF, refunds=("awaiting_approval",)
    ),
    Moment("8 an hour before", before=timedelta(hours=1), paid=FARE),
    Moment("9 departed", before=-timedelta(hours=1), paid=FARE, answer=409, code="", standing=True),
    Moment("11 failed", "failed", answer=409, code="insufficient_funds"),
    Moment("12 trip being cancelled", "trip", before=timedelta(hours=10), refunds=("done",)),
]


#: Moments that no step of the saga makes.
OUTSIDE = ("", "start", "failed", "trip")


class Gates:
    """Workflows stand still before a step, each rider's at one."""

    def __init__(self) -> None:
        self.at: dict[str, str] = {}
        self.reached: dict[str, Event] = {}
        self.opened: dict[str, Event] = {}

    def set(self, rider: str, step: str) -> None:
        self.at[rider] = step
        self.reached[rider], self.opened[rider] = Event(), Event()

    def pass_through(self, booking: Booking, step: str) -> None:
        rider = booking.user_id
        if self.at.get(rider) != step:
            return
        if connection.in_atomic_block:
            # Among other steps in one transaction it would hold the booking's lock: refused, all of
            # them run one by one.
            raise Conflict("not together", code="not_together")
        self.reached[rider].set()
        # Whoever stands still here keeps no connection from the others.
        connection.close()
        assert self.opened[rider].wait(patient(LONG_ENOUGH))


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Gates:
    gates = Gates()
    # A step that stands still is not tried again: each attempt would take another thread.
    settings.ACTIVITY_HEARTBEAT_SECONDS = 2 * LONG_ENOUGH

    def gated(step: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(**about: Any) -> Any:
            gates.pass_through(Booking.objects.get(pk=about["booking_id"]), step)
            return real(**about)

        return call

    def charge(it: payments.Charge) -> str:
        booking = Booking.objects.get(workflow_id=it.key.rpartition(":")[0])
        gates.pass_through(booking, "charge")
        return real_charge(it)

    for step in ("seat_reserve", "wallet_payment", "booking_complete", "manifest_add"):
        monkeypatch.setattr(running, step, gated(step, getattr(running, step)))
    real_charge = payments.charge
    monkeypatch.setattr(payments, "charge", charge)
    return gates


async def knock(stage: Stage, door: str, booking: Booking) -> int:
    """Cancel by that door; return what it answers, 0 where there is nobody to answer."""
    user = stage.world.people["requester"]
    if door == "api":

        def by_api() -> int:
            path = f"/api/v1/bookings/{booking.workflow_id}/cancel"
            answer = caller_of(user).post(path, {}, content_type="application/json")
            return answer.status_code

        return await orm(by_api)
    if door == "page":

        def by_page() -> int:
            answer = browser_of(user).post(f"/bookings/{booking.pk}/", {"reason": "ill"})
            return 200 if answer.status_code == 302 else answer.status_code

        return await orm(by_page)
    run = stage.run_of(booking)
    try:
        if door == "signal":
            await run.signal("cancelBooking", "I am ill")
        else:
            await run.cancel()
    except RPCError:
        return 0
    return 200


def found(booking: Booking) -> tuple[Any, ...]:
    """What came of it: seat, manifest, what the rider has paid, and the refunds' states."""
    row = Booking.objects.get(pk=booking.pk)
    seat = Reservation.objects.filter(booking=row, status__in=ACTIVE).count()
    lines = ManifestLine.objects.filter(booking=row).count()
    refunds = tuple(row.refunds.order_by("n").values_list("status", flat=True))
    return row.error_code, seat, lines, row.charged - row.refunded, refunds


async def arranged(stage: Stage, gates: Gates, moment: Moment, number: int) -> dict[str, Booking]:
    """A booking for each door, each at that moment."""
    trip = await orm(stage.world.trip, days=10 + number)
    booked = {}
    for door in DOORS:
        rider = f"r{number}.{door}"
        await orm(put_rider, rider, "10.00" if moment.step == "failed" else "5000.00")
        if moment.step not in OUTSIDE:
            gates.set(rider, moment.step)
        ask = {"user_id": rider, "trip_id": trip.pk, "payment_method": moment.method}
        if moment.step == "start":
            booked[door] = await orm(stage.asked, **ask)
            continue
        booked[door] = booking = await stage.book(**ask)
        if rider in gates.reached:
            assert await orm(gates.reached[rider].wait, patient(30)), (moment.name, door)
        else:
            await stage.result(booking)
    if moment.before is not None:
        await orm(move, trip, timezone.now() + moment.before)
    if moment.step == "trip":
        await orm(sign, stage.world, await orm(trip_cancel, stage.world, trip))
    return booked


async def cancelled(
    stage: Stage, gates: Gates, moment: Moment, number: int
) -> dict[str, tuple[Any, ...]]:
    """Cancel by each door, twice; what came of it."""
    booked = await arranged(stage, gates, moment, number)
    answers = {}
    for door, booking in booked.items():
        answers[door] = [await knock(stage, door, booking)]
        if door == "signal" and booking.user_id in gates.opened:
            asked = Booking.objects.filter(pk=booking.pk, cancel_requested_at__isnull=False)
            await eventually_async(partial(orm, asked.exists), timeout=patient(20))
        answers[door].append(await knock(stage, door, booking))
        if booking.user_id in gates.opened:
            gates.opened[booking.user_id].set()
    await stage.deliver()
    rows = {}
    for door, booking in booked.items():
        result = await stage.result(booking)
        await stage.deliver()
        if moment.step == "trip":
            ended = Booking.objects.filter(pk=booking.pk, status="cancelled")
            await eventually_async(partial(orm, ended.exists))
        sending = Refund.objects.filter(booking=booking, status="sending")
        await eventually_async(partial(orm, lambda rows: not rows.exists(), sending))
        rows[door] = (answers[door], result["status"], *await orm(found, booking))
    return rows


@pytest.mark.parametrize("number", range(len(MOMENTS)), ids=[it.name for it in MOMENTS])
async def test_a_booking_is_cancelled_once_at_every_moment_and_by_each_door(
    stage: Stage, gates: Gates, number: int
) -> None:
    moment, wrong = MOMENTS[number], {}
    rows = await cancelled(stage, gates, moment, number)
    for door, (answers, status, *state) in rows.items():
        print(f"{moment.name:30} {door:7} {answers!s:12} {status:10} {state}", flush=True)
        over = door in ("signal", "engine") and moment.step in ("", "failed", "trip")
        stands = moment.standing or over
        # Who knocks at a run that is over, or has not begun, is not heard.
        unheard = door in ("signal", "engine") and moment.step == "start"
        if moment.step == "trip":
            code = "trip_cancelled" if over else moment.code
            expected = [code, 0, 0, moment.paid, moment.refunds]
        elif moment.step == "failed":
            expected = [moment.code, 0, 0, Decimal(0), ()]
        elif stands or unheard:
            expected = ["", 1, 1, FARE, ()]
        else:
            expected = [moment.code, 0, 0, moment.paid, moment.refunds]
            if moment.refunds == ("awaiting_approval",):
                expected[3] = FARE - HALF
        answer = 0 if over or unheard else moment.answer
        if over and door == "engine":
            # The server takes it, and drops it.
            answer = 200
        if door == "engine" and moment.step not in OUTSIDE and state[4] == ("done",):
            # The step that was under way came through: it was confirmed, then cancelled.
            expected[4] = ("done",)
        answered = moment.step in OUTSIDE or door in ("api", "page")
        if answered and answers != [answer, answer]:
            wrong[moment.name, door, "answers"] = answers
        if list(state) != expected:
            wrong[moment.name, door] = (state, expected)
    assert wrong == {}
    report = await orm(ledger_verify)
    assert report.problems == []
    mails = await orm(lambda: list(Mail.objects.values_list("key", flat=True)))
    assert len(mails) == len(set(mails))
