"""P8: bookings that all fit ÷ bare sagas of five remote activities that do nothing.

    python -m benchmarks.p8 [bookings] [rounds]

Ours is the product from end to end: row, audit entry and outbox of the request, relay, seat under
the trip's lock, fare from the rider's wallet through the ledger, confirmation, e-mail and manifest.
Every booking has a rider of its own: those of one rider wait for the rider's wallet.
"""

import asyncio
import itertools
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from temporalio.client import Client

from benchmarks import bare
from benchmarks.bench import Bench
from benchmarks.testbed import Goal, Stand, compare, stand, until

BENCH = Bench(
    goal="P8",
    title="Bookings that all fit against bare sagas of five empty steps",
    domain="bookings",
    quick=("20", "1"),
    seconds=80,
    quick_seconds=22,
)
GOAL = Goal("P8", must=0.7, reach=1.1)
BOOKINGS, ROUNDS, STEPS = 500, 2, 5
#: Bare sagas of a round: their throughput does not depend on how many there are.
MOST_BARE = 200
#: Enough that every process has done everything once; a whole round would take as long as one.
WARM_UP = 50
ASKERS = 8
VEHICLE = "bench-bus"
_numbers = itertools.count()


def main() -> int:
    """Prints the line; 1 when what must be reached is missed."""
    bookings = int(sys.argv[1]) if len(sys.argv) > 1 else BOOKINGS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    with stand() as one, asyncio.Runner() as runner:
        one.run("worker", "relay", "simulators")
        one.command("bare", [sys.executable, "-m", "benchmarks.bare"])
        one.django()
        sides = _Sides(one, runner, bookings)
        sides.warm_up()
        result = compare(
            GOAL,
            ours=sides.bookings,
            reference=sides.bare,
            unit="bookings/s",
            rounds=rounds,
            warm_up=False,
        )
    return int(result.word == "MISSED")


@dataclass
class _Sides:
    """What is measured, each in sagas a second."""

    stand: Stand
    runner: asyncio.Runner
    number: int

    def __post_init__(self) -> None:
        self.client = self.runner.run(Client.connect(self.stand.temporal.address))
        self.by = _prepare(self.number)

    def warm_up(self) -> None:
        """A small round of both, not measured."""
        self.bare()
        self._book(min(self.number, WARM_UP))

    def bare(self) -> float:
        name, sagas = f"p8-{next(_numbers)}", min(self.number, MOST_BARE)
        return self.runner.run(bare.throughput(self.client, sagas=sagas, steps=STEPS, name=name))

    def bookings(self) -> float:
        """From the first request until the database says that all are confirmed."""
        return self._book(self.number)

    def _book(self, bookings: int) -> float:
        from django.db import connections
        from django.utils import timezone

        from apps.bookings.models import Booking
        from apps.bookings.services.requesting import booking_request

        trip = _trip(next(_numbers))

        def ask(first: int) -> None:
            try:
                for number in range(first, bookings, ASKERS):
                    booking_request(
                        user_id=f"bench-{number}",
                        bus_id=VEHICLE,
                        segment="A-B",
                        trip_id=trip,
                        by=self.by,
                        via="command",
                        as_of=timezone.now(),
                    )
            finally:
                # A thread that ends would keep its connection from the pool.
                connections.close_all()

        confirmed = Booking.objects.filter(trip_id=trip, status="confirmed")
        began = time.perf_counter()
        with ThreadPoolExecutor(ASKERS) as pool:
            list(pool.map(ask, range(ASKERS)))
        until(
            lambda: confirmed.count() >= bookings,
            seconds=180,
            every=0.2,
            what=f"{bookings} bookings\n{self.stand.processes[0].tail(20)}",
        )
        return bookings / (time.perf_counter() - began)


def _prepare(number: int) -> Any:
    """A bus with a seat for everybody, and riders with money."""
    from django.utils import timezone

    from apps.accounts.models import User
    from apps.bookings.services.network import SeatAt, vehicle_put
    from apps.wallets.contracts import AccountKind, JournalKind
    from apps.wallets.services.accounts import system_account, wallet_account
    from apps.wallets.services.ledger import post
    from apps.wallets.services.riders import rider_put

    admin = User.objects.get(username="admin")
    seats = [SeatAt(seat + 1, seat // 4 + 1, seat % 4 + 1) for seat in range(number)]
    vehicle_put(code=VEHICLE, name="Bench", seats=seats, by=admin, via="command")
    for rider in range(number):
        user_id, now = f"bench-{rider}", timezone.now()
        rider_put(
            user_id=user_id,
            name=user_id,
            email=f"{user_id}@example.org",
            currency="NGN",
            by=admin,
            via="command",
            as_of=now,
        )
        post(
            key=f"bench:{user_id}",
            kind=JournalKind.ADJUSTMENT,
            currency="NGN",
            lines={
                system_account(AccountKind.ADJUSTMENT, "NGN"): Decimal(10**6),
                wallet_account(user_id): -Decimal(10**6),
            },
            subject_type="rider",
            subject_id=user_id,
            as_of=now,
        )
    return admin


def _trip(number: int) -> Any:
    """A trip of its own for each round."""
    from django.utils import timezone

    from apps.accounts.models import User
    from apps.bookings.services.demo import DEMO
    from apps.bookings.services.trips import trip_open

    trip, _ = trip_open(
        route=DEMO.route,
        vehicle=VEHICLE,
        service_date=(timezone.now() + timedelta(days=3 + number)).date(),
        clocks=DEMO.clocks,
        by=User.objects.get(username="admin"),
        via="command",
    )
    return trip.pk


if __name__ == "__main__":
    sys.exit(main())
