"""A route from A to D, a bus, trips of it, and bookings as a saga would make them."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from threading import Barrier
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client
from django.utils import timezone

from apps.accounts.demo_users import demo_people_ensure
from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.bookings.contracts import ACTIVE, Held
from apps.bookings.models import Booking, Reservation, Trip
from apps.bookings.services import network, seats, trips
from apps.bookings.times import Clocks
from apps.common.errors import DomainError

SAID: dict[str, Any] = {"by": None, "via": "command"}
CLOCKS = [
    Clocks("08:00", "08:00"),
    Clocks("09:00", "09:10"),
    Clocks("10:00", "10:05"),
    Clocks("11:00", "11:00"),
]
FARES = {"A-B": Decimal("1500"), "B-C": Decimal("1600"), "A-C": Decimal("2800")}
#: The places of A to D on the route.
PLACE = {code: n for n, code in enumerate("ABCD", start=1)}
#: As many threads as there may be connections.
MOST_AT_ONCE = 24


def seats_in_rows(number: int) -> list[network.SeatAt]:
    return [network.SeatAt(n + 1, n // 4 + 1, n % 4 + 1) for n in range(number)]


def put_route(code: str = "line", stops: str = "ABCD", **changes: Any) -> Any:
    for stop in stops:
        network.stop_put(code=stop, name=f"Stop {stop}", zone="Africa/Lagos", **SAID)
    body: dict[str, Any] = {"name": "Line", "currency": "NGN", "zone": "Africa/Lagos"}
    body |= {"stops": list(stops), "fares": FARES}
    return network.route_put(code=code, **{**body, **changes}, **SAID)


def put_vehicle(code: str = "bus", number: int = 40) -> Any:
    return network.vehicle_put(code=code, name="Bus", seats=seats_in_rows(number), **SAID)


@dataclass
class World:
    """The network, and who asks."""

    people: dict[str, User]
    now: datetime
    numbers: Any

    def trip(self, vehicle: str = "bus", *, days: int = 3, **changes: Any) -> Trip:
        day = (self.now + timedelta(days=days)).date()
        body: dict[str, Any] = {"route": "line", "service_date": day, "clocks": CLOCKS}
        return trips.trip_open(vehicle=vehicle, **{**body, **changes}, **SAID)[0]

    def booking(self, trip: Trip, segment: str = "A-B") -> Booking:
        """A booking as its saga would have made it: without a seat yet."""
        number = next(self.numbers)
        first, last = segment.split("-")
        return Booking.objects.create(
            workflow_id=f"booking-rider-{number}",
            user_id="rider",
            trip=trip,
            from_n=PLACE[first],
            to_n=PLACE[last],
            fare=Decimal("1500"),
            currency="NGN",
            payment_method="wallet",
            requested_by=self.people["requester"],
        )

    def hold(self, trip: Trip, segment: str = "A-B", seat: int | None = None) -> Booking:
        booking = self.booking(trip, segment)
        held(booking, self.now, seat)
        return booking

    def sell(self, trip: Trip, segment: str = "A-B", seat: int | None = None) -> Booking:
        booking = self.hold(trip, segment, seat)
        seats.seat_paying(booking=booking, as_of=self.now)
        seats.seat_confirm(booking=booking)
        return booking


def held(booking: Booking, as_of: datetime, seat: int | None = None) -> Held:
    with transaction.atomic():
        Booking.objects.select_for_update().get(pk=booking.pk)
        return seats.seat_hold(booking=booking, seat_number=seat, as_of=as_of)


def make_world() -> World:
    people = demo_people_ensure()
    put_route()
    put_vehicle()
    return World(people, timezone.now(), count(1))


@pytest.fixture
def world(db: None) -> World:
    return make_world()


@pytest.fixture
def shared_world(transactional_db: None) -> World:
    """For tests with threads: what they write is committed."""
    return make_world()


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make all calls from as many threads as there may be connections, which begin together; the
    results, or the codes of refusals. Any other error is raised."""
    together = Barrier(min(len(calls), MOST_AT_ONCE))

    def some(start: int) -> list[tuple[int, Any]]:
        found = []
        together.wait()
        try:
            for number in range(start, len(calls), together.parties):
                try:
                    found.append((number, calls[number]()))
                except DomainError as refusal:
                    found.append((number, refusal.code))
        finally:
            connections.close_all()
        return found

    with ThreadPoolExecutor(together.parties) as threads:
        every = [one for part in threads.map(some, range(together.parties)) for one in part]
    return [result for _, result in sorted(every, key=lambda one: one[0])]


def sold_once(trip: Trip) -> bool:
    """Whether no seat of the trip is taken twice over one leg: counted here, not by the
    database."""
    legs = [
        (number, leg)
        for number, stretch in Reservation.objects.filter(trip=trip, status__in=ACTIVE).values_list(
            "seat_number", "stretch"
        )
        for leg in range(stretch.lower, stretch.upper)
    ]
    return len(legs) == len(set(legs))


def free_over(trip: Trip, first: int, last: int) -> set[int]:
    """Seats that nobody has on any leg from the one place to the other."""
    taken = {
        number
        for number, stretch in Reservation.objects.filter(trip=trip, status__in=ACTIVE).values_list(
            "seat_number", "stretch"
        )
        if stretch.lower < last and first < stretch.upper
    }
    return set(trip.seats.values_list("number", flat=True)) - taken


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def caller_of(user: User, *scopes: str) -> Client:
    """Somebody with a key."""
    _, secret = api_key_create(user=user, name="test", scopes=list(scopes) or ["all"], by=user)
    return Client(headers={"X-API-Key": secret})


def put_rider(user_id: str, balance: str) -> None:
    """Make the rider known, with so much in the wallet."""
    from tests.wallets.conftest import World as Wallets

    Wallets(demo_people_ensure()).rider(user_id, balance)


@pytest.fixture
def cards() -> Iterator[Any]:
    from tests.bookings.stage import running_cards

    with running_cards() as running:
        yield running


@pytest.fixture
async def stage(
    shared_world: World, temporal_client: Any, task_queue: str, cards: Any, settings: Any
) -> AsyncIterator[Any]:
    """The dev server, a worker of this process, the payment service over HTTP, and a rider with
    NGN 5,000.00."""
    from apps.engine.namespace import engine_ensure
    from tests.bookings.stage import Stage
    from tests.stage import orm

    settings.PAYMENT_SERVICE_URL = cards.url
    settings.PAYMENT_SERVICE_TIMEOUT_SECONDS = 2.0
    settings.ACTIVITY_HEARTBEAT_SECONDS = 5.0
    await engine_ensure(temporal_client)
    await orm(put_rider, "ada", "5000.00")
    trip = await orm(shared_world.trip)
    stage = Stage(
        world=shared_world, trip=trip, client=temporal_client, queue=task_queue, cards=cards
    )
    # A step that a test holds is tried again, and takes another slot.
    async with stage.working(slots=24):
        yield stage
