"""Pages of synchronisations: the runs, one run with its verdicts and differences, and its files."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.common.csvio import FORMATS
from apps.common.language import lazy as _
from apps.common.uploads import as_attachment
from apps.engine.timeline import timeline
from apps.pix.contracts import SYNC_RUN
from apps.pix.contracts.sync import DifferenceState, SyncStatus
from apps.pix.forms.syncs import SyncFilter, SyncForm
from apps.pix.models import SyncDifference, SyncRun, SyncVerdict
from apps.pix.services import sync_reporting, sync_requesting
from apps.pix.services.sync_requesting import RUN_PERMISSION
from apps.pix.services.sync_rows import counts_of
from apps.pix.sync.report import equal_words
from apps.web.denied import row_of
from apps.web.downloads import attachment
from apps.web.fragments import let_in, person
from apps.web.lists import ListPage
from apps.web.pages import DetailPage, FormPage
from apps.web.pieces import Fact, Head, Link, Note
from apps.web.row_verbs import RowVerb, RowVerbs
from apps.web.runs import Bar
from apps.web.tables import AGE, ERROR, STATE, Column, table
from apps.web.tones import words_of

VIEW = "pix.view_syncrun"
CRUMBS = (Link(_("Sync"), "pix_syncs"),)
#: Differences on the page; the files have all of them.
MOST_SHOWN = 100


def _rows(user: User) -> Any:
    return SyncRun.objects.visible_to(user).for_list().prefetch_related("verdicts")


def _verdict_words(run: SyncRun) -> str:
    """Say of each type of keys whether both sides are equal, as far as it is known."""
    verdicts = list(run.verdicts.all())
    said = [(one.key_type, one.before if one.after is None else one.after) for one in verdicts]
    if said and all(equal for _key_type, equal in said):
        return gettext("all types equal")
    return ", ".join(f"{key_type} {equal_words(equal)}" for key_type, equal in said)


LIST_PAGE = ListPage(
    name="pix_syncs",
    title=_("Sync"),
    lead=_("Proves that the directory and we have the same keys, and repairs ours."),
    noun="sync",
    none=_("No synchronisation yet"),
    first=_("One begins every night at two. Start one to see both sides compared now."),
    topic="pix_syncs",
    rows=_rows,
    to="pix_sync",
    permission=VIEW,
    columns=(
        Column(head=_("Participant"), value="participant", form="title"),
        Column(head=_("Verdicts"), value=_verdict_words, form="long"),
        Column(head=_("Begun by"), value="trigger", form="words"),
        AGE,
        STATE,
        ERROR,
    ),
    filters=SyncFilter,
    new=Link(_("Synchronise"), "pix_sync_new", RUN_PERMISSION, main=True),
)

FORM_PAGE = FormPage(
    name="pix_sync_new",
    title=_("Synchronise"),
    lead=_("Both sides are compared. What differs here is repaired: the directory is right."),
    crumbs=CRUMBS,
    form=SyncForm,
    verb=sync_requesting.sync_request,
    to="pix_sync",
    asked=_("Begun. This page shows how far it is."),
    draft="pix_sync",
    permission=RUN_PERMISSION,
    action="sync_run.request",
    subject_type=SYNC_RUN,
    button=_("Begin"),
)


# --- one run --------------------------------------------------------------------------------------
def _received(verdict: SyncVerdict) -> str:
    if not verdict.file_bytes:
        return ""
    return gettext("{percent} %").format(percent=verdict.received * 100 // verdict.file_bytes)


TYPE_COLUMNS = (
    Column(head=_("Keys"), value="key_type", form="title"),
    Column(head=_("Before"), value=lambda one: equal_words(one.before)),
    Column(
        head=_("After"),
        value=lambda one: "" if one.after is None else equal_words(one.after),
    ),
    Column(head=_("Here"), value="ours", form="count", text=_("{} here")),
    Column(head=_("In the file"), value="theirs", form="count", text=_("{} in the file")),
    Column(head=_("Received"), value=_received, text=_("{} received")),
    Column(head=_("Why"), value="error_code", form="words"),
)
DIFFERENCE_COLUMNS = (
    Column(head=_("Key"), value=lambda one: one.key or bytes(one.cid).hex()[:16], form="title"),
    Column(head=_("Keys"), value="key_type"),
    Column(head=_("Kind"), value="kind", form="words"),
    Column(head=_("Why"), value="why", form="words"),
    Column(head=_("State"), value="state", form="state"),
)


def _context(request: HttpRequest, run: SyncRun) -> dict[str, Any]:
    user = person(request)
    drawn: dict[str, Any] = {
        "order": "",
        "default": "",
        "address": reverse("pix_sync", args=[run.pk]),
    }
    found = SyncDifference.objects.filter(run=run)
    differences = list(found.order_by("-state", "pk")[:MOST_SHOWN])
    verdicts = list(run.verdicts.all())
    return {
        "topics": f"{SYNC_RUN}:{run.pk} inbox",
        "head": _head(run),
        "facts": _facts(run),
        "requests": requests_about(SYNC_RUN, run.pk).visible_to(user)[:5],
        "unsigned": True,
        "bar": _bar(run),
        "types": table(
            request,
            verdicts,
            _with_values(TYPE_COLUMNS, verdicts),
            id="sync-types",
            caption=gettext("Verdicts"),
            version=lambda one: f"{one.before}-{one.after}-{one.received}-{one.theirs}",
            **drawn,
        ),
        "differences": table(
            request,
            differences,
            _with_values(DIFFERENCE_COLUMNS, differences),
            id="sync-differences",
            caption=gettext("Differences"),
            version="state",
            **drawn,
        ),
        "most": MOST_SHOWN if len(differences) == MOST_SHOWN else None,
        "verbs": VERBS.shown(run, user),
        "timeline": timeline(
            subjects=[(SYNC_RUN, str(run.pk))],
            workflow_ids=[run.workflow_id] if run.has_ended else [],
            older=request.GET.get("older", ""),
        ),
    }


def _with_values(columns: tuple[Column, ...], rows: list[Any]) -> tuple[Column, ...]:
    """Leave out the columns that are empty in every row: most runs find nothing to tell there."""
    return tuple(
        column
        for column in columns
        if not rows or any(column.of(row).value not in (None, "") for row in rows)
    )


def _head(run: SyncRun) -> Head:
    note = None
    if run.status == SyncStatus.WAITING:
        note = Note(
            gettext("A person decides whether so much is repaired."),
            gettext("Until then nothing is changed."),
        )
    elif run.status == SyncStatus.DIFFERS:
        note = Note(
            gettext("Both sides still differ."),
            gettext("What was left says why; the next synchronisation looks at it again."),
        )
    csv = Link(gettext("Report as CSV"), reverse("pix_sync_csv", args=[run.pk]))
    pdf = Link(gettext("Report as PDF"), reverse("pix_sync_pdf", args=[run.pk]))
    return Head(
        gettext("Sync of {participant}").format(participant=run.participant),
        gettext("begun by {trigger}").format(trigger=words_of(run.trigger)),
        at=run.created_at,
        crumbs=CRUMBS,
        state=run.status,
        links=(csv, pdf) if run.has_ended else (csv,),
        note=note,
    )


def _facts(run: SyncRun) -> list[Fact]:
    facts = [Fact(gettext("Participant"), run.participant)]
    if run.requested_by:
        facts.append(Fact(gettext("Asked by"), str(run.requested_by)))
    if run.has_ended:
        ended = Fact(gettext("Ended"), run.settled_at, note=run.error_detail, form="when")
        return [*facts, ended]
    if run.status == SyncStatus.RUNNING:
        facts.append(Fact(gettext("At work on"), words_of(f"sync_{run.phase}")))
    return [*facts, Fact(gettext("Ends at the latest"), run.ends_at, form="when")]


def _bar(run: SyncRun) -> Bar | None:
    counts = counts_of(run)
    total = sum(counts.values())
    done, left = counts.get(DifferenceState.REPAIRED, 0), counts.get(DifferenceState.LEFT, 0)
    if not total:
        return None
    return Bar(
        total=total,
        done=done,
        failed=left,
        ended=done + left,
        label=gettext("Repaired"),
        heading=gettext("{ended} of {total} differences have their outcome").format(
            ended=done + left, total=total
        ),
        text=gettext("{done} repaired, {left} left of {total}").format(
            done=done, left=left, total=total
        ),
    )


VERBS = RowVerbs(
    name="pix_sync",
    rows=lambda user: SyncRun.objects.visible_to(user),
    subject_type=SYNC_RUN,
    verbs={
        "stop": RowVerb(
            call=sync_requesting.sync_stop,
            title=_("Stop it"),
            button=_("Stop"),
            help=_("What was repaired stays. Nothing else is changed; another one can begin."),
            said=_("Stopped. What was repaired stays."),
            permission=RUN_PERMISSION,
            action="sync_run.stop",
            applies=lambda run: not run.has_ended,
        )
    },
)

DETAIL_PAGE = DetailPage(
    name="pix_sync",
    rows=lambda user: SyncRun.objects.visible_to(user).select_related("requested_by"),
    context=_context,
    permission=VIEW,
    above=("pix/_sync_types.html",),
    main=("pix/_sync_differences.html",),
    side=("web/_asked.html", "web/_row_verbs.html"),
    after=("console/_timeline.html",),
)


# --- its files ------------------------------------------------------------------------------------
@login_required
@require_safe
def report(request: HttpRequest, key: UUID, format: str) -> HttpResponseBase:
    """Send the report as CSV, with every difference, or of an ended run as PDF."""
    let_in(request, VIEW, action="sync_run.report", subject_type=SYNC_RUN)
    run = row_of(SyncRun.objects.visible_to(person(request)), pk=key)
    return report_file(request, run, format)


def report_file(request: HttpRequest, run: SyncRun, format: str) -> HttpResponseBase:
    """Return the file. Raises Conflict `sync_not_ended`."""
    name = sync_reporting.file_name(run, format)
    if format == "csv":
        parts = sync_reporting.report_csv(run)
        return attachment(request, parts, name=name, content_type=FORMATS["csv"])
    body = sync_reporting.report_pdf(run)
    return as_attachment(name=name, content_type="application/pdf", body=body)


def urls(route: str) -> list[URLPattern]:
    """Return the URLs of the files."""
    return [
        path(f"{route}report.csv", report, {"format": "csv"}, name="pix_sync_csv"),
        path(f"{route}report.pdf", report, {"format": "pdf"}, name="pix_sync_pdf"),
    ]
