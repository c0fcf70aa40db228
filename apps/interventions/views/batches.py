"""Pages of batches: the list, asking for one, and how far one is."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.audit.doors import may_ask
from apps.common.errors import DomainError
from apps.engine.timeline import timeline
from apps.interventions import services
from apps.interventions.batch_forms import MOST_TEXT, BatchFilter, BatchForm
from apps.interventions.contracts import BATCH_SUBJECT, BatchItemStatus, BatchStatus
from apps.interventions.models import InterventionBatch
from apps.interventions.services.batches import BatchTrial
from apps.interventions.services.batches_input import file_items
from apps.interventions.services.batches_rows import (
    FAILURE_COLUMNS,
    batch_failures,
    progress_by_batch,
)
from apps.interventions.services.requests import CANCEL_PERMISSION, REQUEST_PERMISSION
from apps.web.fragments import fragment, person
from apps.web.lists import counted, filtered_list
from apps.web.refusals import refusal_of
from apps.web.runs import Counts, RunNow, RunPages, RunVerb, Tab

_VERBS = {
    "pause": RunVerb(
        services.batch_pause,
        said="Paused. What is under way ends; nothing further is begun.",
        title="Pause it",
        button="Pause",
        help="May be empty. What is under way ends; nothing further is begun until somebody "
        "resumes it.",
        plain=True,
    ),
    "resume": RunVerb(
        services.batch_resume,
        said="It goes on with what was left.",
        title="Resume it",
        button="Resume",
        help="May be empty. It goes on with the {waiting} that wait.",
        plain=True,
        open=True,
    ),
    "cancel": RunVerb(
        services.batch_cancel,
        said="Cancelled. What was paid stays paid; the rest is not begun.",
        title="Cancel it",
        button="Cancel the batch",
        help="May be empty. For good. What was paid stays paid, what is under way ends, the rest "
        "is never begun.",
    ),
}


# --- the list ------------------------------------------------------------------------------------
@login_required
@require_GET
def batches(request: HttpRequest) -> HttpResponse:
    """The batches that this person may see, newest first."""
    return render(request, "interventions/batches.html", _list(request))


@fragment
@require_GET
def batches_live(request: HttpRequest) -> HttpResponse:
    """The rows as they are now."""
    return render(request, "interventions/_batches_live.html", _list(request))


def _list(request: HttpRequest) -> dict[str, Any]:
    user = person(request)
    form = BatchFilter(request.GET)
    chosen = form.matching(_rows(user), user=user)
    context = filtered_list(request, form, chosen)
    return {**context, "rows": RUNS.listed(context["rows"]), "count": counted(chosen)}


# --- asking for one ------------------------------------------------------------------------------
@login_required
@may_ask(REQUEST_PERMISSION, action=f"{BATCH_SUBJECT}.request", subject_type=BATCH_SUBJECT)
@require_http_methods(["GET", "HEAD", "POST"])
def batch_new(request: HttpRequest) -> HttpResponse:
    """Try a list of payments out, then ask for it. The same form sent twice asks once."""
    if request.method != "POST":
        return render(request, "interventions/batch_new.html", {"form": BatchForm()})
    form = BatchForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, "interventions/batch_new.html", {"form": form}, status=422)
    wanted = form.cleaned_data
    body = _body(wanted)
    forgotten = bool(wanted["file"]) and len(body) > MOST_TEXT
    context: dict[str, Any] = {"form": _again(form, body), "too_long": forgotten}
    asked: dict[str, Any] = {
        "policy": wanted["policy"],
        "budget": wanted["budget"],
        "by": person(request),
        "via": "page",
        "as_of": timezone.now(),
    }
    try:
        items = file_items(body)
        if "send" not in request.POST:
            context["trial"] = trial = services.batch_try(**asked, items=items)
            context["more"] = _more(trial)
            return render(request, "interventions/batch_new.html", context)
        batch, created = services.batch_request(
            **asked,
            items=items,
            title=wanted["title"],
            idempotency_key=wanted["idempotency_key"],
        )
    except DomainError as error:
        refusal = refusal_of(error)
        context["refusal"] = refusal
        return render(request, "interventions/batch_new.html", context, status=refusal.status)
    if created:
        messages.success(request, "Asked. This page shows who has to sign and how far it is.")
    else:
        messages.info(request, "You had sent this form before; this is what it made. Nothing new.")
    return redirect("batch", batch.pk)


def _body(wanted: dict[str, Any]) -> bytes:
    """Of the file, if one was chosen: one byte more than is taken is enough to refuse it."""
    if wanted["file"]:
        content: bytes = wanted["file"].read(settings.BATCH_MAX_BYTES + 1)
        return content
    return str(wanted["text"]).encode("utf-8", "replace")


def _again(form: BatchForm, body: bytes) -> BatchForm:
    """The form with the file's content in it: browsers forget which file was chosen, and what is
    wrong in it can be corrected at once."""
    if form.cleaned_data["file"] and len(body) <= MOST_TEXT:
        data = {**form.data.dict()}  # type: ignore[attr-defined]
        data["text"] = body.decode("utf-8-sig", "replace").replace("\0", "\ufffd")
        form.data = data
    return form


def _more(trial: BatchTrial) -> int:
    return trial.total - trial.sound - len(trial.errors)


# --- one of them ---------------------------------------------------------------------------------
def _rows(user: User) -> Any:
    visible = InterventionBatch.objects.visible_to(user)
    return visible.select_related("policy", "budget", "requested_by")


def _counts(batches: Sequence[InterventionBatch]) -> dict[UUID, Counts]:
    found = progress_by_batch(batch.pk for batch in batches)
    return {pk: {s: getattr(found[pk], s) for s in BatchItemStatus} for pk in found}


def _now(batch: InterventionBatch, counts: Counts, user: User) -> RunNow:
    over = BatchStatus(batch.status).terminal
    moves = not over or counts[BatchItemStatus.RUNNING] > 0
    may = batch.requested_by_id == user.pk or user.has_perm(CANCEL_PERMISSION)
    now = {BatchStatus.RUNNING: ["pause"], BatchStatus.PAUSED: ["resume"]}
    return RunNow(
        title=str(batch),
        over=over,
        moves=moves,
        verbs=[*now.get(BatchStatus(batch.status), []), "cancel"] if may and not over else [],
        more={
            "requests": requests_about(BATCH_SUBJECT, batch.pk).visible_to(user)[:5],
            "running": counts[BatchItemStatus.RUNNING],
            # The engine's own events would be asked for with every step of the bar.
            "timeline": timeline(
                subjects=[(BATCH_SUBJECT, str(batch.pk))],
                workflow_ids=[] if moves else [batch.workflow_id],
            ),
        },
    )


RUNS: RunPages[InterventionBatch] = RunPages(
    name="batch",
    topic=BATCH_SUBJECT,
    template="interventions/batch.html",
    rows=_rows,
    counts=_counts,
    now=_now,
    verbs=_VERBS,
    tabs=[
        Tab("", "All", (), "None now."),
        *(Tab(s, s.capitalize(), (s,), f"None are {s} now.") for s in BatchItemStatus),
    ],
    words={
        BatchItemStatus.DONE: "executed",
        BatchItemStatus.FAILED: "failed",
        BatchItemStatus.RUNNING: "under way",
        BatchItemStatus.WAITING: "waiting",
        BatchItemStatus.CANCELLED: "cancelled",
    },
    columns=FAILURE_COLUMNS,
    failures=batch_failures,
    # It is about what was asked for, and read from all of its payments.
    once=lambda batch: {"warned": services.batch_warn(batch, as_of=timezone.now())},
)
