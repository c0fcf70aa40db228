"""The form that takes corrected events in, and what became of each line."""

from collections import Counter
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext

from apps.payments.contracts import QUARANTINED
from apps.payments.forms import ImportForm
from apps.payments.models import QuarantinedEvent
from apps.payments.services import imports
from apps.payments.services.imports import IMPORT_PERMISSION, Imported, LineOutcome
from apps.payments.views.quarantine import CRUMBS
from apps.web.drafts import draft_accept
from apps.web.fragments import let_in
from apps.web.pages import SAFE
from apps.web.pieces import Head
from apps.web.verbs import Outcome, call_verb


def new(request: HttpRequest) -> HttpResponse:
    """Show the form; make an edit of each line, and say what became of it."""
    let_in(request, IMPORT_PERMISSION, action=f"{QUARANTINED}.import", subject_type=QUARANTINED)
    if request.method in SAFE:
        return _shown(request, ImportForm(), Outcome())
    form = ImportForm(request.POST, request.FILES)
    outcome = call_verb(request, form, imports.edits_import)
    if outcome.done:
        draft_accept(request)
        return _shown(request, ImportForm(), outcome)
    return _shown(request, form, outcome)


def _shown(request: HttpRequest, form: ImportForm, outcome: Outcome) -> HttpResponse:
    context = {
        "head": Head(
            gettext("Import corrected events"),
            gettext("Each line becomes a version that somebody else has to sign."),
            crumbs=CRUMBS,
        ),
        "form": form,
        "refusal": outcome.refusal,
        "back": reverse("quarantined_events"),
        **(_result(outcome.result) if outcome.done else {}),
    }
    return render(request, "payments/import.html", context, status=outcome.status)


def _result(lines: list[Imported]) -> dict[str, Any]:
    counts = Counter(line.outcome for line in lines)
    rows = [line.row for line in lines if line.row]
    names = {
        row.pk: str(row) for row in QuarantinedEvent.objects.only("event_id").filter(pk__in=rows)
    }
    return {
        "lines": [(line, names.get(line.row, "") if line.row else "") for line in lines],
        "counts": [(outcome, counts[outcome]) for outcome in LineOutcome if counts[outcome]],
        "done": True,
    }
