"""Refunds of confirmed bookings: by the rule, or what an agent asks for; signed where they have to
be. Lock order: the booking, its refund, the request, then the wallet."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max, Sum
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.contracts import Waiting
from apps.approvals.selectors import signed_payload
from apps.approvals.subject import Decided, SignedSubject, questions_close
from apps.audit.contracts import Actor
from apps.bookings.contracts import (
    BOOKING,
    REFUND_KIND,
    BookingStatus,
    RefundStatus,
    TripStatus,
)
from apps.bookings.models import Booking, Refund
from apps.bookings.refund_rules import RULES, SIGNED_ABOVE, SIGNED_WITHIN, share
from apps.bookings.services.refund_rows import REFUND, refund_end, refund_record, refund_send
from apps.bookings.services.revenue import money_keep, money_return
from apps.bookings.services.rows import PROCESS, booking_lock
from apps.common.canonical_json import digest, plain
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.idempotency import asked_before, clean_key
from apps.common.identifiers import new_id
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.money import exact, shown
from apps.common.validation import LONGEST_REASON, clean_amount, clean_text, read_amount
from apps.engine import process

REQUEST_REFUND = "bookings.request_refund"
#: The percentage with which nothing is left to be asked for.
EVERYTHING = 100
#: Statuses of a refund that waits for its signature.
UNSIGNED = (RefundStatus.PROPOSED, RefundStatus.AWAITING_APPROVAL)


@dataclass(frozen=True)
class Quote:
    """What goes back when a confirmed booking is cancelled now. `signed`: only after a signature.
    `departed`: it cannot be cancelled any more."""

    percent: int
    amount: Decimal
    currency: str
    boards_at: datetime
    signed: bool
    departed: bool


def refund_quote(booking: Booking, *, as_of: datetime) -> Quote:
    """Return what the rule of the booking gives back at `as_of`; on a cancelled trip all of it, as
    was signed with the trip. Where everything goes back, that takes the place of refunds which wait
    for a signature."""
    boards_at = booking.trip.stops.values_list("departs_at", flat=True).get(n=booking.from_n)
    left = booking.charged - booking.refunded
    if booking.trip.status == TripStatus.CANCELLED:
        left += _unsigned(booking)
        return Quote(EVERYTHING, left, booking.currency, boards_at, signed=False, departed=False)
    before = boards_at - as_of
    percent = RULES[booking.refund_rule].percent(before)
    if percent == EVERYTHING:
        left += _unsigned(booking)
    amount = share(left, percent, booking.currency)
    signed = amount > 0 and (before < SIGNED_WITHIN or amount > SIGNED_ABOVE)
    return Quote(percent, amount, booking.currency, boards_at, signed, as_of >= boards_at)


def refund_request(
    *,
    booking_id: UUID | str,
    amount: Decimal,
    reason: str,
    by: User,
    via: str,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[Refund, bool]:
    """Ask for a refund of any part of what is left of the charge; return it, and whether it is new.
    It is always signed, and does not cancel the booking.

    Row, audit entry and the request for a signature commit together. Repeating the key by the same
    person returns the same row, also for concurrent calls. Raises, each audited: NotFound;
    NotAllowed `permission_denied`; Invalid `amount_invalid`, `reason_invalid`,
    `idempotency_key_invalid`; Conflict `refund_exceeds_charge` (extra available), `not_confirmed`
    for a booking that never was, `idempotency_key_reused`.
    """
    with process.audited(REFUND, "request", booking_id, by=by, via=via):
        if (
            not Booking.objects.visible_to(by)
            .filter(pk=process.id_of(PROCESS, booking_id))
            .exists()
        ):
            raise process.unknown(PROCESS)
        if not by.has_perm(REQUEST_REFUND):
            raise NotAllowed(_("You may not ask for refunds."), code="permission_denied")
        key = clean_key(idempotency_key)
        reason = clean_text(reason, field="reason", limit=LONGEST_REASON, multiline=True)
        asked = digest([str(booking_id), str(clean_amount(amount).normalize()), reason])
        known_now = partial(asked_before, Refund.objects.all(), by=by, key=key, digest=asked)
        try:
            with transaction.atomic(durable=True):
                booking = booking_lock(booking_id, "trip")
                # Under the lock: a concurrent call with the same key finds the row here.
                if (known := known_now()) is not None:
                    return known, False
                if booking.confirmed_at is None or booking.status == BookingStatus.FAILED:
                    raise Conflict(_("The booking never was confirmed."), code="not_confirmed")
                refund = refund_make(
                    booking,
                    amount=clean_amount(amount, booking.currency),
                    reason=reason,
                    by=by,
                    via=via,
                    idempotency_key=key,
                    request_digest=asked,
                    as_of=as_of,
                )
                SIGNED.ask(refund, as_of=as_of)
        except IntegrityError:
            # In the same moment the key was used for another booking: then this is refused.
            known_now()
            raise
        return refund, True


def refund_make(
    booking: Booking,
    *,
    amount: Decimal,
    reason: str,
    by: Actor,
    via: str,
    as_of: datetime,
    **columns: Any,
) -> Refund:
    """Make a refund of the locked booking; nothing moves yet. Joins the caller's transaction.

    Raises Conflict `refund_exceeds_charge` (extra available).
    """
    left = booking.charged - booking.refunded
    if amount > left:
        raise Conflict(
            filled(_("{left} is left to refund."), left=shown(left, booking.currency)),
            code="refund_exceeds_charge",
            available=exact(left, booking.currency),
        )
    last = booking.refunds.aggregate(last=Max("n"))["last"] or 0
    key = f"{BOOKING}:{booking.pk}:refund:{last + 1}"
    # What was kept before goes back from what is prepaid, like every other refund.
    money_return(booking, amount, key=f"{key}:returned", as_of=as_of)
    refund = Refund(
        id=new_id(),
        booking=booking,
        n=last + 1,
        key=key,
        workflow_id=f"refund-{booking.pk}-{last + 1}",
        amount=amount,
        currency=booking.currency,
        reason=reason,
        requested_by=by if isinstance(by, User) else None,
        created_at=as_of,
        **columns,
    )
    refund.save(force_insert=True)
    booking.refresh_from_db(fields=["refunded"])
    refund_record(refund, "proposed", by=by, via=via, amount=exact(amount, booking.currency))
    process.tell(REFUND, refund, "status")
    process.announce(PROCESS, booking)
    return refund


def refund_by_rule(
    booking: Booking, quote: Quote, *, reason: str, by: Actor, via: str, as_of: datetime
) -> None:
    """Give back what the rule says for the locked, cancelled booking, or ask for the signature; the
    rest stays. Joins the caller's transaction."""
    if quote.percent == EVERYTHING:
        refunds_withdraw(booking, reason=reason, by=by, via=via, as_of=as_of)
    if not quote.amount:
        money_keep(booking, event="cancelled", as_of=as_of)
        return
    refund = refund_make(
        booking,
        amount=quote.amount,
        reason=reason,
        by=by,
        via=via,
        rule=booking.refund_rule,
        as_of=as_of,
    )
    # First, because a wallet is locked last.
    money_keep(booking, event="cancelled", as_of=as_of)
    if quote.signed:
        SIGNED.ask(refund, as_of=as_of)
    else:
        refund_send(refund, by=by, via=via, as_of=as_of)


def refunds_withdraw(
    booking: Booking, *, reason: str, by: Actor, via: str, as_of: datetime
) -> None:
    """End the booking's refunds that wait for a signature, because all of its money goes back.
    Joins the transaction that holds its lock."""
    decided = Decided(by, via, as_of, "cancelled", reason)
    for refund in booking.refunds.filter(status__in=UNSIGNED).select_for_update().order_by("n"):
        refund.booking = booking
        questions_close(REFUND, refund, by=by, reason=reason, as_of=as_of)
        refund_end(refund, RefundStatus.REJECTED, decided)
    booking.refresh_from_db(fields=["refunded"])


def _unsigned(booking: Booking) -> Decimal:
    waiting = booking.refunds.filter(status__in=UNSIGNED).aggregate(sum=Sum("amount"))["sum"]
    return waiting or Decimal(0)


def given_back(booking: Booking) -> Decimal:
    """Return how much has gone back: `refunded` without what is still decided or sent."""
    under_way = booking.refunds.unsettled().aggregate(sum=Sum("amount"))["sum"]
    return booking.refunded - (under_way or Decimal(0))


# --- the signature --------------------------------------------------------------------------------
def refund_payload(refund: Refund) -> dict[str, Any]:
    """Return the payload to sign: everything that decides what goes back."""
    payload: dict[str, Any] = plain(
        {
            "refund": refund.pk,
            "booking": refund.booking.workflow_id,
            "rider": refund.booking.user_id,
            "amount": exact(refund.amount, refund.currency),
            "currency": refund.currency,
            "paid_by": refund.booking.payment_method,
            "reason": refund.reason,
            "rule": refund.rule or "",
            "requested_by": refund.requested_by.audit_id if refund.requested_by else "",
        }
    )
    return payload


def refund_title(refund: Refund) -> str:
    """Return what it does, in a sentence."""
    said = gettext("Give {amount} back to {rider}")
    amount = shown(refund.amount, refund.currency)
    return said.format(amount=amount, rider=refund.booking.user_id)[:200]


def _asked(refund: Refund, request_id: UUID) -> None:
    if refund.status == RefundStatus.PROPOSED:
        refund.status = RefundStatus.AWAITING_APPROVAL
        process.save(REFUND, refund, "status")


def _edit(refund: Refund, changes: Mapping[str, str], as_of: datetime) -> None:
    """Lower the amount. Raises Invalid `amount_invalid`, `amount_above_limit`."""
    amount = read_amount(changes["amount"], refund.currency)
    if amount > refund.amount:
        raise Invalid(_("The amount can only be lowered."), code="amount_above_limit")
    refund.amount = amount
    process.save(REFUND, refund, "amount")


def _approved(refund: Refund, decided: Decided) -> None:
    signed = decided.request_id and signed_payload(decided.request_id)
    if signed != refund_payload(refund):
        raise Conflict(_("The row is not what was signed."), code="not_as_signed")
    refund.booking.refresh_from_db(fields=["refunded"])
    money_keep(refund.booking, event=f"{refund.n}", as_of=decided.as_of)
    refund_send(refund, by=decided.by, via=decided.via, as_of=decided.as_of)


def _rejected(refund: Refund, decided: Decided) -> None:
    """The cancellation stands, and the money stays."""
    refund_end(refund, RefundStatus.REJECTED, decided)
    refund.booking.refresh_from_db(fields=["refunded"])
    money_keep(refund.booking, event=f"{refund.n}", as_of=decided.as_of)


SIGNED: SignedSubject[Refund, Waiting] = SignedSubject(
    row=REFUND,
    kind=REFUND_KIND,
    waits=frozenset(UNSIGNED),
    payload=refund_payload,
    title=refund_title,
    on_asked=_asked,
    on_approved=_approved,
    on_rejected=_rejected,
    edit=_edit,
    related=("booking__trip__route", "requested_by"),
)

refund_approval = SIGNED.request_of
