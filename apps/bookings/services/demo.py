"""The demo's network and trips. Idempotent by codes; trips are opened anew as time goes on.

Outside checks rely on `demo-bus`: 40 seats, the stops A to D, A-B for NGN 1,500.00, and three open
trips that leave in 48 hours or later; nothing here sells a seat of the last one.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.utils import timezone

from apps.accounts.demo_users import SEEDER
from apps.accounts.models import User
from apps.bookings.contracts import TripStatus
from apps.bookings.models import Trip
from apps.bookings.services.network import route_put, seats_drawn, stop_put, vehicle_put
from apps.bookings.services.trips import trip_open
from apps.bookings.times import Clocks
from apps.common.windows import site_day

SAID: dict[str, Any] = {"by": SEEDER, "via": "command"}
#: Trips of `demo-bus` that leave in 48 hours or later; new ones leave in a week, so that they do so
#: for days.
AHEAD, AHEAD_HOURS, IN_DAYS = 3, 48, 7


class Line(NamedTuple):
    """A route with the vehicle that serves it, and its timetable."""

    route: str
    name: str
    currency: str
    zone: str
    #: Code, name, time zone, arrival and departure.
    stops: tuple[tuple[str, str, str, str, str], ...]
    fares: dict[str, str]
    vehicle: str
    vehicle_name: str
    rows: int

    @property
    def clocks(self) -> list[Clocks]:
        """Return its timetable."""
        return [Clocks(arrives, departs) for *_, arrives, departs in self.stops]


LAGOS, SAO_PAULO = "Africa/Lagos", "America/Sao_Paulo"
DEMO = Line(
    "demo-line",
    "Demo line, A to D",
    "NGN",
    LAGOS,
    (
        ("A", "Yaba", LAGOS, "08:00", "08:00"),
        ("B", "Ikorodu", LAGOS, "09:10", "09:15"),
        ("C", "Ijebu Ode", LAGOS, "10:40", "10:50"),
        ("D", "Ibadan", LAGOS, "12:30", "12:30"),
    ),
    {
        **{"A-B": "1500.00", "A-C": "2800.00", "A-D": "4000.00"},
        **{"B-C": "1600.00", "B-D": "2900.00", "C-D": "1500.00"},
    },
    "demo-bus",
    "Demo bus",
    10,
)
#: Leaves in the evening and arrives on the next day.
OVERNIGHT = Line(
    "lagos-abuja",
    "Lagos to Abuja by night",
    "NGN",
    LAGOS,
    (
        ("JIBOWU", "Lagos, Jibowu", LAGOS, "20:30", "20:30"),
        ("ORE", "Ore", LAGOS, "24:10", "24:40"),
        ("LOKOJA", "Lokoja", LAGOS, "29:05", "29:20"),
        ("UTAKO", "Abuja, Utako", LAGOS, "32:15", "32:15"),
    ),
    {
        **{"JIBOWU-ORE": "9500.00", "JIBOWU-LOKOJA": "19000.00", "JIBOWU-UTAKO": "26500.00"},
        **{"ORE-UTAKO": "19500.00", "LOKOJA-UTAKO": "9000.00"},
    },
    "night-coach",
    "Night coach",
    12,
)
COAST = Line(
    "sao-paulo-rio",
    "São Paulo to Rio de Janeiro",
    "BRL",
    SAO_PAULO,
    (
        ("TIETE", "São Paulo, Tietê", SAO_PAULO, "07:00", "07:00"),
        ("RESENDE", "Resende", SAO_PAULO, "10:30", "10:45"),
        ("NOVO_RIO", "Rio de Janeiro, Novo Rio", SAO_PAULO, "13:20", "13:20"),
    ),
    {"TIETE-RESENDE": "79.90", "TIETE-NOVO_RIO": "129.90", "RESENDE-NOVO_RIO": "64.50"},
    "coast-coach",
    "Coast coach",
    11,
)


def trips_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Create what is missing; yield a line of progress for each part."""
    lines = (DEMO, OVERNIGHT, COAST)
    for line in lines:
        _network(line)
    yield f"{len(lines)} routes with a bus each"
    now = timezone.now()
    opened = _demo_trips(now)
    for line in (OVERNIGHT, COAST):
        for days in (1, 2):
            opened += _opened(line, site_day(now) + timedelta(days=days))
    yield f"{opened} trips opened"


def _network(line: Line) -> None:
    for code, name, zone, _arrives, _departs in line.stops:
        stop_put(code=code, name=name, zone=zone, **SAID)
    route_put(
        code=line.route,
        name=line.name,
        currency=line.currency,
        zone=line.zone,
        stops=[stop[0] for stop in line.stops],
        fares={segment: Decimal(amount) for segment, amount in line.fares.items()},
        **SAID,
    )
    seats = seats_drawn("\n".join(_row(row) for row in range(line.rows)))
    vehicle_put(code=line.vehicle, name=line.vehicle_name, seats=seats, **SAID)


def _row(row: int) -> str:
    first = row * 4 + 1
    return f"{first} {first + 1} . {first + 2} {first + 3}"


def _demo_trips(now: datetime) -> int:
    """Open trips of `demo-bus` until three of them leave in 48 hours or later."""
    ahead = Trip.objects.filter(
        vehicle__code=DEMO.vehicle,
        status=TripStatus.OPEN,
        departs_at__gte=now + timedelta(hours=AHEAD_HOURS),
    )
    opened, days = 0, IN_DAYS
    while ahead.count() < AHEAD and days < IN_DAYS + 60:
        opened += _opened(DEMO, site_day(now) + timedelta(days=days))
        days += 1
    return opened


def _opened(line: Line, day: date) -> int:
    _trip, new = trip_open(
        route=line.route,
        vehicle=line.vehicle,
        service_date=day,
        clocks=line.clocks,
        **SAID,
    )
    return int(new)
