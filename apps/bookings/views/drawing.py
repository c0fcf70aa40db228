"""The seats of a trip as a drawing: SVG coordinates for `bookings/_seat_map.html`, and in words."""

from dataclasses import dataclass
from itertools import groupby, pairwise

from django.utils.translation import gettext

from apps.bookings.contracts import SeatUse
from apps.bookings.selectors import SeatMap, SeatOnTrip
from apps.common.language import lazy as _

#: A seat, and the gap to the next one.
SIZE, GAP = 44, 6

WORDS = {
    SeatUse.FREE: _("free"),
    SeatUse.HELD: _("held"),
    SeatUse.SOLD: _("sold"),
    SeatUse.BLOCKED: _("blocked"),
}
_SAID = {
    SeatUse.FREE: _("Seat {number}: free"),
    SeatUse.HELD: _("Seat {number}: held"),
    SeatUse.SOLD: _("Seat {number}: sold"),
    SeatUse.BLOCKED: _("Seat {number}: blocked"),
}


@dataclass(frozen=True)
class DrawnSeat:
    """A seat in the coordinates of its drawing; `said` is what it is, in words."""

    number: int
    use: SeatUse
    x: int
    y: int
    said: str


@dataclass(frozen=True)
class Leg:
    """A leg of the trip: `n` from 1, the codes of its two stops, and how many seats are free."""

    n: int
    first: str
    last: str
    free: int


@dataclass(frozen=True)
class Drawing:
    """The seats on one leg. `legend`: each use, its words, and how many seats have it."""

    leg: Leg
    legs: list[Leg]
    seats: list[DrawnSeat]
    legend: list[tuple[SeatUse, str, int]]
    width: int
    height: int
    size: int = SIZE


def legs_of(seats: SeatMap) -> list[Leg]:
    """Return the legs of the trip."""
    codes = [stop.stop.code for stop in seats.stops]
    return [
        Leg(n, first, last, seats.counts(n, n + 1)[SeatUse.FREE])
        for n, (first, last) in enumerate(pairwise(codes), start=1)
    ]


def drawing_of(seats: SeatMap, asked: str) -> Drawing | None:
    """Draw the seats on the leg of that number, the first one for what is no leg's number; None for
    a trip without legs."""
    legs = legs_of(seats)
    if not legs:
        return None
    leg = next((one for one in legs if str(one.n) == asked), legs[0])
    counts = seats.counts(leg.n, leg.n + 1)
    step = SIZE + GAP
    return Drawing(
        leg=leg,
        legs=legs,
        seats=[
            DrawnSeat(
                seat.number,
                use := seat.over(leg.n, leg.n + 1),
                (seat.col - 1) * step + GAP // 2,
                (seat.row - 1) * step + GAP // 2,
                str(_SAID[use]).format(number=seat.number),
            )
            for seat in seats.seats
        ],
        legend=[(use, str(WORDS[use]), counts[use]) for use in SeatUse],
        width=max((seat.col for seat in seats.seats), default=1) * step,
        height=max((seat.row for seat in seats.seats), default=1) * step,
    )


def stretches(seat: SeatOnTrip, use: SeatUse, codes: list[str]) -> str:
    """Return where the seat is that, as stretches of its trip: `A–C, D–E`; empty for nowhere."""
    found, leg = [], 0
    for known, same in groupby(seat.legs):
        length = len(list(same))
        if known is use:
            found.append(
                gettext("{first}–{last}").format(first=codes[leg], last=codes[leg + length])
            )
        leg += length
    return ", ".join(found)
