"""Review items of the kind "booking.attention": nobody knows whether a card was charged, or a
confirmed booking could not be put right.

Approve means "go on from the row": the payment is asked about, and taken back, again. Reject means
"do not go on": the same, and the booking ends; while the answer is missing the seat stays bound.
"""

from django.utils.translation import gettext

from apps.approvals.attention import Attention
from apps.approvals.subject import Decided
from apps.bookings.contracts import ATTENTION_KIND
from apps.bookings.models import Booking
from apps.bookings.services.rows import CARRIER, PROCESS, payment_of, step_statuses
from apps.engine import process


def _again(booking: Booking, decided: Decided) -> None:
    if not booking.has_ended:
        process.start_again(PROCESS, booking, CARRIER, key=f"attention:{decided.request_id}")


ATTENTION = Attention(
    row=PROCESS,
    kind=ATTENTION_KIND,
    reject=lambda booking: gettext("Take the money back as far as it was charged, then end it."),
    about=lambda booking: {"payment": payment_of(step_statuses(booking))},
    on_carry_on=_again,
    on_give_up=_again,
)

attention_open = ATTENTION.open
