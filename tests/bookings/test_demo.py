"""The demo's trips, on which outside checks rely, and twice is once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.demo_users import demo_people_ensure
from apps.bookings.contracts import TripStatus
from apps.bookings.models import Booking, Fare, Refund, Route, Trip, TripSeat, Vehicle
from apps.bookings.services import demo
from apps.bookings.services.demo_bookings import bookings_seed
from apps.bookings.services.trips import find_trip
from apps.wallets.models import JournalLine
from apps.wallets.services.demo import wallets_seed
from apps.wallets.services.verify import ledger_verify

pytestmark = pytest.mark.django_db


def ahead() -> list[Trip]:
    after = timezone.now() + timedelta(hours=48)
    rows = Trip.objects.filter(vehicle__code="demo-bus", status="open", departs_at__gte=after)
    return list(rows.order_by("departs_at"))


def test_it_has_what_outside_checks_rely_on_and_twice_is_once() -> None:
    list(demo.trips_seed(people={}))
    counts = [model.objects.count() for model in (Route, Vehicle, Trip, TripSeat)]
    assert list(demo.trips_seed(people={}))[-1] == "0 trips opened"
    assert [model.objects.count() for model in (Route, Vehicle, Trip, TripSeat)] == counts
    trips = ahead()
    assert [trip.seats.count() for trip in trips] == [40, 40, 40]
    assert not trips[-1].reservations.exists()
    stops = trips[0].stops.order_by("n").values_list("stop__code", flat=True)
    assert list(stops) == ["A", "B", "C", "D"]
    assert Fare.objects.get(route__code="demo-line", from_n=1, to_n=2).amount == Decimal("1500.00")
    found = find_trip(bus_id="demo-bus", segment="A-B", fare=Decimal(1500), as_of=timezone.now())
    assert found.trip.pk == trips[0].pk


def test_there_is_an_overnight_trip() -> None:
    list(demo.trips_seed(people={}))
    trip = Trip.objects.filter(vehicle__code="night-coach").earliest("departs_at")
    last = trip.stops.get(n=4).arrives_at
    assert last.date() > trip.departs_at.date()


def test_trips_are_opened_anew_as_time_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    list(demo.trips_seed(people={}))
    before = {trip.pk for trip in ahead()}
    Trip.objects.filter(pk__in=list(before)[:2]).update(status=TripStatus.CLOSED)
    list(demo.trips_seed(people={}))
    assert len(ahead()) == 3


def test_the_first_trips_leave_days_from_now() -> None:
    now: Any = datetime.now(tz=UTC)
    list(demo.trips_seed(people={}))
    assert ahead()[0].departs_at > now + timedelta(days=5)


@pytest.mark.django_db(transaction=True)
def test_there_are_bookings_and_a_refund_to_sign_and_twice_is_once() -> None:
    people = demo_people_ensure()
    for seed in (wallets_seed, demo.trips_seed, bookings_seed):
        list(seed(people=people))
    trips = ahead()
    taken = [trip.reservations.filter(status="confirmed").count() for trip in trips]
    assert (taken, Booking.objects.filter(user_id="demo-rider").exists()) == ([4, 1, 0], False)
    assert set(Booking.objects.values_list("status", flat=True)) == {"confirmed"}
    assert [refund.status for refund in Refund.objects.all()] == ["awaiting_approval"]
    counts = [model.objects.count() for model in (Booking, Refund, JournalLine)]
    list(bookings_seed(people=people))
    assert [model.objects.count() for model in (Booking, Refund, JournalLine)] == counts
    assert ledger_verify().problems == []
