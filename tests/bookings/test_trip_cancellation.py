"""Cancelled trips: signed on the total, refunded in full, once, however often it is begun."""

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.bookings.models import Booking, Refund, Trip, TripCancellation
from apps.bookings.services import cancellations, cancelling, settling
from apps.common.errors import Conflict
from apps.notifications.models import Mail
from tests.bookings.conftest import World, at_once, browser_of, caller_of
from tests.bookings.paid import move, paid_booking
from tests.bookings.stage import Stage
from tests.bookings.test_fleet import steps_of
from tests.bookings.test_refunds import ask, balance, check_ledger, kept, sign
from tests.stage import orm
from tests.support import eventually_async

FARE = Decimal("1500")
ALL = 10_000


class Killed(BaseException):
    """As a killed process."""


def cancel(world: World, trip: Trip, **changes: Any) -> TripCancellation:
    about = {"reason": "The bus is broken.", "by": world.people["agent"], "via": "api"}
    about |= {"trip_id": trip.pk, "as_of": timezone.now()}
    return cancellations.trip_cancel(**about | changes)[0]


def work(cancellation: TripCancellation, limit: int = ALL) -> Any:
    return cancellations.cancellation_run(
        cancellation_id=cancellation.pk,
        workflow_id=cancellation.workflow_id,
        limit=limit,
        seconds=60.0,
    )


def riders(world: World, trip: Trip, number: int) -> list[Booking]:
    return [paid_booking(world, f"r{n}", trip=trip) for n in range(number)]


def told() -> dict[str, int]:
    """How many e-mails say that a booking does not stand."""
    found: dict[str, int] = {}
    for address in Mail.objects.filter(title__contains="cancelled").values_list(
        "address", flat=True
    ):
        found[address] = found.get(address, 0) + 1
    return found


@pytest.mark.django_db(transaction=True)
def test_it_stops_the_sale_and_is_signed_on_the_total(shared_world: World) -> None:
    trip = shared_world.trip()
    riders(shared_world, trip, 2)
    calls = [partial(cancel, shared_world, trip)] * 6
    found = at_once(calls)
    assert len({one.pk for one in found}) == 1
    row = TripCancellation.objects.get()
    assert (row.amount, row.total, row.status) == (Decimal("3000"), 2, "awaiting_approval")
    trip.refresh_from_db()
    assert trip.status == "closed"
    sign(shared_world, row, "reject")
    trip.refresh_from_db()
    assert (trip.status, balance("r0")) == ("open", Decimal("3500"))
    # After a rejection it can be asked for again.
    assert cancel(shared_world, trip).pk != row.pk


@pytest.mark.django_db(transaction=True)
def test_killed_in_the_middle_it_goes_on_and_tells_each_rider_once(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip = shared_world.trip()
    booked = riders(shared_world, trip, 5)
    # Too late for the rule: the trip's cancellation gives everything back.
    move(trip, timezone.now() + timedelta(hours=1))
    row = cancel(shared_world, trip)
    sign(shared_world, row)
    work(row, limit=2)
    real, left = settling.leave, [1]

    def killed(*about: Any, **more: Any) -> None:
        real(*about, **more)
        if left[0] == 0:
            raise Killed
        left[0] -= 1

    monkeypatch.setattr(cancellations, "leave", killed)
    with pytest.raises(Killed):
        work(row)
    assert Booking.objects.filter(status="cancelled").count() == 3
    monkeypatch.setattr(cancellations, "leave", real)
    at_once([partial(work, row)] * 3)
    row.refresh_from_db()
    trip.refresh_from_db()
    assert (row.status, trip.status) == ("completed", "cancelled")
    assert [balance(one.user_id) for one in booked] == [Decimal("5000")] * 5
    assert {one.reservation.status for one in Booking.objects.all()} == {"released"}
    assert told() == {f"r{n}@example.com": 1 for n in range(5)}
    check_ledger()


@pytest.mark.django_db(transaction=True)
def test_a_rider_who_cancels_at_the_same_time_gets_one_refund(shared_world: World) -> None:
    trip = shared_world.trip()
    booked = riders(shared_world, trip, 4)
    row = cancel(shared_world, trip)
    sign(shared_world, row)
    about = {"by": shared_world.people["requester"], "via": "api", "as_of": timezone.now()}
    at_once(
        [
            *(partial(cancelling.booking_cancel, booking_id=one.pk, **about) for one in booked),
            partial(work, row),
            partial(work, row),
        ]
    )
    assert Refund.objects.count() == 4
    assert [balance(one.user_id) for one in booked] == [Decimal("5000")] * 4
    check_ledger()


@pytest.mark.django_db(transaction=True)
def test_what_is_booked_while_it_is_signed_is_not_paid_back_unsigned(shared_world: World) -> None:
    trip = shared_world.trip()
    riders(shared_world, trip, 1)
    row = cancel(shared_world, trip)
    with pytest.raises(Conflict) as refused:
        paid_booking(shared_world, "late", trip=trip)
    assert refused.value.code == "no_open_trip"
    Booking.objects.update(charged=Decimal("9000"), fare=Decimal("9000"))
    sign(shared_world, row)
    row.refresh_from_db()
    trip.refresh_from_db()
    assert (row.status, row.error_code, trip.status) == ("rejected", "not_as_signed", "open")


@pytest.mark.django_db(transaction=True)
def test_it_takes_the_place_of_a_refund_that_waits_for_its_signature(shared_world: World) -> None:
    trip = shared_world.trip()
    booking = paid_booking(shared_world, trip=trip)
    waits = ask(shared_world, booking, "500.00")
    row = cancel(shared_world, trip)
    assert row.amount == FARE
    sign(shared_world, row)
    work(row)
    states = Refund.objects.order_by("n").values_list("status", "amount")
    assert list(states) == [("rejected", Decimal("500")), ("done", FARE)]
    assert balance() == Decimal("5000")
    assert not ApprovalRequest.objects.filter(subject_id=str(waits.pk), status="open").exists()
    check_ledger()


@pytest.mark.django_db(transaction=True)
def test_signed_when_the_trip_is_over_it_cancels_nothing(shared_world: World) -> None:
    trip = shared_world.trip()
    booking = paid_booking(shared_world, trip=trip)
    row = cancel(shared_world, trip)
    steps_of(trip)
    sign(shared_world, row)
    row.refresh_from_db()
    trip.refresh_from_db()
    assert (row.status, row.error_code, trip.status) == ("rejected", "trip_settled", "done")
    booking.refresh_from_db()
    assert (booking.status, booking.refunded, kept()) == ("confirmed", 0, FARE)


@pytest.mark.django_db(transaction=True)
def test_the_doors(shared_world: World) -> None:
    trip = shared_world.trip()
    rider = caller_of(shared_world.people["requester"])
    agent = caller_of(shared_world.people["agent"])
    path = f"/api/v1/trips/{trip.pk}"
    json = {"content_type": "application/json"}
    for verb, body in (("cancel", {"reason": "ill"}), ("delay", {"minutes": 10, "version": 1})):
        assert rider.post(f"{path}/{verb}", body, **json).status_code == 403
    assert rider.get(f"{path}/manifest").status_code == 403
    delayed = agent.post(f"{path}/delay", {"minutes": 10, "version": 1}, **json).json()
    assert delayed["version"] == 2
    again = agent.post(f"{path}/delay", {"minutes": 10, "version": 1}, **json)
    assert (again.status_code, again.json()["code"]) == (409, "version_changed")
    booking = paid_booking(shared_world, trip=trip)
    assert agent.get(f"{path}/manifest").json()["lines"] == [
        {"seatNumber": 1, "segment": "A-B", "userId": "ada", "booking": booking.workflow_id}
    ]
    browser = browser_of(shared_world.people["agent"])
    page = browser.get(f"/trips/{trip.pk}/manifest/").content.decode()
    assert "ada" in page
    assert 'class="qr"' in page
    assert (
        browser_of(shared_world.people["requester"]).get(f"/trips/{trip.pk}/manifest/").status_code
        == 403
    )
    assert browser.post(f"/trips/{trip.pk}/", {"reason": ""}).status_code == 422
    assert browser.post(f"/trips/{trip.pk}/", {"reason": "Broken."}).status_code == 302
    first = agent.post(f"{path}/cancel", {"reason": "Broken."}, **json)
    assert (first.status_code, first.json()["amount"]) == (200, "1500.00")
    row = TripCancellation.objects.get()
    assert browser.get(f"/trip-cancellations/{row.pk}/").status_code == 200
    assert browser.get("/trip-cancellations/").status_code == 200
    assert "This trip is being cancelled." in browser.get(f"/trips/{trip.pk}/").content.decode()
    signer = browser_of(shared_world.people["senior"])
    request = row.pk and cancellations.cancellation_approval(row)
    assert signer.get(f"/requests/{request.pk}/").status_code == 200


async def test_the_workflow_works_through_all_of_them(stage: Stage) -> None:
    for n in range(3):
        await orm(paid_booking, stage.world, f"r{n}", trip=stage.trip)
    card = await stage.book(user_id="eve", payment_method="card")
    await stage.result(card)
    row = await orm(cancel, stage.world, stage.trip)
    await orm(sign, stage.world, row)
    await stage.deliver()
    result = await stage.client.get_workflow_handle(row.workflow_id).result()
    assert (result["status"], result["done"], result["failed"]) == ("completed", 4, 0)
    await stage.deliver()

    def all_back() -> bool:
        return Refund.objects.filter(status="done").count() == 4

    await eventually_async(lambda: orm(all_back))
    charges = await orm(stage.cards.of, card)
    assert sum(map(Decimal, charges["refunds"].values())) == FARE
    status = await orm(lambda: Booking.objects.get(pk=card.pk).error_code)
    assert status == "trip_cancelled"
    await orm(check_ledger)
