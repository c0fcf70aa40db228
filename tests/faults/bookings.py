"""Bookings for the fault harness: paid from a wallet, by card, and taken back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle

from tests.faults.points import Points
from tests.faults.saga import FaultSaga
from tests.faults.story import Story
from tests.support import eventually

RIDER, BUS = "demo-rider", "demo-bus"
CHARGED = "process_payment.answered"
#: What may happen to a booking once, and never again.
ONCE = (
    *("booking.requested", "booking.confirmed", "booking.cancelled", "booking.failed"),
    *("booking.payment_done", "booking.rolled_back"),
)
_SEEN = """
SELECT b.id::text, b.status, b.charged - b.refunded = CASE b.status
           WHEN 'confirmed' THEN b.fare ELSE 0 END,
       (SELECT count(*) FROM bookings_reservation r
        WHERE r.booking_id = b.id AND r.status IN ('held', 'paying', 'confirmed')),
       (SELECT count(*) FROM bookings_manifestline m WHERE m.booking_id = b.id),
       (SELECT count(*) FROM bookings_bookingstep s
        WHERE s.booking_id = b.id AND s.status = 'running'),
       (SELECT -coalesce(sum(l.amount), 0) FROM wallets_journalline l
          JOIN wallets_journal j ON j.id = l.journal_id
          JOIN wallets_account a ON a.id = l.account_id
        WHERE a.kind = 'prepaid' AND j.subject_type = 'booking' AND j.subject_id = b.id::text)
           = CASE b.status WHEN 'confirmed' THEN b.fare ELSE 0 END,
       ARRAY(SELECT a.action FROM audit_auditentry a
             WHERE a.subject_type = 'booking' AND a.subject_id = b.id::text
               AND a.outcome = 'done' AND a.action = ANY(%s)
             GROUP BY a.action HAVING count(*) > 1)
FROM bookings_booking b WHERE b.id::text = ANY(%s)
"""
#: Where most seats are free: the whole matrix books more than one trip has.
_EMPTIEST = """
SELECT t.id::text, leg.segment
  FROM bookings_trip t
  JOIN bookings_vehicle v ON v.id = t.vehicle_id
 CROSS JOIN (VALUES ('A-B', int4range(1, 2)), ('B-C', int4range(2, 3))) AS leg (segment, stretch)
 WHERE v.code = %s AND t.status = 'open'
 ORDER BY (SELECT count(*) FROM bookings_reservation r
            WHERE r.trip_id = t.id AND r.status IN ('held', 'paying', 'confirmed')
              AND r.stretch && leg.stretch), t.departs_at, leg.segment
 LIMIT 1
"""
_LEFTOVERS = """
SELECT 'command ' || key || ' ' || state FROM engine_enginecommand
WHERE subject_id = ANY(%s) AND state IN ('pending', 'leased', 'parked')
UNION ALL
SELECT 'run ' || workflow_id FROM engine_workflowrun
WHERE subject_id = ANY(%s) AND status = 'running'
"""


@dataclass(frozen=True)
class End:
    """How it must have ended. `seats`: kept for it, and lines of the manifest."""

    status: str
    seats: int

    def prove(self, story: Story, bookings: Sequence[str]) -> None:
        """AssertionError unless each ended like this, once, and left nothing over."""
        ids = list(bookings)

        def leftovers() -> list[Any]:
            return story.stack.sql(_LEFTOVERS, ids, ids)

        eventually(lambda: not leftovers(), timeout=30, every=0.1)
        rows = story.stack.sql(_SEEN, list(ONCE), ids)
        assert len(rows) == len(ids)
        for pk, status, paid, seats, lines, running, prepaid, twice in rows:
            assert (status, paid, seats, lines) == (self.status, True, self.seats, self.seats), pk
            assert (running, prepaid, twice) == (0, True, []), pk


def ended(story: Story, booking: str) -> bool:
    """Whether the saga has come to an end."""
    query = "SELECT status <> 'running' FROM bookings_booking WHERE id = %s"
    return bool(story.stack.sql(query, booking)[0][0])


# --- the ways -----------------------------------------------------------------------------------
def _book(method: str) -> Callable[[Story, Points], str]:
    def begin(story: Story, points: Points) -> str:
        trip, segment = story.stack.sql(_EMPTIEST, BUS)[0]
        body = {"userId": RIDER, "busId": BUS, "paymentMethod": method}
        body |= {"tripId": trip, "segment": segment}
        key = f"fault-{uuid4()}"
        answer = story.insist("POST", "/bookings", user="agent", body=body, key=key)
        assert answer.status in (200, 201), answer
        query = "SELECT id::text FROM bookings_booking WHERE workflow_id = %s"
        return str(story.stack.sql(query, answer.body["workflowId"])[0][0])

    return begin


def _taken_back(story: Story, points: Points) -> str:
    """Cancelled in the engine between the payment service's answer and its note."""
    points.arm(CHARGED)
    booking = _book("card")(story, points)
    points.wait(CHARGED)
    handle: Any = WorkflowHandle.cancel
    query = "SELECT workflow_id FROM bookings_booking WHERE id = %s"
    story.in_the_engine(handle, story.stack.sql(query, booking)[0][0])
    points.release(CHARGED)
    return booking


def _given_back(story: Story, points: Points) -> str:
    """Cancelled after it was confirmed: the money goes back to the card by its own workflow."""
    booking = _book("card")(story, points)
    eventually(lambda: ended(story, booking), timeout=60)
    query = "SELECT workflow_id FROM bookings_booking WHERE id = %s"
    address = f"/bookings/{story.stack.sql(query, booking)[0][0]}/cancel"
    answer = story.insist("POST", address, user="agent", body={})
    assert answer.status == 200, answer
    return booking


def _is_back(story: Story, booking: str) -> bool:
    query = "SELECT status = 'done' FROM bookings_refund WHERE booking_id = %s"
    return [row[0] for row in story.stack.sql(query, booking)] == [True]


def _around(*steps: str) -> tuple[str, ...]:
    return tuple(f"{step}.{where}" for step in steps for where in ("before", "after"))


BOOKED = FaultSaga(
    name="booked",
    points=(
        "booking_request.uncommitted",
        *_around("open_booking", "book_from_wallet"),
        "reserve_seat.uncommitted",
        "confirm_booking.uncommitted",
        "send_confirmation.uncommitted",
        "assign_to_manifest.uncommitted",
    ),
    begin=_book("wallet"),
    ended=ended,
    prove=End("confirmed", 1).prove,
)
BOOKED_BY_CARD = FaultSaga(
    name="booked by card",
    points=(
        *_around("reserveSeat", "charge_card", "complete_booking"),
        "process_payment.begun",
        CHARGED,
        "process_payment.uncommitted",
    ),
    begin=_book("card"),
    ended=ended,
    prove=End("confirmed", 1).prove,
)
TAKEN_BACK = FaultSaga(
    name="taken back",
    points=(
        *_around("reverse_charge", "read_booking", "settle_booking"),
        "reverse_payment.begun",
        "reverse_payment.answered",
        "reverse_payment.uncommitted",
    ),
    begin=_taken_back,
    ended=ended,
    prove=End("cancelled", 0).prove,
)
GIVEN_BACK = FaultSaga(
    name="given back",
    points=(*_around("send_refund"), "refund.begun", "refund.answered"),
    begin=_given_back,
    ended=_is_back,
    prove=End("cancelled", 0).prove,
)
SAGAS = [BOOKED, BOOKED_BY_CARD, TAKEN_BACK, GIVEN_BACK]

_SAME = "the same service as our own step, for workflows of others"
NOT_WALKED = {
    **dict.fromkeys(
        (
            *("releaseSeat", "processPayment", "confirmBooking"),
            *("sendBookingConfirmation", "assignToManifest"),
        ),
        _SAME,
    ),
    "cancel_booking": "one transaction under the row's lock (tests/bookings/test_failure_table.py)",
    **dict.fromkeys(
        ("raise_booking_attention", "raise_refund_attention"),
        "the kit's review item, which interventions walk",
    ),
    **dict.fromkeys(
        ("openManifest", "closeSales", "handOverManifest", "closeTrip", "read_trip"),
        "waits for hours; the time-skipping server tests it (tests/bookings/test_fleet.py)",
    ),
    "cancel_trip_bookings": "each booking is a transaction of its own, and the next run takes what "
    "is left (tests/bookings/test_trip_cancellation.py)",
}
