"""Pages of edits of quarantined events: the form for a new version, and one version."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.common.language import lazy as _
from apps.engine.timeline import timeline
from apps.payments.contracts import EDIT
from apps.payments.forms import EditForm
from apps.payments.layout import compared, laid_out
from apps.payments.models import QuarantinedEvent, QuarantineEdit
from apps.payments.services import edits
from apps.payments.services.edits import EDIT_PERMISSION
from apps.payments.services.payloads import as_it_came, newest_version
from apps.payments.services.trials import event_try
from apps.payments.views.quarantine import CRUMBS, PAYLOAD, VIEW
from apps.web.denied import row_of
from apps.web.fragments import let_in, person
from apps.web.pages import SAFE, DetailPage, PageVerb
from apps.web.pieces import Fact, Head, Link, asked_head
from apps.web.tones import words_of
from apps.web.verbs import Outcome, call_verb


# --- the form -------------------------------------------------------------------------------------
def new(request: HttpRequest, row_id: UUID) -> HttpResponse:
    """Show the newest version to be changed; try what was typed; ask for its signature."""
    let_in(request, EDIT_PERMISSION, action=f"{EDIT}.ask", subject_type=EDIT)
    let_in(request, PAYLOAD, action=f"{EDIT}.ask", subject_type=EDIT)
    row = row_of(QuarantinedEvent.objects.defer("search_text"), pk=row_id)
    if request.method in SAFE:
        return _shown(request, row, EditForm(initial={"text": _text_of(row)}), Outcome())
    form = EditForm(request.POST)
    if "send" not in request.POST:
        trial = None
        if form.data.get("text", "").strip():
            trial = event_try(row, text=str(form.data["text"]))
        return _shown(request, row, form, Outcome(), trial=trial)
    outcome = call_verb(request, form, _ask, row.pk)
    if not outcome.done:
        return _shown(request, row, form, outcome)
    edit, created = outcome.result
    if created:
        messages.success(
            request, gettext("Asked. A replay carries it once somebody has signed it.")
        )
    else:
        messages.info(request, gettext("You had sent this form before; this is what it made."))
    return redirect("quarantine_edit", edit.pk)


def _ask(row_id: UUID, **given: Any) -> tuple[QuarantineEdit, bool]:
    return edits.edit_ask(row_id=row_id, **given)


def _text_of(row: QuarantinedEvent) -> str:
    raw = newest_version(row).raw
    return laid_out(raw) or (raw or b"").decode("utf-8", "replace").replace("\0", "\ufffd")


def _shown(
    request: HttpRequest,
    row: QuarantinedEvent,
    form: EditForm,
    outcome: Outcome,
    *,
    trial: Any = None,
) -> HttpResponse:
    back = reverse("quarantined_event", args=[row.pk])
    text = form.data.get("text", "") if form.is_bound else ""
    context = {
        "head": Head(
            gettext("Edit the event"),
            gettext("Somebody else has to sign what you write; you cannot sign it yourself."),
            crumbs=(*CRUMBS, Link(str(row), back)),
        ),
        "row": row,
        "form": form,
        "trial": trial,
        "sees": True,
        "diff": compared(as_it_came(row).raw, str(text).encode("utf-8", "replace")) if text else [],
        "compare": bool(text),
        "draft": f"quarantine-edit-{row.pk}",
        "back": back,
        "refusal": outcome.refusal,
    }
    return render(request, "payments/edit_new.html", context, status=outcome.status)


# --- one version ----------------------------------------------------------------------------------
def _rows(user: User) -> Any:
    return QuarantineEdit.objects.select_related("event", "requested_by")


def _context(request: HttpRequest, edit: QuarantineEdit) -> dict[str, Any]:
    user = person(request)
    sees = user.has_perm(PAYLOAD)
    return {
        "topics": f"{EDIT}:{edit.pk} inbox",
        "head": _head(edit),
        "edit": edit,
        "sees": sees,
        "diff": compared(as_it_came(edit.event).raw, bytes(edit.raw)) if sees else [],
        "facts": _facts(edit),
        "facts_title": gettext("The version"),
        "may_call": not edit.has_ended and edit.requested_by_id == user.pk,
        "timeline": timeline(subjects=[(EDIT, str(edit.pk))], workflow_ids=[]),
    }


def _head(edit: QuarantineEdit) -> Head:
    approval = edits.edit_approval(edit)
    request_url = reverse("request", args=[approval.pk]) if approval else ""
    event = Link(str(edit.event), reverse("quarantined_event", args=[edit.event_id]))
    return asked_head(
        edit,
        gettext("Version {number}").format(number=edit.number),
        crumbs=(*CRUMBS, event),
        links=(Link(gettext("Its request"), request_url),) if approval else (),
    )


def _facts(edit: QuarantineEdit) -> list[Fact]:
    found = [
        Fact(gettext("Why"), edit.reason, form="prose"),
        Fact(gettext("Kind of change"), words_of(edit.field_class)),
        Fact(gettext("Digest"), edit.digest[:16], form="code"),
        Fact(gettext("As it came"), edit.base[:16], form="code"),
    ]
    if edit.settled_at:
        found.append(Fact(gettext("Ended"), edit.settled_at, note=edit.error_detail, form="when"))
    return found


DETAIL_PAGE = DetailPage(
    name="quarantine_edit",
    rows=_rows,
    context=_context,
    permission=VIEW,
    template="payments/edit.html",
    main=("payments/_edit_diff.html", "web/_facts_panel.html"),
    side=("web/_page_verb.html",),
    after=("console/_timeline.html",),
    verb=PageVerb(
        call=edits.edit_cancel,
        row_id="edit_id",
        not_done=_("Not taken back."),
        said=_("Taken back. Its request is closed."),
        title=_("Take it back"),
        label=_("Reason (optional)"),
        help=_("Possible until it is signed. Its request is closed with it."),
    ),
)
