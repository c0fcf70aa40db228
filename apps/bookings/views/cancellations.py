"""Pages of cancelled trips: who signs it, and how far its refunds are."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.bookings.contracts.trips import CANCELLATION, CancellationStatus
from apps.bookings.forms import CancellationFilter
from apps.bookings.models import TripCancellation
from apps.bookings.services.cancellations import (
    RUN,
    RUN_TRIP,
    cancellation_resume,
    cancellation_title,
)
from apps.common.dates import day_words
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine import runs
from apps.engine.timeline import timeline
from apps.web.fragments import person
from apps.web.lists import ListPage
from apps.web.pages import DetailPage, PageVerb
from apps.web.pieces import Fact, Link, Note, asked_head
from apps.web.tables import ASKED, Column
from apps.web.tones import sentence_of

CRUMBS = (Link(_("Cancelled trips"), "trip_cancellations"),)


def _rows(user: User) -> Any:
    return TripCancellation.objects.visible_to(user).for_list()


LIST_PAGE = ListPage(
    name="trip_cancellations",
    title=_("Cancelled trips"),
    lead=_("Once it is signed, every booking on the trip is refunded in full."),
    noun="cancellation",
    none=_("No trip was cancelled"),
    topic="trip_cancellations",
    rows=_rows,
    to="trip_cancellation",
    columns=(
        Column(head=_("Trip"), value="trip.route.name", form="title"),
        Column(head=_("Bus"), value="trip.vehicle.code", form="code"),
        *ASKED,
    ),
    filters=CancellationFilter,
)


def _context(request: HttpRequest, row: TripCancellation) -> dict[str, Any]:
    user = person(request)
    note = None
    if row.error_code:
        note = Note(sentence_of(row.error_code), row.error_detail, tone="bad")
    asked = requests_about(CANCELLATION, row.pk).visible_to(user)
    return {
        "topics": f"{CANCELLATION}:{row.pk} inbox",
        "head": asked_head(row, cancellation_title(row), crumbs=CRUMBS, note=note),
        "facts": _facts(row),
        "requests": asked.order_by("created_at")[:20],
        "may_call": row.status == CancellationStatus.PAUSED and user.has_perm(RUN_TRIP),
        "timeline": timeline(
            subjects=[(CANCELLATION, str(row.pk))],
            workflow_ids=[row.workflow_id],
            older=request.GET.get("older", ""),
        ),
    }


def _facts(row: TripCancellation) -> list[Fact]:
    counts = runs.progress_of(RUN, row)
    far = gettext("{done} of {total} refunded, {failed} failed").format(
        done=counts.done, total=counts.total, failed=counts.failed
    )
    facts = (
        Fact(
            gettext("Trip"),
            row.trip.route.name,
            href=reverse("trip", args=[row.trip_id]),
            note=day_words(row.trip.service_date),
        ),
        Fact(gettext("Goes back at most"), shown(row.amount, row.currency)),
        Fact(gettext("Why"), row.reason, form="prose"),
        Fact(gettext("Bookings"), far if counts.total else ""),
    )
    return [fact for fact in facts if fact.value]


DETAIL_PAGE = DetailPage(
    name="trip_cancellation",
    rows=_rows,
    context=_context,
    main=("web/_asked.html",),
    side=("web/_page_verb.html",),
    after=("console/_timeline.html",),
    verb=PageVerb(
        call=cancellation_resume,
        row_id="cancellation_id",
        not_done=_("Not resumed."),
        said=_("Resumed. The bookings that are left are refunded."),
        title=_("Resume"),
        label=_("Reason (optional)"),
        help=_("Its workflow was ended. It goes on with the bookings that are left."),
        name="resume",
    ),
)
