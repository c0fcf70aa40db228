"""What accompanies a trip: its manifest, the end of its sale, its end; at the right times."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest

from apps.bookings.contracts.trips import FleetStep
from apps.bookings.models import Booking, Manifest, Trip
from apps.bookings.services import cancellations, fleet, network, trips
from apps.bookings.times import Clocks
from apps.engine.contracts import KIND_ATTRIBUTE, SUBJECT_ATTRIBUTE
from apps.notifications.models import Mail
from tests.bookings.conftest import SAID, World, put_route, seats_in_rows
from tests.bookings.paid import paid_booking
from tests.bookings.test_refunds import check_ledger, kept, sign
from tests.stage import EngineStage, orm

OPERATOR = "operator@example.com"
MINUTE = timedelta(minutes=1)


def with_operator() -> None:
    network.vehicle_put(
        code="bus", name="Bus", seats=seats_in_rows(40), operator_email=OPERATOR, **SAID
    )


def steps_of(trip: Trip) -> list[tuple[str, datetime]]:
    """Do everything for the trip at its times; when each was due."""
    found = []
    while True:
        facts = fleet.fleet_facts(trip_id=trip.pk)
        if not facts.step or facts.due_at is None:
            return found
        found.append((facts.step, facts.due_at))
        early = facts.due_at - MINUTE
        assert fleet.fleet_do(trip_id=trip.pk, step=facts.step, as_of=early) == facts
        fleet.fleet_do(trip_id=trip.pk, step=facts.step, as_of=facts.due_at)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("zone", "day", "clocks", "leaves", "arrives"),
    [
        # Over midnight; Lagos has no summer time.
        ("Africa/Lagos", date(2026, 3, 28), "26:15", "2026-03-28 21:30", "2026-03-29 01:15"),
        # Over midnight and the change to summer time.
        ("Europe/Lisbon", date(2026, 3, 28), "26:15", "2026-03-28 22:30", "2026-03-29 02:15"),
        # On the morning after it.
        ("Europe/Lisbon", date(2026, 3, 29), "26:15", "2026-03-29 21:30", "2026-03-30 01:15"),
        # The clocks are put back in the night: a quarter past one comes twice, and this is the
        # second time.
        ("America/New_York", date(2026, 10, 31), "26:15", "2026-11-01 02:30", "2026-11-01 06:15"),
    ],
)
def test_the_timers_of_a_trip_over_midnight_and_a_clock_change(
    shared_world: World, zone: str, day: date, clocks: str, leaves: str, arrives: str
) -> None:
    put_route("night", "AB", zone=zone, fares={"A-B": Decimal("1500")})
    trip, _new = trips.trip_open(
        route="night",
        vehicle="bus",
        service_date=day,
        clocks=[Clocks("22:30", "22:30"), Clocks(clocks, clocks)],
        **SAID,
    )
    first, last = (datetime.fromisoformat(at).replace(tzinfo=UTC) for at in (leaves, arrives))
    opened, *rest = steps_of(trip)
    assert opened[0] == FleetStep.OPEN_MANIFEST
    assert rest == [
        (FleetStep.HAND_OVER_MANIFEST, first - 30 * MINUTE),
        (FleetStep.CLOSE_SALES, first - 5 * MINUTE),
        (FleetStep.CLOSE_TRIP, last + 120 * MINUTE),
    ]
    trip.refresh_from_db()
    assert trip.status == "done"


@pytest.mark.django_db(transaction=True)
def test_each_stop_sells_until_its_own_time_and_a_delay_moves_it(shared_world: World) -> None:
    trip = shared_world.trip()
    first = trip.departs_at
    for step in (FleetStep.OPEN_MANIFEST, FleetStep.HAND_OVER_MANIFEST, FleetStep.CLOSE_SALES):
        facts = fleet.fleet_do(trip_id=trip.pk, step=step, as_of=first)
    assert (facts.step, facts.status) == (FleetStep.CLOSE_SALES, "open")
    # It leaves B at 09:10: the sale there ends at 09:05.
    assert facts.due_at == first + 65 * MINUTE
    trips.trip_delay(trip_id=trip.pk, minutes=20, from_n=2, version=None, **SAID)
    facts = fleet.fleet_facts(trip_id=trip.pk)
    assert facts.due_at == first + 85 * MINUTE
    # Its own timer of before is too early now.
    early = first + 65 * MINUTE
    assert fleet.fleet_do(trip_id=trip.pk, step=FleetStep.CLOSE_SALES, as_of=early) == facts


@pytest.mark.django_db(transaction=True)
def test_a_delay_opens_the_sale_again_where_it_had_ended(shared_world: World) -> None:
    trip = shared_world.trip()
    last = trip.stops.get(n=3)
    for step in (
        FleetStep.OPEN_MANIFEST,
        FleetStep.HAND_OVER_MANIFEST,
        *[FleetStep.CLOSE_SALES] * 3,
    ):
        facts = fleet.fleet_do(trip_id=trip.pk, step=step, as_of=last.departs_at)
    assert (facts.step, facts.status) == (FleetStep.CLOSE_TRIP, "closed")

    def delay() -> str:
        about = {"trip_id": trip.pk, "minutes": 20, "from_n": 3, "version": None}
        return trips.trip_delay(**about, **SAID).status

    assert delay() == "open"
    facts = fleet.fleet_facts(trip_id=trip.pk)
    assert (facts.step, facts.due_at) == (FleetStep.CLOSE_SALES, last.departs_at + 15 * MINUTE)
    about = {"by": shared_world.people["agent"], "via": "api", "as_of": timezone.now()}
    row, _new = cancellations.trip_cancel(trip_id=trip.pk, reason="It is broken.", **about)
    # Whoever has asked for the trip to be cancelled has stopped the sale.
    assert delay() == "closed"
    sign(shared_world, row, "reject")
    assert Trip.objects.get().status == "open"


@pytest.mark.django_db(transaction=True)
def test_a_manifest_that_was_handed_over_stays_as_it_was(shared_world: World) -> None:
    with_operator()
    trip = shared_world.trip()
    booking = paid_booking(shared_world, trip=trip)
    for _again in range(2):
        for step in (FleetStep.OPEN_MANIFEST, FleetStep.HAND_OVER_MANIFEST):
            fleet.fleet_do(trip_id=trip.pk, step=step, as_of=trip.departs_at)
    paid_booking(shared_world, "eve", trip=trip)
    manifest = Manifest.objects.get()
    assert [line["booking"] for line in manifest.body["lines"]] == [booking.workflow_id]
    assert [mail.title for mail in Mail.objects.filter(address=OPERATOR)] == ["Manifest of Line"]
    with pytest.raises(Exception, match="Cannot update"):
        Manifest.objects.update(body={})


@pytest.mark.django_db(transaction=True)
def test_a_trip_that_is_over_turns_its_fares_into_revenue_once(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "CHUNK", 2)
    trip = shared_world.trip()
    for n in range(5):
        paid_booking(shared_world, f"r{n}", trip=trip)
    steps = steps_of(trip)
    assert [step for step, _at in steps[-3:]] == [FleetStep.CLOSE_TRIP] * 3
    fleet.fleet_do(trip_id=trip.pk, step=FleetStep.CLOSE_TRIP, as_of=timezone.now())
    assert kept() == Decimal("7500")
    assert set(Booking.objects.values_list("recognised", "status")) == {(1500, "confirmed")}
    check_ledger()


@pytest.fixture
async def days(shared_world: World, time_skipping: Any, task_queue: str) -> EngineStage:
    """The time-skipping server. The worker is the test's."""
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    await time_skipping.client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=time_skipping.client.namespace,
            search_attributes={SUBJECT_ATTRIBUTE: keyword, KIND_ATTRIBUTE: keyword},
        )
    )
    # Other tests may have let the server's days pass.
    shared_world.now = await time_skipping.get_current_time()
    return EngineStage(
        client=time_skipping.client,
        queue=task_queue,
        environment=time_skipping,
        serves="booking-tasks",
    )


async def test_the_workflow_keeps_the_times_also_after_a_delay(
    days: EngineStage, shared_world: World
) -> None:
    await orm(with_operator)
    trip = await orm(shared_world.trip)
    booking = await orm(paid_booking, shared_world, trip=trip)
    async with days.working():
        await days.deliver()
        await days.pass_time(hours=1)

        def delay() -> Trip:
            return trips.trip_delay(trip_id=trip.pk, minutes=60, version=None, **SAID)

        delayed = await orm(delay)
        await days.deliver()
        handle = days.client.get_workflow_handle(f"trip-{trip.pk}")
        await days.pass_time(days=5)
        result = await handle.result()
        closed = await handle.describe()
    assert result["status"] == "done"
    manifest = await orm(Manifest.objects.get)
    assert delayed.departs_at == trip.departs_at + timedelta(hours=1)
    late = manifest.handed_at - (delayed.departs_at - 30 * MINUTE)
    assert timedelta(seconds=-1) <= late < MINUTE
    # It arrives at its last stop three hours after it left the first one.
    assert closed.close_time is not None
    ended = closed.close_time - (delayed.departs_at + timedelta(hours=5))
    assert timedelta(seconds=-1) <= ended < 10 * MINUTE
    row = await orm(Booking.objects.get, pk=booking.pk)
    assert row.recognised == Decimal("1500")
    assert [line["booking"] for line in manifest.body["lines"]] == [row.workflow_id]
    await orm(check_ledger)
