"""The inbox."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.approvals import kinds
from apps.approvals.forms import FILTERED, InboxFilter
from apps.approvals.models import DECIDE_PERMISSION, ApprovalRequest, ApprovalRequestQuerySet
from apps.common.language import lazy as _
from apps.web import saved_filters
from apps.web.fragments import fragment, person
from apps.web.lists import counted, exported, files_of, filtered_list
from apps.web.tables import AGE, AMOUNT, ASKED_BY, STATE, Column, table

#: Each tab's key, title and values of `mine`, `due` and `claim`.
TABS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("every", _("All"), {"mine": False, "due": "", "claim": ""}),
    ("mine", _("For me to sign"), {"mine": True, "due": "", "claim": ""}),
    ("over", _("Overdue"), {"mine": False, "due": "over", "claim": ""}),
    ("held", _("Held by me"), {"mine": False, "due": "", "claim": "me"}),
)

_TITLE = Column(head=_("Request"), value="title", form="title", part="approvals/_inbox_title.html")
_KIND = Column(head=_("Kind"), value="kind_title", wide=True, file="kind")
_ASKED_BY = replace(ASKED_BY, value=lambda row: row.requested_by or gettext("the engine"))
_AMOUNT = replace(AMOUNT, sort=("largest", "smallest"))
_PICK = Column(
    head=_("Tick"), value=lambda row: "", form="pick", part="approvals/_inbox_pick.html", file="-"
)
#: Columns of what waits, and of what is settled.
WAITING = (
    _TITLE,
    _KIND,
    _ASKED_BY,
    AGE,
    Column(
        head=_("Due"),
        value="due_at",
        form="due",
        part="approvals/_inbox_due.html",
        sort=("due",),
        file="due_at",
    ),
    Column(
        head=_("Expires"),
        value="expires_at",
        form="aside",
        part="approvals/_inbox_expires.html",
        file="expires_at",
    ),
    Column(
        head=_("Signatures"),
        value=lambda row: gettext("{tier_group} · {signed} of {quorum}").format(
            tier_group=row.tier_group, signed=row.signed, quorum=row.quorum
        ),
        form="signs",
    ),
    _AMOUNT,
    Column(
        head=_("Held by"),
        value=lambda row: row.claimed_by if row.held else None,
        form="act",
        part="approvals/_inbox_claim.html",
    ),
)
SETTLED = (
    _TITLE,
    _KIND,
    _ASKED_BY,
    AGE,
    Column(
        head=_("Settled"), value="settled_at", form="age", text=_("settled {}"), file="settled_at"
    ),
    Column(
        head=_("By"), value=lambda row: row.settled_by or gettext("the engine"), text=_("by {}")
    ),
    _AMOUNT,
    STATE,
)


@dataclass(frozen=True)
class Tab:
    """A tab. `count` counts the rows that the tab lists; it may be empty."""

    key: str
    title: str
    address: str
    count: str
    current: bool


@login_required
@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    """List the open requests that the user may see."""
    return render(request, "approvals/inbox.html", _inbox(request, whole=True))


@fragment
@require_GET
def inbox_live(request: HttpRequest) -> HttpResponse:
    """Return the inbox's current counts and rows, for live updates."""
    return render(request, "approvals/_inbox_live.html", _inbox(request, whole=False))


@login_required
@require_POST
def inbox_export(request: HttpRequest, format: str) -> HttpResponseBase:
    """Send what the inbox lists as a file."""
    user = person(request)
    now = timezone.now()
    form = InboxFilter(request.GET)
    rows = form.apply(ApprovalRequest.objects.visible_to(user), user=user, as_of=now)
    return exported(
        request,
        form,
        rows.for_list(),
        SETTLED if request.GET.get("status") else WAITING,
        name="inbox",
        format=format,
        order=form.order,
        back=reverse("inbox"),
        complete=partial(_complete, user=user, as_of=now, decides=False),
    )


def _inbox(request: HttpRequest, *, whole: bool) -> dict[str, Any]:
    user = person(request)
    now = timezone.now()
    form = InboxFilter(request.GET)
    bar = form.apply_bar(ApprovalRequest.objects.visible_to(user), as_of=now)
    chosen = form.narrow(bar, user=user, as_of=now, **form.place)
    found = filtered_list(request, form, chosen.for_list(), order=form.order)
    decides = user.has_perm(DECIDE_PERMISSION)
    waiting_only = not request.GET.get("status")
    _complete(found["rows"], user=user, as_of=now, decides=decides)
    tabs = _tabs(form, bar, user=user, as_of=now, waiting_only=waiting_only)
    current = next((tab for tab in tabs if tab.current), None)
    bulk = decides and waiting_only and form.is_valid()
    return {
        **found,
        "table": table(
            request,
            found["rows"],
            (*((_PICK,) if bulk else ()), *(WAITING if waiting_only else SETTLED)),
            id="inbox-rows",
            caption=gettext("Requests"),
            order=form.order,
            default="newest",
            address=reverse("inbox"),
            to="request",
            version="stamp",
        ),
        "files": files_of("inbox_export", form, form.order, form.order),
        "tabs": tabs,
        "count": current.count if current else counted(chosen),
        "mine": form.wants_mine,
        "narrowed": form.filtered or form.wants_mine,
        "waiting_only": waiting_only,
        "bulk": bulk,
        "address": form.address,
        "here": f"{reverse('inbox')}?{form.address}" if form.address else reverse("inbox"),
        **(saved_filters.context_of(user, FILTERED, form, form.address) if whole else {}),
    }


def _complete(rows: list[Any], *, user: User, as_of: datetime, decides: bool) -> None:
    """Add to each row what its columns do not say: whether the user could sign, who holds it."""
    signable: set[Any] = set()
    if decides and rows:
        these = ApprovalRequest.objects.filter(pk__in=[row.pk for row in rows])
        signable = set(these.mine(user, as_of=as_of).order_by().values_list("pk", flat=True))
    for row in rows:
        lease = row.claimed_until
        held = bool(row.claimed_by_id and lease and lease > as_of)
        row.kind_title = kinds.title_of(row.kind)
        row.quorum = row.tiers[row.tier_number - 1]["quorum"] if row.tiers else 0
        row.signable = row.pk in signable
        row.held = ("me" if row.claimed_by_id == user.pk else "other") if held else ""
        row.overdue = bool(row.due_at and row.due_at <= as_of)
        # The version covers everything a row shows, except what depends on time and on the reader.
        row.stamp = f"{row.version}-{row.signable:d}-{row.held}-{row.overdue:d}"


def _tabs(
    form: InboxFilter,
    bar: ApprovalRequestQuerySet,
    *,
    user: User,
    as_of: datetime,
    waiting_only: bool,
) -> list[Tab]:
    tabs: list[Tab] = []
    dear = False
    for key, title, place in TABS if waiting_only else TABS[:1]:
        chosen = QueryDict(form.address, mutable=True)
        for name, value in place.items():
            chosen.pop(name, None)
            if value:
                chosen[name] = "on" if value is True else value
        address = chosen.urlencode()
        current = form.place == place
        # A search with more matches than the count limit runs anew for every figure, so only the
        # current tab gets a count.
        known = current or not dear
        tab = Tab(
            key=key,
            title=title,
            address=f"{reverse('inbox')}?{address}" if address else reverse("inbox"),
            count=counted(form.narrow(bar, user=user, as_of=as_of, **place)) if known else "",
            current=current,
        )
        dear = dear or (form.searches and tab.count.endswith("+"))
        tabs.append(tab)
    return tabs
