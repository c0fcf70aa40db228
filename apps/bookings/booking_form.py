"""The form of a booking. On a trip that is known, its stretches and their fares are chosen."""

from typing import Any

from django import forms
from django.utils.translation import gettext

from apps.bookings.contracts import USER_ID, PaymentMethod
from apps.bookings.models import Trip
from apps.bookings.selectors import fares_of, stops_of
from apps.bookings.times import zone_of
from apps.common.dates import zoned_words
from apps.common.identifiers import uuid_of
from apps.common.language import lazy as _
from apps.common.money import NO_BREAK, shown
from apps.web.fields import KeyField


class BookingForm(forms.Form):
    """The fields of a booking. With a trip, its bus and itself are set, and the stretch is one of
    those that it still sells, shown with its fare."""

    user_id = forms.RegexField(
        f"^{USER_ID}$",
        max_length=80,
        label=_("Rider"),
        help_text=_("The id of the rider, as the list of wallets has it."),
    )
    bus_id = forms.CharField(
        max_length=60,
        label=_("Bus"),
        help_text=_("Its code. A trip's page opens this form with bus, trip and seat filled in."),
    )
    segment: forms.Field = forms.CharField(
        max_length=41,
        label=_("Stretch"),
        help_text=_("The codes of the first and the last stop, such as A-B."),
    )
    trip_id = forms.UUIDField(
        required=False, label=_("Trip"), help_text=_("Its id. Empty: the next one of the bus.")
    )
    seat_number = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10_000,
        label=_("Seat"),
        help_text=_("Its number. Empty: one that is free all the way."),
    )
    payment_method = forms.ChoiceField(
        choices=[(PaymentMethod.WALLET, _("wallet")), (PaymentMethod.CARD, _("card"))],
        label=_("Paid by"),
    )
    idempotency_key = KeyField()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        key = uuid_of(self["trip_id"].value() or "")
        if key is None:
            return
        trip = Trip.objects.select_related("route", "vehicle").filter(pk=key).first()
        if trip is not None and (sold := _sold(trip)):
            self._choose(trip, sold)

    def _choose(self, trip: Trip, sold: list[tuple[str, str]]) -> None:
        for name in ("bus_id", "trip_id"):
            self.fields[name].widget = forms.HiddenInput()
        self.initial["bus_id"] = trip.vehicle.code
        self.fields["segment"] = forms.ChoiceField(
            choices=sold,
            label=self.fields["segment"].label,
            help_text=gettext("{route} with {bus}, which leaves on {departs}.").format(
                route=trip.route.name,
                bus=trip.vehicle.name,
                departs=zoned_words(trip.departs_at, zone_of(trip.route.zone)),
            ),
        )


def _sold(trip: Trip) -> list[tuple[str, str]]:
    """Return the stretches that the trip still sells, and each in words with its fare."""
    stops = {one.n: one.stop for one in stops_of([trip])[trip.pk]}
    said = gettext("{first} to {last}, {fare}")
    return [
        (
            f"{stops[fare.from_n].code}-{stops[fare.to_n].code}",
            said.format(
                first=stops[fare.from_n].name,
                last=stops[fare.to_n].name,
                fare=shown(fare.amount, trip.route.currency, blank=NO_BREAK),
            ),
        )
        for fare in fares_of([trip])[trip.route_id]
        if fare.from_n > trip.sales_closed
    ]
