"""Cancelled trips: signed on the total, then every booking is refunded in full, one by one.

Asking for it stops the sale, so that no more goes back than is signed. With the signature the trip
is cancelled, and a workflow works through the bookings; a killed one goes on where it was. Lock
order: the trip, the cancellation, its request; a booking, then its item.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from apps.accounts.models import User
from apps.approvals.contracts import Waiting
from apps.approvals.selectors import signed_payload
from apps.approvals.subject import Decided, SignedSubject
from apps.audit.contracts import ENGINE, Actor
from apps.bookings.contracts import TASK_QUEUE, BookingStatus, TripStatus
from apps.bookings.contracts.trips import (
    CANCELLATION as SUBJECT,
)
from apps.bookings.contracts.trips import (
    CANCELLATION_KIND,
    CANCELLATION_WORKFLOW,
    CancellationProgress,
    CancellationRef,
    CancellationStatus,
)
from apps.bookings.models import Booking, Refund, Trip, TripCancellation, TripCancellationItem
from apps.bookings.models.cancellations import NOT_STOPPED
from apps.bookings.services.refund_rows import refund_send
from apps.bookings.services.refunds import UNSIGNED, refund_make, refunds_withdraw
from apps.bookings.services.rows import booking_lock
from apps.bookings.services.settling import leave
from apps.bookings.services.trip_rows import trip_changed, trip_locked, trip_record
from apps.bookings.services.trips import CHANGEABLE
from apps.common.canonical_json import digest, plain
from apps.common.errors import Conflict, DomainError, NotAllowed
from apps.common.identifiers import new_id
from apps.common.language import lazy as _
from apps.common.money import exact, shown
from apps.common.validation import clean_reason
from apps.engine import process, runs
from apps.engine.process import Carrier, Process
from apps.engine.runs import RunSpec
from apps.engine.services import timings

if TYPE_CHECKING:
    from django.db.models import QuerySet

RUN_TRIP = "bookings.run_trip"
RUNS = (CancellationStatus.PENDING, CancellationStatus.RUNNING)


def trip_cancel(
    *, trip_id: UUID | str, reason: str = "", by: User, via: str, as_of: datetime
) -> tuple[TripCancellation, bool]:
    """Ask for the trip to be cancelled; return the cancellation, and whether it is new. The sale
    stops at once; the trip is cancelled by the signature.

    Asking again, also concurrently, returns the same one; after a rejection it is a new one.
    Raises, each audited: NotAllowed `permission_denied`; NotFound `trip_not_found`; Invalid
    `reason_invalid`; Conflict `trip_settled` for a trip that is over.
    """
    with process.audited(CANCELLATION, "request", trip_id, by=by, via=via):
        if not by.has_perm(RUN_TRIP):
            raise NotAllowed(_("You may not cancel trips."), code="permission_denied")
        reason = clean_reason(reason) or gettext("No reason was given.")
        with transaction.atomic(durable=True):
            trip = trip_locked(trip_id)
            known = TripCancellation.objects.filter(trip=trip, status__in=NOT_STOPPED).first()
            if known is not None:
                return known, False
            if trip.status not in CHANGEABLE:
                raise Conflict(
                    _("The trip is too far along for this."),
                    code="trip_settled",
                    status=trip.status,
                )
            cancellation = _made(trip, reason, by=by, as_of=as_of)
            if trip.status != TripStatus.CLOSED:
                trip.status = TripStatus.CLOSED
                trip_changed(trip, "status")
            _record(cancellation, "requested", by=by, via=via, reason=reason)
            SIGNED.ask(cancellation, as_of=as_of)
            process.tell(CANCELLATION, cancellation, "status")
        return cancellation, True


def most_back(trip: Trip) -> Decimal:
    """Return the most that goes back when the trip is cancelled: what its bookings have paid, or
    may still pay, without what has gone back. Once the sale is stopped it only goes down."""
    paid = _standing(trip).filter(status=BookingStatus.CONFIRMED)
    sums = paid.aggregate(paid=Sum(F("charged") - F("refunded")))
    unsigned = Refund.objects.filter(booking__in=paid, status__in=UNSIGNED)
    waits = unsigned.aggregate(sum=Sum("amount"))["sum"] or Decimal(0)
    may = _standing(trip).filter(status=BookingStatus.RUNNING).aggregate(sum=Sum("fare"))["sum"]
    return (sums["paid"] or Decimal(0)) + waits + (may or Decimal(0))


# --- the signature --------------------------------------------------------------------------------
def cancellation_payload(cancellation: TripCancellation) -> dict[str, Any]:
    """Return the payload to sign: the trip, and the most that goes back."""
    trip = cancellation.trip
    payload: dict[str, Any] = plain(
        {
            "cancellation": cancellation.pk,
            "trip": trip.pk,
            "route": trip.route.code,
            "vehicle": trip.vehicle.code,
            "service_date": trip.service_date,
            "bookings": cancellation.total,
            "amount": exact(cancellation.amount, cancellation.currency),
            "currency": cancellation.currency,
            "reason": cancellation.reason,
            "requested_by": cancellation.requested_by.audit_id,
        }
    )
    return payload


def cancellation_title(cancellation: TripCancellation) -> str:
    """Return what it does, in a sentence."""
    said = ngettext(
        "Cancel {trip}: {number} booking, at most {amount} back",
        "Cancel {trip}: {number} bookings, at most {amount} back",
        cancellation.total,
    )
    amount = shown(cancellation.amount, cancellation.currency)
    return said.format(trip=cancellation, number=cancellation.total, amount=amount)[:200]


def _approved(cancellation: TripCancellation, decided: Decided) -> None:
    """Cancel the trip, and begin with its bookings. If it is over by now, or more would go back
    than was signed, the decision stands and nothing is cancelled."""
    trip = cancellation.trip
    if trip.has_ended:
        why = gettext("The trip was over before this was signed.")
        _rejected(cancellation, replace(decided, code="trip_settled", detail=why))
        return
    signed = decided.request_id and signed_payload(decided.request_id)
    if signed != cancellation_payload(cancellation) or most_back(trip) > cancellation.amount:
        why = gettext("More would go back than was signed. Ask for it again.")
        _rejected(cancellation, replace(decided, code="not_as_signed", detail=why))
        return
    trip.status = TripStatus.CANCELLED
    trip_changed(trip, "status")
    trip_record(trip, "cancelled", by=decided.by, via=decided.via, reason=cancellation.reason)
    # Bookings under way find the trip cancelled, and give everything back themselves.
    confirmed = _standing(trip).filter(status=BookingStatus.CONFIRMED).order_by("pk")
    ids = list(confirmed.values_list("pk", flat=True))
    TripCancellationItem.objects.bulk_create(
        TripCancellationItem(cancellation=cancellation, number=number, booking_id=pk)
        for number, pk in enumerate(ids, start=1)
    )
    cancellation.status, cancellation.total = CancellationStatus.PENDING, len(ids)
    process.save(CANCELLATION, cancellation, "status", "total")
    _record(cancellation, "approved", by=decided.by, via=decided.via)
    process.start(CANCELLATION, cancellation)


def _rejected(cancellation: TripCancellation, decided: Decided) -> None:
    """The trip is on sale again, if it was before and is not too late."""
    trip = cancellation.trip
    last = trip.stops.count()
    if (
        cancellation.before != TripStatus.DRAFT
        and not trip.has_ended
        and trip.sales_closed < last - 1
    ):
        trip.status = TripStatus.OPEN
        trip_changed(trip, "status")
    why = {"code": decided.code, "detail": decided.detail}
    fields = process.ended(cancellation, CancellationStatus.REJECTED, as_of=decided.as_of, **why)
    process.save(CANCELLATION, cancellation, *fields)
    _record(cancellation, "rejected", by=decided.by, via=decided.via, **why)


# --- the bookings ---------------------------------------------------------------------------------
def cancellation_run(
    *,
    cancellation_id: UUID | str,
    workflow_id: str,
    limit: int,
    seconds: float,
    interrupted: Callable[[], bool] = lambda: False,
) -> CancellationProgress:
    """Cancel and refund at most `limit` bookings; begin none after `seconds` or when interrupted.

    Safe to repeat at any point, and to run twice at once. Raises what `runs.work_through` raises.
    """
    cancellation = runs.work_through(
        RUN,
        cancellation_id,
        workflow_id=workflow_id,
        limit=limit,
        seconds=seconds,
        do=_item_do,
        interrupted=interrupted,
    )
    counts = runs.progress_of(RUN, cancellation)
    over = cancellation.status not in RUNS
    return CancellationProgress(cancellation.status, over, counts.done, counts.failed)


def cancellation_resume(
    *, cancellation_id: UUID | str, by: User, via: str, reason: str = "", as_of: datetime
) -> TripCancellation:
    """Go on with the bookings of a cancelled trip whose workflow was ended. Raises what
    `runs.resume` raises."""
    return runs.resume(RUN, cancellation_id, by=by, via=via, reason=reason, as_of=as_of)


def _item_do(item_id: int) -> None:
    item = TripCancellationItem.objects.select_related(
        "cancellation__trip", "cancellation__requested_by"
    ).get(pk=item_id)
    now = timezone.now()

    def act() -> dict[str, Any]:
        _booking_end(item, as_of=now)
        return {}

    runs.item_do(RUN, item, act, refused=lambda error: _refused(item, error), as_of=now)


def _booking_end(item: TripCancellationItem, *, as_of: datetime) -> None:
    """End the item's booking with all of its money back. No-op for one that was cancelled
    meanwhile: its own refund stands."""
    booking = booking_lock(item.booking_id, "trip")
    if booking.status != BookingStatus.CONFIRMED:
        return
    reason = gettext("The trip was cancelled. {reason}").format(reason=item.cancellation.reason)
    leave(
        booking,
        BookingStatus.CANCELLED,
        code="trip_cancelled",
        detail=reason,
        by=ENGINE,
        via="engine",
        as_of=as_of,
    )
    about: dict[str, Any] = {"by": ENGINE, "via": "engine", "as_of": as_of}
    refunds_withdraw(booking, reason=reason, **about)
    if left := booking.charged - booking.refunded:
        refund_send(refund_make(booking, amount=left, reason=reason, **about), **about)


def _refused(item: TripCancellationItem, error: DomainError) -> None:
    process.record(
        CANCELLATION,
        item.cancellation,
        f"{SUBJECT}.booking_failed",
        booking=item.booking_id,
        code=error.code,
        detail=error.recorded,
    )


# --- helpers --------------------------------------------------------------------------------------
def _standing(trip: Trip) -> "QuerySet[Booking]":
    return Booking.objects.filter(trip=trip)


def _made(trip: Trip, reason: str, *, by: User, as_of: datetime) -> TripCancellation:
    identifier = new_id()
    open_bookings = (BookingStatus.RUNNING, BookingStatus.CONFIRMED)
    return TripCancellation.objects.create(
        id=identifier,
        trip=trip,
        workflow_id=process.workflow_id_of(CANCELLATION, identifier),
        reason=reason,
        amount=most_back(trip),
        currency=trip.route.currency,
        before=trip.status,
        total=_standing(trip).filter(status__in=open_bookings).count(),
        requested_by=by,
        request_digest=digest([str(trip.pk), reason]),
        created_at=as_of,
    )


def _lock(cancellation_id: UUID | str) -> TripCancellation:
    """Lock the trip, then its cancellation."""
    pk = process.id_of(CANCELLATION, cancellation_id)
    trip_id = TripCancellation.objects.filter(pk=pk).values_list("trip", flat=True).first()
    if trip_id is None:
        raise process.unknown(CANCELLATION)
    trip = trip_locked(trip_id)
    cancellation = process.row_locked(CANCELLATION, pk)
    cancellation.trip = trip
    return cancellation


def _record(
    cancellation: TripCancellation, event: str, *, by: Actor, via: str, **body: Any
) -> None:
    process.record(
        CANCELLATION,
        cancellation,
        f"{SUBJECT}.{event}",
        by=by,
        via=via,
        trip=cancellation.trip_id,
        amount=exact(cancellation.amount, cancellation.currency),
        currency=cancellation.currency,
        **body,
    )


CARRIER: Carrier[TripCancellation] = Carrier(
    CANCELLATION_WORKFLOW,
    lambda row, again: CancellationRef(str(row.pk), timings()),
    process.PASS_BACKSTOP,
)

CANCELLATION = Process(
    subject=SUBJECT,
    title=_("Cancellation of a trip"),
    noun="cancellation",
    missing=_("There is no such cancellation."),
    opens=_("Open the cancellation"),
    model=TripCancellation,
    queue=TASK_QUEUE,
    url_name="trip_cancellation",
    carriers=(CARRIER,),
    needs=lambda row: CARRIER if row.status in RUNS else None,
    open_rows=lambda: TripCancellation.objects.filter(status__in=RUNS),
    lock=_lock,
    list_topics=("trip_cancellations",),
    shared_topics=("trips",),
)

RUN = RunSpec(
    process=CANCELLATION,
    items=TripCancellationItem,
    run="cancellation",
    record=_record,
    act=RUN_TRIP,
)

SIGNED: SignedSubject[TripCancellation, Waiting] = SignedSubject(
    row=CANCELLATION,
    kind=CANCELLATION_KIND,
    waits=frozenset({CancellationStatus.AWAITING_APPROVAL}),
    payload=cancellation_payload,
    title=cancellation_title,
    on_approved=_approved,
    on_rejected=_rejected,
    related=("trip__route", "trip__vehicle", "requested_by"),
)

cancellation_approval = SIGNED.request_of
