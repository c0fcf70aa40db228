"""Registers refunds with the shared parts of the site."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts import roles
from apps.accounts.models import User
from apps.approvals import attention, subject
from apps.approvals.kinds import EditableField, Fact, Simulation, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.bookings.contracts import REFUND as SUBJECT
from apps.bookings.models import Refund
from apps.bookings.scopes import Scope
from apps.bookings.selectors import ride_of
from apps.bookings.services.refund_rows import ATTENTION, REFUND, refund_closed
from apps.bookings.services.refunds import REQUEST_REFUND, SIGNED
from apps.bookings.services.rows import is_by_wallet
from apps.bookings.times import zone_of
from apps.common.dates import zoned_words
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine import process, timeline
from apps.web import navigation, refusals, search, tones
from apps.web.navigation import Item
from apps.web.search import BY_UUID, Found, Source, among, by_value

VIEW = "bookings.view_refund"
PLACE = Item("bookings", _("Refunds"), "refunds", icon="refunds", order=15)

NEXT_STEPS = {
    "departed": _("Nothing was changed. A booking agent can ask for a refund."),
    "refund_exceeds_charge": _("Ask for what is left, or less."),
    "not_confirmed": _("Nothing was changed. What was paid goes back by itself."),
    "refund_refused": _("The payment service says why. Send it again, or do not."),
}
TONES = {"proposed": "", "sending": "info"}
WORDS = {
    "refund_refused": _("refund refused"),
    "refund_exceeds_charge": _("more than is left of the charge"),
    "trip_cancelled": _("trip cancelled"),
    "proposed": _("proposed"),
    "sending": _("being sent"),
}
ACTIONS = {
    "refund.proposed": _("Proposed the refund"),
    "refund.sending": _("Began to send the refund"),
    "refund.done": _("Gave the money back"),
    "refund.rejected": _("Rejected the refund; the money stays"),
    "refund.edited": _("Lowered the refund"),
    "refund.attention": _("Asked a person"),
    "refund.carried_on": _("Sent it again"),
    "refund.given_up": _("Gave up"),
    "refund.restarted": _("Started its workflow again"),
}
TRIED = {
    "refund.request": _("Tried to ask for a refund"),
    "refund.send": _("Tried to send the refund"),
}


def _found(refund: Refund) -> Found:
    return Found(
        title=refund.booking.user_id,
        href=reverse("refund", args=[refund.pk]),
        key=str(refund.pk),
        state=refund.status,
        at=refund.created_at,
        amount=refund.amount,
        currency=refund.currency,
        workflow_id=refund.workflow_id,
    )


SOURCE = Source(
    key="refunds",
    title=_("Refunds"),
    hint=_("id or workflow id"),
    scope=Scope.BOOKINGS_READ,
    order=51,
    find=among(
        Refund.objects.for_list,
        BY_UUID,
        by_value("workflow_id", like=rf"{SUBJECT}-\S+"),
        found=_found,
        seen=Refund.objects.seen_by,
    ),
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    tiers = (TierRule("senior reviewer"),)
    subject.register(
        SIGNED,
        title=_("Refund of a booking"),
        facts=_facts,
        words=_words,
        simulate=_simulate,
        default_tiers=tiers,
        # No rule can allow one without a signature.
        always_signed=True,
        editable=(EditableField("amount", _("Amount"), type="decimal"),),
        carried_out_by=lambda refund: (refund.workflow_id,),
    )
    attention.register(
        ATTENTION,
        title=_("Refund needs attention"),
        facts=_facts,
        default_tiers=tiers,
        related=("booking",),
    )
    process.register(REFUND, closed=_closed, view=VIEW)
    navigation.register(PLACE)
    search.register(SOURCE)
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, WORDS)
    timeline.register_words(ACTIONS, tried=TRIED)
    roles.grant("booking agent", REQUEST_REFUND)
    roles.grant("senior reviewer", "bookings.view_*")


def _closed(identifier: str, **about: Any) -> None:
    refund_closed(refund_id=identifier, **about)


def _words(signed: Wording, refund: Refund) -> None:
    signed.amount(gettext("Given back"), "amount")
    signed.text(gettext("Rider"), "rider")
    signed.text(gettext("Booking"), "booking", href=reverse("booking", args=[refund.booking_id]))
    by = gettext("wallet") if is_by_wallet(refund.booking) else gettext("card")
    signed.named(gettext("Paid by"), {"paid_by": refund.booking.payment_method}, by)
    signed.prose(gettext("Why"), "reason")
    if refund.rule:
        signed.text(gettext("Version of the refund rule"), "rule")
    else:
        signed.named(gettext("Refund rule"), {"rule": ""}, gettext("none: somebody chose it"))
    if refund.requested_by:
        signed.person(gettext("Asked by"), "requested_by", refund.requested_by)
    else:
        signed.text(gettext("Asked by"), "requested_by")
    signed.reference(gettext("Refund"), "refund", href=reverse("refund", args=[refund.pk]))


def _facts(refund: Refund) -> list[Fact]:
    """Return live facts for the reader: they are never signed."""
    booking = refund.booking
    first, last = ride_of(booking)
    zone = zone_of(booking.trip.route.zone)
    return [
        status_fact(refund, "refund", gettext("Refund")),
        status_fact(booking, "booking", gettext("Booking")),
        Fact(
            gettext("Trip"),
            booking.trip.route.name,
            href=reverse("trip", args=[booking.trip_id]),
        ),
        Fact(gettext("From"), first.name),
        Fact(gettext("Departs there"), zoned_words(first.departs_at, zone)),
        Fact(gettext("To"), last.name),
        Fact(gettext("Paid"), shown(booking.charged, booking.currency)),
        Fact(gettext("Gone back or going back"), shown(booking.refunded, booking.currency)),
    ]


def _simulate(refund: Refund, user: User) -> Simulation:
    amount = shown(refund.amount, refund.currency)
    said = (
        gettext("{amount} goes into the wallet of {rider} at once.")
        if is_by_wallet(refund.booking)
        else gettext("The payment service is asked to send {amount} to the card of {rider}.")
    )
    outcome = said.format(amount=amount, rider=refund.booking.user_id)
    return Simulation(outcome=outcome, tone="good")
