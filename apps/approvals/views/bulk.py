"""Pages of bulk decisions: the preview, the run, and the user's own list."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods

from apps.accounts.models import User
from apps.approvals import services
from apps.approvals.contracts import BULK_SUBJECT, BulkStatus, ItemStatus, RequestStatus, Verdict
from apps.approvals.forms import BulkFilter, BulkForm, inbox_matching
from apps.approvals.models import ApprovalRequest, BulkDecision, BulkItem
from apps.approvals.selectors.bulk import BulkPreview, bulk_preview
from apps.approvals.services.bulk import MOST_ITEMS
from apps.approvals.views.bulk_lines import Picked, barred_table, ids_of, preview_table
from apps.common.csvio import by_number
from apps.common.errors import DomainError
from apps.common.identifiers import new_id
from apps.common.language import lazy as _
from apps.engine.timeline import timeline
from apps.web.fragments import person
from apps.web.lists import ListPage
from apps.web.pieces import Head, Link
from apps.web.refusals import Refusal, refusal_of
from apps.web.run_columns import ITEM_ENDED, RUN_COLUMNS, item_why
from apps.web.runs import Counts, Progress, RunNow, RunPages, RunVerb, Tab
from apps.web.tables import AGE, STATE, Column

#: Columns of the file of refused items.
COLUMNS = ("number", "request", "title", "authority", "code", "detail")
MOST_LIVE = 10
CRUMBS = (Link(_("Inbox"), "inbox"), Link(_("Bulk decisions"), "bulk_list"))


# --- before the run -------------------------------------------------------------------------------
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def preview(request: HttpRequest) -> HttpResponse:
    """Preview a decision of the chosen requests. Signs nothing."""
    if request.method != "POST":
        messages.info(
            request, gettext("Tick what you want to decide together, then go on from there.")
        )
        return redirect("inbox")
    chosen = _chosen(request)
    if not chosen:
        messages.info(
            request, gettext("Nothing was ticked. Tick what you want to decide together.")
        )
        return redirect("inbox")
    if len(chosen) > MOST_ITEMS:
        messages.warning(
            request,
            gettext(
                "These are the first {most_items}, as many as can be decided in one go. "
                "The others wait in the inbox."
            ).format(most_items=MOST_ITEMS),
        )
    ids = chosen[:MOST_ITEMS]
    form = BulkForm(
        initial={"key": new_id(), "ids": " ".join(map(str, ids))},
        names=_kinds_of(request, ids).values(),
    )
    return _show_preview(request, ids, form=form)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def run(request: HttpRequest) -> HttpResponse:
    """Start the bulk decision, once per form. A GET (after signing in again) redirects to the
    inbox."""
    if request.method != "POST":
        return redirect("inbox")
    picked = Picked.of(request)
    ids = ids_of(str(request.POST.get("ids", "")).split())[:MOST_ITEMS]
    names = _kinds_of(request, ids)
    form = BulkForm(
        request.POST,
        names=names.values(),
        picked=[name for pk, name in names.items() if str(pk) in picked.values],
    )
    refusal: Refusal | None = None
    if form.is_valid() and picked.choices:
        try:
            if picked.refusal:
                raise picked.refusal
            bulk = services.bulk_decide(
                by=person(request),
                verdict=form.cleaned_data["verdict"],
                reason=form.cleaned_data["reason"],
                reason_codes=form.codes,
                items=picked.choices,
                key=f"page:{form.cleaned_data['key']}",
                via="page",
                as_of=timezone.now(),
            )
        except DomainError as error:
            refusal = refusal_of(error)
        else:
            return redirect("bulk", bulk.pk)
    if not picked.choices:
        form.add_error(None, gettext("Nothing is ticked: tick what you want to sign."))
    return _show_preview(request, ids, form=form, picked=picked, refusal=refusal)


def _chosen(request: HttpRequest) -> list[UUID]:
    """Return the selected ids, or all that match the inbox's filters: at most one more than
    allowed."""
    if request.POST.get("all"):
        found = inbox_matching(
            user=person(request), query=request.POST.get("query", ""), as_of=timezone.now()
        )
        rows = found.order_by("-created_at", "-pk").values_list("pk", flat=True)
        return list(rows[: MOST_ITEMS + 1])
    return ids_of(request.POST.getlist("ids"))


def _kinds_of(request: HttpRequest, ids: list[UUID]) -> dict[UUID, str]:
    visible = ApprovalRequest.objects.visible_to(person(request)).filter(pk__in=ids)
    return dict(visible.values_list("pk", "kind"))


def _show_preview(
    request: HttpRequest,
    ids: list[UUID],
    *,
    form: BulkForm,
    picked: Picked | None = None,
    refusal: Refusal | None = None,
) -> HttpResponse:
    seen: BulkPreview = bulk_preview(person(request), ids, as_of=timezone.now())
    context = {
        "preview": seen,
        "signable": preview_table(request, seen.signable, picked),
        "barred": barred_table(request, seen.barred),
        "form": form,
        "refusal": refusal,
        "most": MOST_ITEMS,
    }
    status = refusal.status if refusal else 422 if picked else 200
    return render(request, "approvals/bulk_preview.html", context, status=status)


# --- during and after the run ---------------------------------------------------------------------
def _doing(bulk: BulkDecision) -> str:
    text = (
        ngettext("Approving {total} request", "Approving {total} requests", bulk.total)
        if bulk.verdict == Verdict.APPROVE
        else ngettext("Rejecting {total} request", "Rejecting {total} requests", bulk.total)
    )
    return text.format(total=bulk.total)


def _topics(bulks: list[BulkDecision]) -> str:
    running = [bulk for bulk in bulks if bulk.runs][:MOST_LIVE]
    return " ".join(f"{BULK_SUBJECT}:{bulk.pk}" for bulk in running)


LIST_PAGE = ListPage(
    name="bulk_list",
    title=_("My bulk decisions"),
    lead=_("Your bulk decisions, newest first."),
    noun="bulk decision",
    topic=_topics,
    rows=lambda user: BulkDecision.objects.filter(requested_by=user.pk),
    to="bulk",
    columns=(
        Column(head=_("Decision"), value="title", form="title"),
        *RUN_COLUMNS,
        Column(head=_("Reason"), value="reason", form="long"),
        AGE,
        STATE,
    ),
    filters=BulkFilter,
    crumbs=CRUMBS[:1],
    new=Link(_("To the inbox"), "inbox"),
    none=_("You have made no bulk decision yet"),
    first=_("Tick several requests in the inbox, or select all that match a filter."),
    complete=lambda bulks: RUNS.complete(bulks),
)


def _counts(bulks: Sequence[BulkDecision]) -> dict[UUID, Counts]:
    """Count from the row's own columns: items without an outcome either all wait or were all
    stopped."""
    counts: dict[UUID, Counts] = {}
    for bulk in bulks:
        left = ItemStatus.STOPPED if bulk.status == BulkStatus.STOPPED else ItemStatus.WAITING
        counts[bulk.pk] = {
            ItemStatus.DONE: bulk.done,
            ItemStatus.FAILED: bulk.failed,
            left: bulk.left,
        }
    return counts


def _now(bulk: BulkDecision, counts: Counts, user: User) -> RunNow:
    verb = "stop" if bulk.runs else "resume" if bulk.status == BulkStatus.STOPPED else None
    return RunNow(
        head=Head(
            _doing(bulk),
            crumbs=CRUMBS,
            state=bulk.status,
        ),
        over=not bulk.runs,
        moves=bulk.runs,
        verbs=[verb] if verb and bulk.requested_by_id == user.pk else [],
        more={
            "seconds": _seconds(bulk.created_at, bulk.settled_at),
            # Leave out engine events: Temporal would be queried at every step of the progress bar.
            "timeline": timeline(
                subjects=[(BULK_SUBJECT, str(bulk.pk))],
                workflow_ids=[] if bulk.runs else [bulk.workflow_id],
            ),
        },
    )


def _seconds(begun: datetime, ended: datetime | None) -> int | None:
    return max(round((ended - begun).total_seconds()), 1) if ended else None


def _failures(bulk: BulkDecision) -> Iterator[dict[str, Any]]:
    refused = bulk.items.filter(status=ItemStatus.FAILED).select_related("request", "authority")
    for item in by_number(refused):
        about = (item.number, item.request_id, item.request.title, item.authority.username)
        yield dict(zip(COLUMNS, (*about, item.error_code, item.error_detail), strict=True))


def _about(item: BulkItem) -> str:
    """Return for whom it is signed, if for somebody else, and whether a signature follows."""
    waits = item.status == ItemStatus.DONE and item.request.status == RequestStatus.OPEN
    told = [gettext("waits for the next signature")] if waits else []
    if item.authority_id != item.bulk.requested_by_id:
        told.insert(0, gettext("for {authority}").format(authority=item.authority))
    return ", ".join(told)


ITEM_COLUMNS = (
    Column(head=_("Request"), value="request.title", form="title"),
    item_why(_about),
    Column(head=_("Amount"), value="request.amount", form="amount", currency="request.currency"),
    ITEM_ENDED,
    Column(head=_("Outcome"), value="status", form="state", part="approvals/_bulk_item_state.html"),
)

RUNS: RunPages[BulkDecision] = RunPages(
    name="bulk",
    topic=BULK_SUBJECT,
    template="approvals/bulk.html",
    rows=lambda user: BulkDecision.objects.visible_to(user).select_related("requested_by"),
    counts=_counts,
    now=_now,
    verbs={
        "stop": RunVerb(
            services.bulk_stop,
            said=_("Stopped. What was signed stays signed; the rest was not touched."),
            button=_("Stop"),
        ),
        "resume": RunVerb(
            services.bulk_resume,
            said=_("It goes on with what was left."),
            button=_("Go on with the {stopped} left"),
            plain=True,
        ),
    },
    tabs=[
        Tab("", _("All"), (), _("None now.")),
        Tab("signed", _("Signed"), (ItemStatus.DONE,), _("None is signed yet.")),
        Tab("refused", _("Refused"), (ItemStatus.FAILED,), _("None was refused.")),
        Tab(
            "left",
            _("Not decided"),
            (ItemStatus.WAITING, ItemStatus.STOPPED),
            _("All have their outcome."),
        ),
    ],
    words={
        ItemStatus.DONE: _("signed"),
        ItemStatus.FAILED: _("refused"),
        ItemStatus.WAITING: _("waiting"),
        ItemStatus.STOPPED: _("stopped"),
    },
    progress=Progress(
        label=_("Decided"),
        heading=_("{ended} of {total} decided"),
        text=_("{done} signed, {failed} refused of {total}"),
    ),
    related=("request", "authority"),
    item_columns=ITEM_COLUMNS,
    items_title=_("Outcome of each request"),
    item_to=lambda item: reverse("request", args=[item.request_id]),
    item_version=lambda item: f"{item.status}-{item.request.version}",
    columns=COLUMNS,
    failures=_failures,
)
