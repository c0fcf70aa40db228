"""Registers cancelled trips, and what accompanies a trip, with the shared parts of the site."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts import roles
from apps.accounts.models import User
from apps.approvals import subject
from apps.approvals.kinds import Fact, Simulation, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.bookings.contracts.trips import CANCELLATION
from apps.bookings.models import TripCancellation
from apps.bookings.scopes import Scope
from apps.bookings.services.cancellations import RUN, RUN_TRIP, SIGNED, most_back
from apps.bookings.services.trip_rows import FLEET, trip_closed
from apps.common.dates import day_words
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine import process, runs, timeline
from apps.web import navigation, search, tones
from apps.web.navigation import Item
from apps.web.search import BY_UUID, Source, among, asked

VIEW = "bookings.view_tripcancellation"
PLACE = Item("bookings", _("Cancelled trips"), "trip_cancellations", icon="cancellations", order=20)

WORDS = {CANCELLATION: _("cancelled trip")}
ACTIONS = {
    "trip.cancelled": _("Cancelled the trip"),
    "trip.manifest_opened": _("Opened the manifest"),
    "trip.sales_closed": _("Ended the sale at a stop"),
    "trip.manifest_handed_over": _("Handed the manifest over"),
    "trip.done": _("Ended the trip"),
    "trip.left_alone": _("Its workflow ended; it is started again"),
    "trip.restarted": _("Started its workflow again"),
    "trip_cancellation.requested": _("Asked to cancel the trip"),
    "trip_cancellation.approved": _("Signed the cancellation"),
    "trip_cancellation.rejected": _("Rejected the cancellation"),
    "trip_cancellation.completed": _("Refunded all bookings"),
    "trip_cancellation.booking_failed": _("Could not refund a booking"),
    "trip_cancellation.paused": _("Paused"),
    "trip_cancellation.resumed": _("Resumed"),
    "trip_cancellation.cancelled": _("Stopped"),
    "trip_cancellation.restarted": _("Started its workflow again"),
}
TRIED = {"trip_cancellation.request": _("Tried to cancel the trip")}

SOURCE = Source(
    key="trip_cancellations",
    title=_("Cancelled trips"),
    hint=_("id"),
    scope=Scope.BOOKINGS_READ,
    order=52,
    find=among(
        TripCancellation.objects.for_list,
        BY_UUID,
        found=lambda row: asked(row, "trip_cancellation", str(row), row.trip.vehicle.code),
        seen=TripCancellation.objects.seen_by,
    ),
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    subject.register(
        SIGNED,
        title=_("Cancellation of a trip"),
        facts=_facts,
        words=_words,
        simulate=_simulate,
        default_tiers=(TierRule("senior reviewer"),),
        # No rule can allow one without a signature.
        always_signed=True,
        carried_out_by=lambda row: (row.workflow_id,),
    )
    runs.register(RUN, view=VIEW)
    process.register(FLEET, closed=_closed)
    navigation.register(PLACE)
    search.register(SOURCE)
    tones.register({}, WORDS)
    timeline.register_words(ACTIONS, tried=TRIED)
    roles.grant("booking agent", RUN_TRIP)


def _closed(identifier: str, **about: Any) -> None:
    trip_closed(trip_id=identifier, **about)


def _words(signed: Wording, row: TripCancellation) -> None:
    signed.amount(gettext("Goes back at most"), "amount")
    signed.text(gettext("Bookings"), "bookings")
    signed.named(gettext("Route"), {"route": row.trip.route.code}, row.trip.route.name)
    signed.text(gettext("Bus"), "vehicle")
    day = row.trip.service_date
    signed.named(gettext("Service day"), {"service_date": day.isoformat()}, day_words(day))
    signed.prose(gettext("Why"), "reason")
    signed.person(gettext("Asked by"), "requested_by", row.requested_by)
    signed.reference(gettext("Trip"), "trip", href=reverse("trip", args=[row.trip_id]))
    signed.reference(
        gettext("Cancellation"), "cancellation", href=reverse("trip_cancellation", args=[row.pk])
    )


def _facts(row: TripCancellation) -> list[Fact]:
    """Return live facts for the reader: they are never signed."""
    now = shown(most_back(row.trip), row.currency)
    return [status_fact(row, "trip_cancellation"), Fact(gettext("Would go back now, at most"), now)]


def _simulate(row: TripCancellation, user: User) -> Simulation:
    said = gettext("The trip is cancelled, and at most {amount} goes back to its riders.")
    return Simulation(
        outcome=said.format(amount=shown(most_back(row.trip), row.currency)), tone="bad"
    )
