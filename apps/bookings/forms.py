"""Forms of the pages and the admin of trips. They clean input; the services have the rules."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from apps.bookings.contracts import (
    USER_ID,
    BookingStatus,
    RefundStatus,
    TripStatus,
)
from apps.bookings.contracts.trips import CancellationStatus
from apps.bookings.models.trips import CURRENT
from apps.bookings.services.network import SeatAt, seats_drawn
from apps.bookings.times import Clocks
from apps.common.errors import Invalid
from apps.common.language import lazy as _
from apps.common.validation import read_amount
from apps.web.fields import (
    AmountField,
    CodeField,
    DayField,
    IdField,
    KeyField,
    MineField,
    ProseField,
    StatusField,
)
from apps.web.filters import FilterForm, asked_by_me

if TYPE_CHECKING:
    from apps.accounts.models import User


class TripFilter(FilterForm):
    """Filters of the list of trips. Without a status or a day, trips that are over are left out."""

    lookups = {
        "status": "status",
        "bus": "vehicle__code",
        "route": "route__code",
        "day": "service_date",
    }

    status = forms.ChoiceField(
        required=False,
        choices=[
            ("", _("not over yet")),
            (TripStatus.DRAFT, _("draft")),
            (TripStatus.OPEN, _("on sale")),
            (TripStatus.CLOSED, _("sale closed")),
            (TripStatus.DONE, _("done")),
            (TripStatus.CANCELLED, _("cancelled")),
        ],
        label=_("Status"),
    )
    bus = CodeField(label=_("Bus"))
    route = CodeField(label=_("Route"))
    day = DayField(required=False, label=_("Service day"))

    @classmethod
    def select(cls, rows: Any, values: Mapping[str, Any], *, user: "User") -> Any:
        if not values.get("status") and not values.get("day"):
            rows = rows.filter(status__in=CURRENT)
        return super().select(rows, values, user=user)


class BookingFilter(FilterForm):
    """Filters of the list of bookings."""

    lookups = {
        "status": "status",
        "userId": "user_id",
        "tripId": "trip_id",
        "error": lambda rows, code, user: rows.filter(error_code=code).exclude(error_code=""),
        "mine": asked_by_me,
    }

    more = ("tripId", "error")

    status = StatusField(BookingStatus, label=_("Status"))
    userId = forms.RegexField(f"^{USER_ID}$", required=False, max_length=80, label=_("Rider"))
    tripId = IdField(required=False, label=_("Trip"))
    error = CodeField(label=_("Error code"))
    mine = MineField()


class RefundFilter(FilterForm):
    """Filters of the list of refunds."""

    lookups = {"status": "status", "userId": "booking__user_id", "mine": asked_by_me}

    status = StatusField(RefundStatus, label=_("Status"))
    userId = forms.RegexField(f"^{USER_ID}$", required=False, max_length=80, label=_("Rider"))
    mine = MineField()


class RefundForm(forms.Form):
    """The fields of a refund that an agent asks for."""

    booking_id = forms.UUIDField(label=_("Booking"), help_text=_("Its id."))
    amount = AmountField(
        label=_("Amount"), help_text=_("In the currency of the fare; at most what is left of it.")
    )
    reason = ProseField(
        rows=4, required=True, label=_("Reason"), help_text=_("The signer reads this first.")
    )
    idempotency_key = KeyField()


class CancellationFilter(FilterForm):
    """Filters of the list of cancelled trips."""

    lookups = {"status": "status", "bus": "trip__vehicle__code", "mine": asked_by_me}

    status = StatusField(CancellationStatus, label=_("Status"))
    bus = CodeField(label=_("Bus"))
    mine = MineField()


# --- the admin -----------------------------------------------------------------------------------
class StopForm(forms.Form):
    """The fields of a stop."""

    code = forms.CharField(
        max_length=20, label=_("Code"), help_text=_("Capital letters, digits and _.")
    )
    name = forms.CharField(max_length=160, label=_("Name"))
    zone = forms.CharField(
        max_length=60, label=_("Time zone"), help_text=_("Such as Africa/Lagos.")
    )


class WordsField(forms.CharField):
    """Words separated by blanks, as a list."""

    def to_python(self, value: Any) -> Any:
        return (super().to_python(value) or "").split()

    def prepare_value(self, value: Any) -> Any:
        return " ".join(value) if isinstance(value, list) else value


class FaresField(forms.CharField):
    """A line for each segment with its price: `A-B 1500.00`."""

    widget = forms.Textarea(attrs={"rows": 6})

    def to_python(self, value: Any) -> Any:
        found = {}
        for line in (super().to_python(value) or "").splitlines():
            if not line.strip():
                continue
            segment, _blank, amount = line.strip().partition(" ")
            try:
                found[segment] = read_amount(amount.strip())
            except Invalid as refusal:
                raise ValidationError(f"{segment}: {refusal.detail}", code=refusal.code) from None
        return found

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return "\n".join(f"{segment} {amount}" for segment, amount in value.items())


class RouteForm(forms.Form):
    """The fields of a route."""

    code = forms.SlugField(max_length=80, label=_("Code"))
    name = forms.CharField(max_length=160, label=_("Name"))
    currency = forms.CharField(
        max_length=3, label=_("Currency"), help_text=_("Three letters, such as NGN.")
    )
    zone = forms.CharField(
        max_length=60,
        label=_("Time zone"),
        help_text=_("Its timetable is in this zone, such as Africa/Lagos."),
    )
    stops = WordsField(
        max_length=2000,
        label=_("Stops"),
        help_text=_(
            "The codes of its stops in their order, with blanks between them. They stay once a "
            "trip was opened."
        ),
    )
    fares = FaresField(
        max_length=60_000,
        label=_("Fares"),
        help_text=_("A line for each segment that is sold, such as A-B 1500.00."),
    )


class SeatsField(forms.CharField):
    """A drawing of the seats: a line for each row, `.` for the aisle."""

    widget = forms.Textarea(attrs={"rows": 12})

    def to_python(self, value: Any) -> Any:
        try:
            return seats_drawn(super().to_python(value) or "")
        except Invalid as refusal:
            raise ValidationError(refusal.detail, code=refusal.code) from None

    def prepare_value(self, value: Any) -> Any:
        return drawn(value) if isinstance(value, list) else value


def drawn(seats: list[SeatAt]) -> str:
    """Return the drawing of the seats, as `seats_drawn` reads it."""
    at = {(seat.row, seat.col): str(seat.number) for seat in seats}
    rows = range(1, max((seat.row for seat in seats), default=0) + 1)
    cols = range(1, max((seat.col for seat in seats), default=0) + 1)
    return "\n".join(" ".join(at.get((row, col), ".") for col in cols) for row in rows)


class VehicleForm(forms.Form):
    """The fields of a vehicle."""

    code = forms.SlugField(max_length=80, label=_("Code"))
    name = forms.CharField(max_length=160, label=_("Name"))
    operator_email = forms.EmailField(
        required=False,
        label=_("E-mail of the operator"),
        help_text=_("The manifests of its trips are sent there. Empty: to nobody."),
    )
    seats = SeatsField(
        max_length=20_000,
        label=_("Seats"),
        help_text=_(
            "A line for each row from the front: the numbers of its seats with blanks between "
            "them, and . for the aisle. Trips that are open keep the seats they have."
        ),
    )


class ClocksField(forms.CharField):
    """A line for each stop: `HH:MM`, or arrival and departure, `HH:MM HH:MM`."""

    widget = forms.Textarea(attrs={"rows": 6})

    def to_python(self, value: Any) -> Any:
        found = []
        for line in (super().to_python(value) or "").splitlines():
            times = line.split()
            if len(times) in (1, 2):
                found.append(Clocks(times[0], times[-1]))
            elif times:
                raise ValidationError(
                    gettext("A line has one or two times: {line}").format(line=line.strip())
                )
        return found


class TripForm(forms.Form):
    """The fields of a new trip."""

    route = forms.SlugField(max_length=80, label=_("Route"), help_text=_("Its code."))
    vehicle = forms.SlugField(max_length=80, label=_("Vehicle"), help_text=_("Its code."))
    service_date = DayField(label=_("Service day"))
    clocks = ClocksField(
        max_length=2000,
        label=_("Times"),
        help_text=_(
            "A line for each stop: HH:MM, or arrival and departure. After midnight it goes on with "
            "24:00."
        ),
    )


class SwapForm(forms.Form):
    """The other vehicle of a trip."""

    vehicle = forms.SlugField(max_length=80, label=_("Vehicle"), help_text=_("Its code."))
    reason = ProseField(label=_("Reason"))


class DelayForm(forms.Form):
    """A delay of a trip."""

    minutes = forms.IntegerField(
        min_value=-2880, max_value=2880, label=_("Minutes"), help_text=_("Negative: earlier.")
    )
    from_n = forms.IntegerField(
        min_value=1,
        max_value=50,
        initial=1,
        label=_("From stop"),
        help_text=_("The place of the first stop that it leaves later, from 1."),
    )
    version = forms.IntegerField(
        min_value=1,
        label=_("Version"),
        help_text=_("The version of the trip that you see: a delay counts once."),
    )
    reason = ProseField(label=_("Reason"))
