"""Hundreds at once for the forty seats of a trip, over stretches that overlap, while everybody is
killed: no seat twice, none free over a refused stretch, and every payer has a seat or the money."""

import time
from collections.abc import Callable

import pytest

from tests.faults.bookings import CHARGED
from tests.faults.crowd import SEATS, Crowd, Kill
from tests.faults.harness import Harness
from tests.support import FULL_SIZE

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200 if FULL_SIZE else 420)]

Record = Callable[[str, object], None]

RIDERS = 500 if FULL_SIZE else 60
#: Each is killed where most is at stake for many.
KILLS: list[Kill] = [
    ("relay", "relay.sent"),
    ("worker", CHARGED),
    ("sessions", "confirm_booking.uncommitted"),
]
MORE_KILLS: list[Kill] = [
    ("web", "booking_request.uncommitted"),
    ("relay", "relay.claimed"),
    ("temporal", "book_from_wallet.after"),
    ("worker", "process_payment.begun"),
    ("sessions", "settle_booking.before"),
    ("worker", "settle_booking.after"),
    ("valkey", "reserveSeat.before"),
    ("temporal", "settle_booking.before"),
]
#: Of those who ask again hundreds are refused.
KILLS_LATER: list[Kill] = [
    ("sessions", "settle_booking.before" if FULL_SIZE else "reserve_seat.uncommitted")
]
MORE_KILLS_LATER: list[Kill] = [
    ("relay", "relay.sent"),
    ("temporal", "open_booking.after"),
    ("worker", "settle_booking.after"),
]
#: Rounds until one in which nobody gives a seat back: kills alone may use up a card's attempts.
MOST_ROUNDS = 6


def test_a_crowd_gets_each_seat_once_or_its_money(
    harness: Harness, record_property: Record
) -> None:
    began = time.monotonic()
    crowd = Crowd(harness, RIDERS)
    crowd.ask([*crowd.riders.values()], KILLS + MORE_KILLS * FULL_SIZE, bad=True)
    # Whoever has no seat asks again. When no seat is given back any more, none may be free over the
    # stretch of those who are refused.
    crowd.ask(crowd.again(), KILLS_LATER + MORE_KILLS_LATER * FULL_SIZE, bad=False)
    while crowd.lost and len(crowd.rounds) < MOST_ROUNDS:
        crowd.ask(crowd.again(), [], bad=False)
    crowd.prove()
    assert {victim for victim, _ in KILLS} <= set(crowd.kills)

    killed = ", ".join(f"{victim} {number}" for victim, number in sorted(crowd.kills.items()))
    row = f"{RIDERS} on {SEATS} seats"
    for column, cell in {
        "came to": f"{crowd.ends} in {len(crowd.rounds)} rounds",
        "killed": killed,
        "seconds": f"{time.monotonic() - began:.0f}",
    }.items():
        record_property("table", ["A crowd", row, column, cell])
