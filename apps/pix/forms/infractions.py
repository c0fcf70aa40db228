"""Forms of infractions: the filters of the page and of the API, and what is reported."""

from typing import Any

from django import forms
from django.db.models import Q
from django.utils import timezone

from apps.common.language import lazy as _
from apps.pix.contracts import LONGEST_ID, LONGEST_KEY, KeyType
from apps.pix.contracts.infractions import (
    LONGEST_DETAILS,
    Analysis,
    FraudType,
    InfractionReason,
    InfractionStatus,
    Situation,
)
from apps.pix.forms.keys import participants
from apps.pix.services.infraction_home import SOON
from apps.web.fields import KeyField, MineField, ProseField, StatusField
from apps.web.filters import FilterForm, asked_by_me
from apps.web.tones import title_of

OPEN, DUE_SOON, OVERDUE = "open", "soon", "overdue"


def _due(rows: Any, value: str, user: Any) -> Any:
    now = timezone.now()
    rows = rows.unsettled()
    if value == DUE_SOON:
        return rows.filter(due_at__gte=now, due_at__lt=now + SOON)
    return rows.filter(due_at__lt=now) if value == OVERDUE else rows


def _participant(rows: Any, value: str, user: Any) -> Any:
    return rows.filter(Q(reporter_ispb=value) | Q(counterparty_ispb=value))


class InfractionFilter(FilterForm):
    """Filters of the list of infractions."""

    lookups = {
        "status": "status",
        "due": _due,
        "result": "result",
        "participant": _participant,
        "transaction_id": "transaction_id",
        "mine": asked_by_me,
    }
    more = ("participant", "transaction_id")

    status = StatusField(InfractionStatus, label=_("Status"))
    due = forms.ChoiceField(
        required=False,
        choices=[
            ("", _("whenever they are due")),
            (OPEN, _("not decided")),
            (DUE_SOON, _("due within two days")),
            (OVERDUE, _("overdue")),
        ],
        label=_("Due"),
    )
    result = StatusField(Analysis, label=_("Decided as"), every=_("every decision"))
    participant = forms.CharField(required=False, max_length=8, label=_("Participant (ISPB)"))
    transaction_id = forms.CharField(
        required=False, max_length=LONGEST_ID, label=_("Id of the payment")
    )
    mine = MineField()


class InfractionForm(forms.Form):
    """An infraction that is reported. The key makes the same form sent twice report once."""

    reporter_ispb = forms.ChoiceField(
        choices=participants,
        label=_("Our participant"),
        help_text=_("In whose name it is reported."),
    )
    transaction_id = forms.CharField(
        max_length=LONGEST_ID,
        label=_("Id of the payment"),
        help_text=_("Its end-to-end id; of a refund, the id of the refund."),
    )
    reason = forms.ChoiceField(
        choices=lambda: [(one, title_of(one)) for one in InfractionReason], label=_("Reason")
    )
    situation = forms.ChoiceField(
        choices=lambda: [(one, title_of(one)) for one in Situation if one != Situation.UNKNOWN],
        label=_("What happened"),
    )
    details = ProseField(
        required=False,
        rows=4,
        max_length=LONGEST_DETAILS,
        label=_("Details"),
        help_text=_("The other participant reads them. Required if something else happened."),
    )
    counterparty_ispb = forms.CharField(
        required=False,
        max_length=8,
        label=_("The other participant (ISPB)"),
        help_text=_("The directory knows it by the payment, if you leave it out."),
    )
    contact_email = forms.EmailField(
        required=False,
        label=_("Contact by e-mail"),
        help_text=_("For questions of the other side."),
    )
    contact_phone = forms.CharField(required=False, max_length=20, label=_("Contact by phone"))
    key_type = forms.ChoiceField(
        required=False,
        choices=lambda: [("", _("none")), *((one, title_of(one)) for one in KeyType)],
        label=_("Type of the key"),
    )
    key = forms.CharField(
        required=False,
        max_length=LONGEST_KEY,
        label=_("Key"),
        help_text=_("The one that was paid to."),
    )
    idempotency_key = KeyField()


class ResolveForm(forms.Form):
    """The decision that it was fraud."""

    fraud_type = forms.ChoiceField(
        choices=lambda: [(one, title_of(one)) for one in FraudType], label=_("Type of fraud")
    )
    reason = ProseField(required=False)
