"""The network: stops, routes with their fares, and vehicles with their seats.

Each is put whole, by its code: the same content again changes nothing. Concurrent calls for one
code take turns.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import transaction

from apps.audit.contracts import Actor
from apps.audit.services import entry_record, refusals
from apps.bookings.contracts import ROUTE, SEGMENT, STOP, STOP_CODE, VEHICLE
from apps.bookings.models import Fare, Route, RouteStop, Seat, Stop, Vehicle
from apps.bookings.times import zone_of
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.locks import transaction_lock
from apps.common.money import exact
from apps.common.validation import clean_amount, clean_code, clean_currency, clean_text
from apps.notifications.services import address_checked

MOST_STOPS, MOST_SEATS = 50, 600
#: The highest number of a seat, and the last row and column.
MOST_NUMBER, MOST_ROW, MOST_COL = 9999, 200, 10


class SeatAt(NamedTuple):
    """A seat's number, and its row and column, from 1."""

    number: int
    row: int
    col: int


def clean_stop_code(code: str) -> str:
    """Return the stop's code. Raises Invalid `stop_code_invalid`."""
    if not isinstance(code, str) or not re.fullmatch(STOP_CODE, code, re.ASCII):
        raise Invalid(
            _("The code of a stop has 1 to 20 capital letters, digits and _."),
            code="stop_code_invalid",
        )
    return code


def segment_stops(segment: str) -> tuple[str, str]:
    """Return the codes of the two stops of a segment such as `A-B`. Raises Invalid
    `segment_invalid`."""
    found = SEGMENT.fullmatch(segment) if isinstance(segment, str) else None
    if found is None or found[1] == found[2]:
        raise Invalid(
            _("A segment is written like A-B, with the codes of two different stops."),
            code="segment_invalid",
        )
    return found[1], found[2]


def stop_put(*, code: str, name: str, zone: str, by: Actor | None, via: str) -> Stop:
    """Return the stop of that code, with this name and time zone; create it if there is none.

    Raises, each audited: Invalid `stop_code_invalid`, `name_invalid`, `zone_invalid`.
    """
    subject = _subject(STOP, code)
    with refusals(**subject, by=by, via=via), transaction.atomic(durable=True):
        clean_stop_code(code)
        fields = {"name": clean_text(name, field="name", limit=160), "zone": zone_of(zone).key}
        transaction_lock(f"stop:{code}")
        stop, changed = _put(Stop, code, fields)
        if changed:
            entry_record(**subject, by=by, via=via, body=fields)
    return stop


def route_put(
    *,
    code: str,
    name: str,
    currency: str,
    zone: str,
    stops: Sequence[str],
    fares: Mapping[str, Decimal],
    by: Actor | None,
    via: str,
) -> Route:
    """Return the route of that code, with these stops, in their order, and fares.

    `fares`: the price of each segment that is sold, such as `A-B`, in major units of the currency;
    bookings keep theirs. Once a trip was opened, only name and fares change. Raises, each audited:
    Invalid `code_invalid`, `name_invalid`, `currency_invalid`, `zone_invalid`, `stops_invalid` (2
    to 50, each once), `segment_invalid`, `amount_invalid`; NotFound `stop_not_found`; Conflict
    `route_in_use`.
    """
    subject = _subject(ROUTE, code)
    with refusals(**subject, by=by, via=via), transaction.atomic(durable=True):
        fields = {
            "name": clean_text(name, field="name", limit=160),
            "currency": clean_currency(currency),
            "zone": zone_of(zone).key,
        }
        places = _places(stops)
        prices = _prices(fares, places, currency)
        transaction_lock(f"route:{clean_code(code)}")
        ids = _stop_ids(stops)
        before = Route.objects.select_for_update().filter(code=code).first()
        known = (
            list(before.stops.order_by("n").values_list("stop__code", flat=True)) if before else []
        )
        if before is not None and before.trips.exists():
            kept = (before.currency, before.zone, known)
            if kept != (fields["currency"], fields["zone"], list(stops)):
                raise Conflict(
                    _("Trips of this route were opened: its stops, currency and zone stay."),
                    code="route_in_use",
                )
        route, changed = _put(Route, code, fields)
        if known != list(stops):
            route.stops.all().delete()
            RouteStop.objects.bulk_create(
                RouteStop(route=route, n=n, stop_id=ids[one]) for one, n in places.items()
            )
            changed = True
        changed |= _put_fares(route, prices)
        if changed:
            body: dict[str, Any] = {**fields, "stops": list(stops)}
            body["fares"] = {one: exact(fares[one], currency) for one in fares}
            entry_record(**subject, by=by, via=via, body=body)
    return route


def vehicle_put(
    *,
    code: str,
    name: str,
    seats: Sequence[SeatAt],
    operator_email: str = "",
    by: Actor | None,
    via: str,
) -> Vehicle:
    """Return the vehicle of that code, with these seats. Trips that are open keep theirs. Manifests
    are sent to `operator_email`, if there is one.

    Raises, each audited: Invalid `code_invalid`, `name_invalid`, `address_invalid`,
    `seats_invalid`: 1 to 600, each number and each place once, numbers to 9999, rows to 200,
    columns to 10.
    """
    subject = _subject(VEHICLE, code)
    with refusals(**subject, by=by, via=via), transaction.atomic(durable=True):
        clean_code(code)
        fields = {
            "name": clean_text(name, field="name", limit=160),
            "operator_email": address_checked(operator_email) if operator_email else "",
        }
        wanted = _checked_seats(seats)
        transaction_lock(f"vehicle:{code}")
        vehicle, changed = _put(Vehicle, code, fields)
        # Trips that are being opened copy the seats under a lock of this row.
        Vehicle.objects.select_for_update().get(pk=vehicle.pk)
        known = set(vehicle.seats.values_list("number", "row", "col"))
        if known != wanted:
            vehicle.seats.all().delete()
            Seat.objects.bulk_create(
                Seat(vehicle=vehicle, **one._asdict()) for one in sorted(wanted)
            )
            changed = True
        if changed:
            entry_record(**subject, by=by, via=via, body={**fields, "seats": len(wanted)})
    return vehicle


def seats_drawn(drawing: str) -> list[SeatAt]:
    """Return the seats of a drawing: a line for each row, the numbers separated by blanks, `.` for
    an aisle. Raises Invalid `seats_invalid`."""
    found = []
    lines = [line.split() for line in drawing.splitlines() if line.strip()]
    for row, line in enumerate(lines, start=1):
        for col, cell in enumerate(line, start=1):
            if cell == ".":
                continue
            if not re.fullmatch(r"\d{1,4}", cell, re.ASCII):
                raise _seats_invalid()
            found.append(SeatAt(int(cell), row, col))
    return found


# --- helpers -------------------------------------------------------------------------------------
def _subject(kind: str, code: Any) -> dict[str, Any]:
    return {"action": f"{kind}.put", "subject_type": kind, "subject_id": str(code)[:80]}


def _put(model: Any, code: str, fields: dict[str, Any]) -> tuple[Any, bool]:
    """Return the row of that code with these fields, and whether that changed anything."""
    row, created = model.objects.get_or_create(code=code, defaults=fields)
    changed = [name for name, value in fields.items() if getattr(row, name) != value]
    if changed:
        for name in changed:
            setattr(row, name, fields[name])
        row.save(update_fields=changed)
    return row, created or bool(changed)


def _places(stops: Sequence[str]) -> dict[str, int]:
    """Return the place of each stop, from 1."""
    if isinstance(stops, str) or not 2 <= len(stops) <= MOST_STOPS or len(set(stops)) < len(stops):
        raise Invalid(
            filled(
                _("A route has 2 to {most_stops} stops, each once."),
                most_stops=MOST_STOPS,
            ),
            code="stops_invalid",
        )
    return {clean_stop_code(stop): n for n, stop in enumerate(stops, start=1)}


def _prices(
    fares: Mapping[str, Decimal], places: Mapping[str, int], currency: str
) -> dict[tuple[int, int], Decimal]:
    found = {}
    for segment, amount in fares.items():
        first, last = segment_stops(segment)
        if not places.get(first, 0) < places.get(last, 0) or first not in places:
            raise Invalid(
                filled(_("The route has no segment {segment}."), segment=segment),
                code="segment_invalid",
            )
        found[places[first], places[last]] = clean_amount(amount, currency)
    return found


def _stop_ids(stops: Sequence[str]) -> dict[str, int]:
    ids = dict(Stop.objects.filter(code__in=stops).values_list("code", "pk"))
    for stop in stops:
        if stop not in ids:
            raise NotFound(filled(_("There is no stop {stop}."), stop=stop), code="stop_not_found")
    return ids


def _put_fares(route: Route, prices: dict[tuple[int, int], Decimal]) -> bool:
    known = {(one.from_n, one.to_n): one.amount for one in route.fares.all()}
    if known == prices:
        return False
    route.fares.all().delete()
    Fare.objects.bulk_create(
        Fare(route=route, from_n=from_n, to_n=to_n, amount=amount)
        for (from_n, to_n), amount in prices.items()
    )
    return True


def _checked_seats(seats: Sequence[SeatAt]) -> set[SeatAt]:
    found = {SeatAt(*one) for one in seats}
    most = SeatAt(MOST_NUMBER, MOST_ROW, MOST_COL)
    whole = all(
        isinstance(value, int) and 1 <= value <= limit
        for one in found
        for value, limit in zip(one, most, strict=True)
    )
    once = len({one.number for one in found}) == len({one[1:] for one in found}) == len(seats)
    if not whole or not once or not 1 <= len(seats) <= MOST_SEATS:
        raise _seats_invalid()
    return found


def _seats_invalid() -> Invalid:
    return Invalid(
        filled(
            _(
                "A vehicle has 1 to {most_seats} seats, each number and each place once: numbers "
                "to {most_number}, in {most_row} rows of {most_col}."
            ),
            most_seats=MOST_SEATS,
            most_number=MOST_NUMBER,
            most_row=MOST_ROW,
            most_col=MOST_COL,
        ),
        code="seats_invalid",
    )
