"""Registers bookings with the shared parts of the site."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts import roles
from apps.approvals import attention
from apps.approvals.kinds import Fact, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.bookings.contracts import BOOKING, Step
from apps.bookings.models import Booking
from apps.bookings.scopes import Scope
from apps.bookings.services.attention import ATTENTION
from apps.bookings.services.cancelling import CANCEL
from apps.bookings.services.recovery import booking_closed
from apps.bookings.services.requesting import BOOK
from apps.bookings.services.rows import PROCESS
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine import process, timeline
from apps.engine.contracts import EffectState
from apps.web import navigation, refusals, search, tones
from apps.web.navigation import Item
from apps.web.search import BY_UUID, Found, Source, among, by_value

VIEW = "bookings.view_booking"
PLACE = Item("bookings", _("Bookings"), "booking_list", icon="bookings", order=5)

#: What is known of the payment when a review item is opened.
PAYMENT = {
    EffectState.NEVER: _("not made"),
    EffectState.UNKNOWN: _("perhaps made: the answer is not known"),
    EffectState.DONE: _("made"),
    EffectState.REFUSED: _("refused"),
    EffectState.REVERSED: _("made and taken back"),
}

NEXT_STEPS = {
    "payment_refused": _("Nothing was charged. Book again, or pay in another way."),
}

WORDS = {
    BOOKING: _("booking"),
    Step.RESERVE_SEAT: _("reserve the seat"),
    Step.PROCESS_PAYMENT: _("take the fare"),
    Step.CONFIRM_BOOKING: _("confirm the booking"),
    Step.SEND_CONFIRMATION: _("tell the rider"),
    Step.ASSIGN_TO_MANIFEST: _("write the manifest"),
    Step.REVERSE_PAYMENT: _("take the charge back"),
    Step.RELEASE_SEAT: _("free the seat"),
    "released": _("seat given back"),
    "payment_refused": _("payment refused"),
    "payment_unknown": _("payment not known"),
    "payment_stands": _("payment stands"),
    "payment_service_unavailable": _("payment service away"),
    "not_paid": _("not paid"),
    "not_confirmed": _("not confirmed"),
}

ACTIONS = {
    "booking.requested": _("Asked for the booking"),
    "booking.confirmed": _("Confirmed the booking"),
    "booking.cancel_requested": _("Asked to cancel; the payment is taken back first"),
    "booking.cancelled": _("Cancelled the booking"),
    "booking.failed": _("Ended the booking"),
    "booking.attention": _("Asked a person"),
    "booking.carried_on": _("Carried on"),
    "booking.given_up": _("Gave up"),
    "booking.payment_done": _("Charged the card"),
    "booking.payment_refused": _("The card was refused"),
    "booking.rolled_back": _("Took the charge back"),
    "booking.reversal_refused": _("The charge was not taken back"),
}
TRIED = {
    "booking.request": _("Tried to book"),
    "booking.cancel": _("Tried to cancel the booking"),
    "booking.reserve_seat": _("Tried to reserve a seat"),
    "booking.process_payment": _("Tried to charge the card"),
    "booking.pay": _("Tried to pay from the wallet"),
    "booking.confirm": _("Tried to confirm the booking"),
    "booking.manifest": _("Tried to write it on the manifest"),
    "booking.settle": _("Tried to end the booking"),
}


def _found(booking: Booking) -> Found:
    return Found(
        title=booking.user_id,
        href=reverse("booking", args=[booking.pk]),
        key=str(booking.pk),
        state=booking.status,
        at=booking.created_at,
        amount=booking.fare,
        currency=booking.currency,
        workflow_id=booking.workflow_id,
    )


SOURCE = Source(
    key="bookings",
    title=_("Bookings"),
    hint=_("id or workflow id, or the id of the rider"),
    scope=Scope.BOOKINGS_READ,
    order=49,
    find=among(
        Booking.objects.all,
        BY_UUID,
        by_value("workflow_id", like=rf"{BOOKING}-\S+"),
        by_value("user_id", ("-created_at", "-id"), like=r"[A-Za-z0-9._@-]{1,80}"),
        found=_found,
        seen=Booking.objects.seen_by,
    ),
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    attention.register(
        ATTENTION,
        title=_("Booking needs attention"),
        facts=_facts,
        words=_words,
        default_tiers=(TierRule("booking agent"),),
        related=("trip",),
    )
    process.register(PROCESS, closed=_closed, view=VIEW)
    navigation.register(PLACE)
    search.register(SOURCE)
    refusals.explain(NEXT_STEPS)
    tones.register({}, WORDS)
    timeline.register_words(ACTIONS, tried=TRIED)
    roles.grant("requester", BOOK)
    for permission in (BOOK, CANCEL):
        roles.grant("booking agent", permission)


def _closed(identifier: str, **about: Any) -> None:
    booking_closed(booking_id=identifier, **about)


def _facts(booking: Booking) -> list[Fact]:
    return [
        status_fact(booking, "booking"),
        Fact(gettext("Rider"), booking.user_id),
        Fact(gettext("Fare"), shown(booking.fare, booking.currency)),
    ]


def _words(signed: Wording, booking: Booking) -> None:
    for state, words in PAYMENT.items():
        signed.named(gettext("Payment at the time"), {"payment": state}, words)
