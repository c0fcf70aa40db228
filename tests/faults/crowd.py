"""A crowd that books the seats of one trip while processes are killed, and what must hold then.

Everything is counted here, from the rows and from what the payment service did: the services and
constraints that are tested have no part in it.
"""

import json
import math
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from tests.faults.bookings import End
from tests.faults.harness import Harness
from tests.support import FULL_SIZE, eventually

BUS, SEATS, ASKERS = "crowd-bus", 40, 8
PLACE = {code: n for n, code in enumerate("ABCD", start=1)}
#: How often each stretch is asked for: more want the leg from B to C than there are seats, also
#: when all who lose a seat for other reasons are taken off.
WANTED = ("A-D", "A-C", "B-D", "A-D", "A-B", "A-D", "B-C", "A-C", "A-D", "C-D", "B-D")
RICH, POOR = Decimal("9000.00"), Decimal("12.00")
#: Answers that the payment service does not give: more than a few, and no card is charged before
#: the seats are gone.
MOST_SILENT = 20
#: So long somebody is waited for at a point: of hundreds, those who pay may have passed it all.
POINT_SECONDS = 30.0 if FULL_SIZE else math.inf
#: Somebody is killed while a process is held at the point.
Kill = tuple[str, str]


@dataclass(frozen=True)
class Rider:
    """One of the crowd: the stretch, and how it is paid. `declined`: the card is refused;
    `withdraws`: cancels as soon as the booking is asked for."""

    number: int
    segment: str
    method: str
    opening: Decimal
    declined: bool
    withdraws: bool

    @property
    def user_id(self) -> str:
        """The rider's id."""
        return f"crowd-{self.number}"


def people(number: int) -> Iterator[Rider]:
    """So many riders, half of them with a card; of ten, one is too poor and one card is declined,
    and of twenty, two withdraw."""
    for n in range(number):
        money = POOR if n % 10 == 4 else RICH
        yield Rider(
            n,
            segment=WANTED[n % len(WANTED)],
            method="card" if n % 2 else "wallet",
            opening=Decimal(0) if n % 2 else money,
            declined=n % 10 == 5,
            withdraws=n % 20 in (8, 19),
        )


def prepare(number: int) -> None:
    """In a process of the site's: make the bus, its trip, and the riders with their money; print
    the trip's id."""
    from django.utils import timezone

    from apps.accounts.demo_users import SEEDER
    from apps.bookings.services.demo import DEMO
    from apps.bookings.services.network import SeatAt, vehicle_put
    from apps.bookings.services.trips import trip_open
    from apps.wallets.contracts import AccountKind, JournalKind
    from apps.wallets.services.accounts import system_account, wallet_account
    from apps.wallets.services.ledger import post
    from apps.wallets.services.riders import rider_put

    said: dict[str, Any] = {"by": SEEDER, "via": "command"}
    now = timezone.now()
    seats = [SeatAt(n + 1, n // 4 + 1, n % 4 + 1) for n in range(SEATS)]
    vehicle_put(code=BUS, name="Bus for a crowd", seats=seats, **said)
    for rider in people(number):
        known = {"user_id": rider.user_id, "name": rider.user_id, "currency": "NGN"}
        rider_put(**known, email=f"{rider.user_id}@demo.invalid", as_of=now, **said)
        if rider.method == "card":
            continue
        post(
            key=f"crowd:{rider.user_id}:opening",
            kind=JournalKind.ADJUSTMENT,
            currency="NGN",
            lines={
                system_account(AccountKind.ADJUSTMENT, "NGN"): rider.opening,
                wallet_account(rider.user_id): -rider.opening,
            },
            subject_type="rider",
            subject_id=rider.user_id,
            as_of=now,
        )
    day = (now + timedelta(days=9)).date()
    trip, _ = trip_open(route=DEMO.route, vehicle=BUS, service_date=day, clocks=DEMO.clocks, **said)
    print(trip.pk)


class Row(NamedTuple):
    """A booking as the database has it, with its reservation; `kept` is that one's status."""

    id: str
    workflow_id: str
    user_id: str
    method: str
    fare: Decimal
    status: str
    code: str
    first: int
    last: int
    kept: str
    seat: int | None

    @property
    def confirmed(self) -> bool:
        """Whether the rider travels."""
        return self.status == "confirmed"

    @property
    def lost(self) -> bool:
        """Whether it had a seat and gave it back."""
        return self.seat is not None and not self.confirmed

    def over(self, other: "Row") -> bool:
        """Whether both want a leg."""
        return self.first < other.last and other.first < self.last


_ROWS = """
SELECT b.id::text, b.workflow_id, b.user_id, b.payment_method, b.fare, b.status, b.error_code,
       b.from_n, b.to_n, coalesce(r.status, ''), r.seat_number
FROM bookings_booking b LEFT JOIN bookings_reservation r ON r.booking_id = b.id
WHERE b.trip_id = %s
"""
_OPEN = """
SELECT EXISTS (SELECT FROM bookings_booking WHERE trip_id = %s AND status = 'running')
    OR EXISTS (SELECT FROM bookings_refund r JOIN bookings_booking b ON b.id = r.booking_id
               WHERE b.trip_id = %s AND r.status <> 'done')
"""
_WALLETS = """
SELECT rider.user_id, wallet.balance, -coalesce(sum(line.amount), 0)
FROM wallets_wallet wallet
JOIN wallets_rider rider ON rider.id = wallet.rider_id
LEFT JOIN wallets_journalline line ON line.account_id = wallet.account_id
WHERE rider.user_id = ANY(%s) GROUP BY wallet.id, rider.id
"""
_VERIFY = """
from django.core.management import call_command
for name in ("verifyledger", "verifyaudit"):
    call_command(name)
"""


class Crowd:
    """Riders on one stack, what each of them asked for, and who was killed meanwhile."""

    def __init__(self, harness: Harness, number: int) -> None:
        self.harness, self.story, self.stack = harness, harness.story, harness.stack
        self.riders = {rider.user_id: rider for rider in people(number)}
        call = f"from tests.faults.crowd import prepare; prepare({number})"
        self.trip = self.stack.manage("shell", "-v", "0", "-c", call).split()[-1]
        #: Of each round, the riders' workflows.
        self.rounds: list[dict[str, str]] = []
        self.kills: Counter[str] = Counter()
        self._seen: dict[int, list[Row]] = {}

    # --- what happens ---------------------------------------------------------------------------
    def ask(self, riders: Sequence[Rider], kills: Sequence[Kill], *, bad: bool) -> None:
        """Let all of them ask at once while these are killed one after the other, and wait for the
        end of everything. With `bad` the payment service loses answers and refuses, the poor pay
        from their wallets, and some withdraw."""
        self.story.quiet()
        self._behave(
            refuse_targets=[rider.user_id for rider in riders if bad and rider.declined],
            fail_next=min(len(riders) // 10, MOST_SILENT) if bad else 0,
            fail_after_effect=True,
            fail_reversals=2 if bad else 0,
        )
        try:
            if kills:
                self._arm(*kills[0])
            with ThreadPoolExecutor(ASKERS) as pool:
                asked = [pool.submit(self._ask, rider, bad) for rider in riders]
                self._kill(kills, asked)
            found = [one.result() for one in asked]
            self.rounds.append(dict(zip((r.user_id for r in riders), found, strict=True)))
            eventually(lambda: not self._is_open(), timeout=240, every=0.1)
        finally:
            self.harness.points.release_all()
            self._behave()

    def again(self) -> list[Rider]:
        """Who has no seat and still wants one."""
        travel = {row.user_id for row in self.rows if row.confirmed}
        return [
            one for name, one in self.riders.items() if name not in travel and not one.withdraws
        ]

    @property
    def lost(self) -> int:
        """How many of the last round gave a seat back, whatever it was for."""
        asked = set(self.rounds[-1].values())
        return sum(row.lost for row in self.rows if row.workflow_id in asked)

    def _ask(self, rider: Rider, bad: bool) -> str:
        card = rider.method == "card" or (rider.opening == POOR and not bad)
        answer = self.story.insist(
            *("POST", "/bookings"),
            user="agent",
            body={
                **{"userId": rider.user_id, "busId": BUS, "segment": rider.segment},
                **{"tripId": self.trip, "paymentMethod": "card" if card else "wallet"},
            },
            key=f"{rider.user_id}-{len(self.rounds)}",
        )
        assert answer.status in (200, 201), answer
        workflow = str(answer.body["workflowId"])
        if rider.withdraws:
            path = f"/bookings/{workflow}/cancel"
            answer = self.story.insist("POST", path, user="agent", body={})
            assert answer.status in (200, 409), answer
        return workflow

    def _arm(self, victim: str, point: str) -> None:
        if victim == "relay":
            self.harness.lead_by_relay()
        self.harness.points.arm(point)

    def _kill(self, kills: Sequence[Kill], asked: "Sequence[Future[str]]") -> None:
        """Each while somebody is held at its point; none where nobody comes by, or all is over. The
        next point is armed before the victim is back: whoever was held has still to pass it."""
        points = self.harness.points
        for (victim, point), later in zip(kills, [*kills[1:], None], strict=True):
            held = self._is_held(point, asked)
            if held:
                self.harness.kill(victim)
                self.kills[victim] += 1
            if later and later[0] != "relay":
                self._arm(*later)
            points.release(point)
            if held:
                self.harness.restart(victim)
            if later and later[0] == "relay":
                self._arm(*later)

    def _is_held(self, point: str, asked: "Sequence[Future[str]]") -> bool:
        """Wait until somebody is held there, and say whether anybody is."""
        points, began = self.harness.points, time.monotonic()

        def seen() -> bool:
            late = time.monotonic() - began > POINT_SECONDS
            return bool(points.holder(point)) or late or self._is_over(asked)

        eventually(seen, timeout=240, every=0.02)
        return bool(points.holder(point))

    def _is_over(self, asked: "Sequence[Future[str]]") -> bool:
        return all(one.done() for one in asked) and not self._is_open()

    def _is_open(self) -> bool:
        return bool(self.stack.sql(_OPEN, self.trip, self.trip)[0][0])

    # --- the payment service, which nobody kills ------------------------------------------------
    def _behave(self, **behaviour: Any) -> None:
        request = urllib.request.Request(
            f"{self._service}/behaviour", method="POST", data=json.dumps(behaviour).encode()
        )
        with urllib.request.urlopen(request, timeout=30):
            pass

    @property
    def _service(self) -> str:
        return self.story.sink.replace("/executor", "/payments")

    def _charges(self) -> dict[str, dict[str, Any]]:
        with urllib.request.urlopen(f"{self._service}/effects", timeout=30) as answer:
            return dict(json.loads(answer.read())["effects"])

    # --- what must hold -------------------------------------------------------------------------
    @property
    def rows(self) -> list[Row]:
        """The bookings of all rounds so far; read once after each of them."""
        if len(self.rounds) not in self._seen:
            found = [Row(*one) for one in self.stack.sql(_ROWS, self.trip)]
            self._seen[len(self.rounds)] = found
        return self._seen[len(self.rounds)]

    def prove(self) -> None:
        """AssertionError unless each has a seat and paid for it, or has all of the money."""
        asked = [workflow for one in self.rounds for workflow in one.values()]
        assert sorted(row.workflow_id for row in self.rows) == sorted(asked)
        self._prove_seats()
        self._prove_refusals()
        self._prove_wallets()
        self._prove_cards()
        for status, seats in (("confirmed", 1), ("failed", 0), ("cancelled", 0)):
            ids = [row.id for row in self.rows if row.status == status]
            End(status, seats).prove(self.story, ids)
        # Each exits 0, or this raises: both in one process, because its start takes the longest.
        self.stack.manage("shell", "-v", "0", "-c", _VERIFY)

    def _prove_seats(self) -> None:
        """Who is confirmed has a seat of the bus, nobody else has one, and none is twice on a
        leg."""
        for row in self.rows:
            assert (row.kept == "confirmed") == row.confirmed, row
            assert row.kept in ("", "confirmed", "released", "expired"), row
        legs = Counter(
            (row.seat, leg)
            for row in self.rows
            if row.confirmed
            for leg in range(row.first, row.last)
        )
        assert set(legs.values()) == {1}, legs.most_common(3)
        assert {seat for seat, _ in legs} <= set(range(1, SEATS + 1))

    def _prove_refusals(self) -> None:
        """Whoever was refused in the last round, in which nobody gave a seat back, finds none that
        is free all the way now. For those of earlier rounds nobody can say so any more: but each
        seat was in somebody's hands at some time on a leg of theirs."""
        last, refused = set(self.rounds[-1].values()), Counter[bool]()
        for row in self.rows:
            if row.code != "no_seat":
                continue
            now = row.workflow_id in last
            taken = {
                other.seat
                for other in self.rows
                if other.seat and other.over(row) and (other.confirmed or not now)
            }
            assert len(taken) == SEATS, (row, "was free", set(range(1, SEATS + 1)) - taken)
            refused[now] += 1
        # More want the middle of the way than there are seats.
        assert self.lost == 0 and refused[True] > 0, refused

    def _prove_wallets(self) -> None:
        """Each has paid for the seats that are kept from it, and nothing else."""
        left = {name: rider.opening for name, rider in self.riders.items()}
        for row in self.rows:
            if row.confirmed and row.method == "wallet":
                left[row.user_id] -= row.fare
        seen = self.stack.sql(_WALLETS, list(self.riders))
        assert {name: (stored, lines) for name, stored, lines in seen} == {
            name: (amount, amount) for name, amount in left.items()
        }

    def _prove_cards(self) -> None:
        """The same of cards, by what the payment service did."""
        charges = self._charges()
        for row in self.rows:
            charge = charges.get(f"{row.workflow_id}:processPayment")
            kept = Decimal(0)
            if charge and charge["executions"]:
                back = row.fare if charge["reversals"] else Decimal(0)
                kept = row.fare - back - sum(map(Decimal, charge["refunds"].values()))
                assert (charge["executions"], row.method) == (1, "card"), (row, charge)
            paid = row.confirmed and row.method == "card"
            assert kept == (row.fare if paid else 0), (row, charge)

    @property
    def ends(self) -> str:
        """How the bookings ended, and how often each way."""
        found = Counter(row.code or row.status for row in self.rows)
        return ", ".join(f"{number} {end}" for end, number in found.most_common())
