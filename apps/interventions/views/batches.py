"""Pages of batches: the list, asking for one, and how far one is."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.approvals.selectors import requests_about
from apps.audit.doors import may_ask
from apps.common.csvio import FORMATS, export
from apps.common.errors import DomainError
from apps.common.identifiers import number_of
from apps.common.uploads import as_attachment
from apps.engine.timeline import timeline
from apps.interventions import services
from apps.interventions.batch_forms import MOST_TEXT, BatchFilter, BatchForm
from apps.interventions.contracts import (
    BATCH_SUBJECT,
    BatchItemStatus,
    BatchProgress,
    BatchStatus,
)
from apps.interventions.forms import ReasonForm
from apps.interventions.models import InterventionBatch, Policy
from apps.interventions.services.batches import BatchTrial
from apps.interventions.services.batches_input import file_items
from apps.interventions.services.batches_rows import (
    FAILURE_COLUMNS,
    batch_failures,
    progress_by_batch,
    progress_of,
)
from apps.interventions.services.requests import CANCEL_PERMISSION, REQUEST_PERMISSION
from apps.web.cancel_verb import tried
from apps.web.drafts import draft_keep
from apps.web.fragments import fragment, person
from apps.web.links import temporal_url
from apps.web.lists import PAGE_SIZE, counted, filtered_list
from apps.web.refusals import refusal_of

_VERBS = {
    "pause": (services.batch_pause, "Paused. What is under way ends; nothing further is begun."),
    "resume": (services.batch_resume, "It goes on with what was left."),
    "cancel": (
        services.batch_cancel,
        "Cancelled. What was paid stays paid; the rest is not begun.",
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
    chosen = form.apply(InterventionBatch.objects.visible_to(user), user_id=user.pk)
    rows = chosen.select_related("policy", "budget", "requested_by")
    context = filtered_list(request, form, rows)
    progress = progress_by_batch(batch.pk for batch in context["rows"])
    context["rows"] = [{"batch": one, **_bar(progress[one.pk])} for one in context["rows"]]
    return {**context, "count": counted(chosen)}


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
    policy = Policy.objects.filter(code=wanted["policy"], active=True).first()
    asked: dict[str, Any] = {
        "policy": wanted["policy"],
        "budget": wanted["budget"],
        "currency": policy.currency if policy else "",
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
    return redirect("batch", batch_id=batch.pk)


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
@login_required
@require_GET
def batch_page(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """How far it is, and what became of each payment."""
    context = _context(request, batch_id)
    # Not live: it is about what was asked for, and read from all of its payments.
    context["warned"] = services.batch_warn(context["batch"], as_of=timezone.now())
    return render(request, "interventions/batch.html", context)


@fragment
@require_GET
def batch_live(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """The parts of the page as they are now."""
    return render(request, "interventions/_batch_live.html", _context(request, batch_id))


@login_required
@require_POST
def batch_act(request: HttpRequest, batch_id: UUID, verb: str) -> HttpResponse:
    """Pause, resume or cancel it."""
    if verb not in _VERBS:
        raise Http404
    act, said = _VERBS[verb]
    outcome = tried(request, ReasonForm(request.POST), act, batch_id=batch_id)
    if not outcome.done:
        draft_keep(request)
    if outcome.done:
        messages.success(request, said)
    elif outcome.refusal is None:
        _get(request, batch_id)
        messages.warning(request, "Nothing was changed. The reason is too long, or no text.")
    else:
        messages.warning(request, f"Nothing was changed. {outcome.refusal.what}")
    return redirect("batch", batch_id=batch_id)


@login_required
@require_GET
def batch_failed_csv(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """The payments that have failed, with why, as an attachment. As bounded as a batch is."""
    batch = _get(request, batch_id)
    body = b"".join(export(batch_failures(batch), FAILURE_COLUMNS, for_spreadsheets=True))
    name = f"failed-{str(batch.pk)[-8:]}.csv"
    return as_attachment(name=name, content_type=FORMATS["csv"], body=body)


def _get(request: HttpRequest, batch_id: UUID) -> InterventionBatch:
    visible = InterventionBatch.objects.visible_to(person(request))
    return get_object_or_404(
        visible.select_related("policy", "budget", "requested_by"), pk=batch_id
    )


def _context(request: HttpRequest, batch_id: UUID) -> dict[str, Any]:
    batch = _get(request, batch_id)
    user = person(request)
    progress = progress_of(batch)
    tab = request.GET.get("show", "")
    items = batch.items.order_by("number")
    if tab in set(BatchItemStatus):
        items = items.filter(status=tab)
    after = number_of(request.GET.get("after", ""), digits=9)
    if after is not None:
        items = items.filter(number__gt=after)
    rows = list(items[: PAGE_SIZE + 1])
    counts = {"": batch.total, **{s.value: getattr(progress, s.value) for s in BatchItemStatus}}
    over = BatchStatus(batch.status).terminal
    may = batch.requested_by_id == user.pk or user.has_perm(CANCEL_PERMISSION)
    moves = not over or progress.running
    return {
        "batch": batch,
        **_bar(progress),
        "moves": moves,
        "over": over,
        "may": may and not over,
        "form": ReasonForm(),
        "rows": rows[:PAGE_SIZE],
        "next_after": rows[PAGE_SIZE - 1].number if len(rows) > PAGE_SIZE else None,
        "later_page": after is not None,
        "tabs": [
            (key, key or "all", number, key == tab)
            for key, number in counts.items()
            if number or not key or key == tab
        ],
        "tab": tab,
        "requests": requests_about(BATCH_SUBJECT, batch.pk).visible_to(user)[:5],
        "workflow_url": temporal_url(batch.workflow_id),
        "query": request.GET.urlencode(),
        # The engine's own events would be asked for with every step of the bar.
        "timeline": timeline(
            subjects=[(BATCH_SUBJECT, str(batch.pk))],
            workflow_ids=[] if moves else [batch.workflow_id],
        ),
    }


def _bar(progress: BatchProgress) -> dict[str, Any]:
    """Its two stretches, in percent of the whole."""
    total = max(progress.total, 1)
    done, failed = (100 * part / total for part in (progress.done, progress.failed))
    ended = progress.done + progress.failed + progress.cancelled
    return {
        "progress": progress,
        "ended": ended,
        "done_width": f"{done:.2f}%",
        "failed_x": f"{done:.2f}%",
        "failed_width": f"{failed:.2f}%",
        "percent": 100 * ended // total,
    }
