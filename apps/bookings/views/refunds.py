"""Pages of refunds: what goes back to riders, and who signs it."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.bookings.contracts import REFUND
from apps.bookings.forms import RefundFilter, RefundForm
from apps.bookings.models import Booking, Refund
from apps.bookings.services.refunds import REQUEST_REFUND, refund_request, refund_title
from apps.common.identifiers import uuid_of
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine.timeline import timeline
from apps.web.fragments import person
from apps.web.links import temporal_url_for
from apps.web.lists import ListPage
from apps.web.pages import DetailPage, FormPage
from apps.web.pieces import Fact, Head, Link, Note
from apps.web.tables import AGE, ERROR, STATE, Column
from apps.web.tones import sentence_of

CRUMBS = (Link(_("Refunds"), "refunds"),)


def _rows(user: User) -> Any:
    return Refund.objects.visible_to(user).for_list()


LIST_PAGE = ListPage(
    name="refunds",
    title=_("Refunds"),
    lead=_("What goes back to riders: by the rule of their booking, or as an agent asks for it."),
    noun="refund",
    none=_("No refund yet"),
    topic="refunds",
    rows=_rows,
    to="refund",
    columns=(
        Column(head=_("Rider"), value="booking.user_id", form="title"),
        Column(head=_("Booking"), value="booking.workflow_id", form="name", wide=True),
        AGE,
        Column(head=_("Amount"), value="amount", form="amount"),
        STATE,
        ERROR,
    ),
    filters=RefundFilter,
    new=Link(_("Refund a booking"), "refund_new", REQUEST_REFUND, main=True),
)


def _known(user: User, form: forms.Form) -> str:
    """Return whose booking it is and how much is left of its charge; then its id is not typed."""
    key = uuid_of(form["booking_id"].value() or "")
    rows = Booking.objects.visible_to(user).select_related("trip__route")
    booking = rows.filter(pk=key).first() if key else None
    if booking is None:
        return ""
    form.fields["booking_id"].widget = forms.HiddenInput()
    said = gettext(
        "{rider}, {segment}, {route}: {paid} was paid, and at most {left} of it can go back."
    )
    return said.format(
        rider=booking.user_id,
        segment=booking.segment,
        route=booking.trip.route.name,
        paid=shown(booking.charged, booking.currency),
        left=shown(booking.charged - booking.refunded, booking.currency),
    )


FORM_PAGE = FormPage(
    name="refund_new",
    title=_("Refund a booking"),
    lead=_(
        "Nothing goes back before somebody else has signed it. The booking stays as it is: "
        "cancelling it is another step."
    ),
    crumbs=CRUMBS,
    form=RefundForm,
    known=_known,
    initial={"booking_id": "booking"},
    verb=refund_request,
    to="refund",
    asked=_("Asked. Nothing goes back before it is signed."),
    draft="refund",
    permission=REQUEST_REFUND,
    action=f"{REFUND}.request",
    subject_type=REFUND,
)


def _context(request: HttpRequest, refund: Refund) -> dict[str, Any]:
    user = person(request)
    return {
        "topics": f"{REFUND}:{refund.pk} inbox",
        "head": _head(refund, user),
        "facts": _facts(refund),
        "requests": requests_about(REFUND, refund.pk).visible_to(user).order_by("created_at")[:20],
        "timeline": timeline(
            subjects=[(REFUND, str(refund.pk))],
            workflow_ids=[refund.workflow_id],
            older=request.GET.get("older", ""),
        ),
    }


def _head(refund: Refund, user: User) -> Head:
    note = None
    if refund.error_code:
        title = sentence_of(refund.error_code)
        note = Note(title, refund.error_detail, tone="bad")
    url = temporal_url_for(user, refund.workflow_id)
    return Head(
        refund_title(refund),
        gettext("asked"),
        at=refund.created_at,
        crumbs=CRUMBS,
        state=refund.status,
        links=(Link(gettext("Temporal UI"), url, outside=True),) if url else (),
        note=note,
    )


def _facts(refund: Refund) -> list[Fact]:
    rule = gettext("version {number}").format(number=refund.rule) if refund.rule else ""
    facts = (
        Fact(
            gettext("Booking"),
            gettext("{rider}, {segment}").format(
                rider=refund.booking.user_id, segment=refund.booking.segment
            ),
            href=reverse("booking", args=[refund.booking_id]),
            note=refund.booking.trip.route.name,
        ),
        Fact(gettext("Amount"), shown(refund.amount, refund.currency)),
        Fact(gettext("Why"), refund.reason, form="prose"),
        Fact(gettext("Refund rule"), rule),
        Fact(gettext("Receipt"), refund.receipt, form="code"),
        Fact(gettext("Ended"), refund.settled_at, form="when"),
    )
    return [fact for fact in facts if fact.value]


DETAIL_PAGE = DetailPage(
    name="refund",
    rows=_rows,
    context=_context,
    main=("web/_asked.html",),
    after=("console/_timeline.html",),
)
