"""The audit page: what was done and refused, by whom, and how far the chain is verified."""

import json
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.audit.doors import may_ask, needs
from apps.audit.selectors import (
    ORDER,
    VIEW_PERMISSION,
    EntryFilter,
    chain_state,
    entries_none,
    entries_search,
    offered,
)
from apps.common.errors import DomainError
from apps.common.language import lazy as _
from apps.console.audit_export import export
from apps.engine import subjects
from apps.web.filters import FilterForm
from apps.web.fragments import person
from apps.web.lists import filtered_list
from apps.web.refusals import refusal_of
from apps.web.tables import Column, head, sorted_by

#: The column by which the trail can be sorted.
WHEN = Column(head=_("When"), value="at", form="when", sort=(ORDER, "entries_oldest"))


class Suggesting(forms.TextInput):
    """A text field that suggests existing values."""

    def __init__(self, column: str) -> None:
        super().__init__(attrs={"list": f"known-{column}", "autocomplete": "off"})
        self.column = column

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        options = format_html_join("", '<option value="{}">', ((v,) for v in offered(self.column)))
        return format_html(
            '{}<datalist id="known-{}">{}</datalist>',
            super().render(name, value, attrs, renderer),
            self.column,
            options,
        )


def _day(**options: Any) -> forms.DateField:
    return forms.DateField(
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        **options,
    )


class AuditFilter(FilterForm):
    """Filters of the audit page, as GET parameters."""

    more = ("subject_type", "subject_id", "code", "since", "until")

    actor = forms.CharField(
        required=False,
        max_length=150,
        label=_("Who"),
        widget=forms.TextInput(attrs={"placeholder": _("Name, or engine"), "autocomplete": "off"}),
    )
    action = forms.CharField(
        required=False, max_length=80, widget=Suggesting("action"), label=_("Action")
    )
    outcome = forms.ChoiceField(
        required=False,
        choices=[("", _("done or refused")), ("done", _("done")), ("refused", _("refused"))],
        label=_("Outcome"),
    )
    subject_type = forms.CharField(
        required=False, max_length=60, label=_("Kind of subject"), widget=Suggesting("subject_type")
    )
    subject_id = forms.CharField(required=False, max_length=80, label=_("Subject’s id"))
    code = forms.CharField(
        required=False, max_length=60, label=_("Refusal’s code"), widget=Suggesting("code")
    )
    since = _day(label=_("From (day, UTC)"))
    until = _day(label=_("Up to (day, UTC)"))

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        since, until = values.get("since"), values.get("until")
        if since and until and since > until:
            self.add_error(
                "until", forms.ValidationError(gettext("Before the day it begins with."))
            )
        return values

    @property
    def wanted(self) -> EntryFilter | None:
        """Return the filter; None while it is invalid."""
        if not self.is_valid():
            return None
        values: dict[str, Any] = self.cleaned_data
        return EntryFilter(
            actors=actors_of(values["actor"]),
            since=_midnight(values["since"]),
            until=_midnight(values["until"], days=1),
            **{name: values[name] for name in ("action", "outcome", "code")},
            **{name: values[name] for name in ("subject_type", "subject_id")},
        )


def actors_of(text: str) -> tuple[str, ...]:
    """Return the actor ids that the text can mean: `user:7`, a username, a part of the system."""
    text = text.strip()
    if not text or ":" in text:
        return (text,) if text else ()
    people = User.objects.filter(username__iexact=text).values_list("pk", flat=True)
    return (*(f"user:{pk}" for pk in people[:20]), f"system:{text}")


@login_required
@needs(VIEW_PERMISSION)
@require_GET
def audit(request: HttpRequest) -> HttpResponse:
    """Search the audit trail, newest first unless ?sort= says otherwise."""
    form = AuditFilter(request.GET)
    chosen = form.wanted
    rows = entries_none() if chosen is None else entries_search(chosen)
    order = sorted_by(request, (WHEN,), ORDER)
    context = filtered_list(request, form, rows, order=order)
    state = chain_state()
    for row in context["rows"]:
        row.sequence = seal.sequence if (seal := getattr(row, "seal", None)) else None
        row.verified = state.covers(row.sequence)
        row.body_text = json.dumps(row.body, indent=2, ensure_ascii=False, sort_keys=True)
        row.href = subject_url(row.subject_type, row.subject_id)
    own = {
        "chain": state,
        "when": head(request, WHEN, order, ORDER, reverse("audit")),
        "sort": order if order != ORDER else "",
    }
    return render(request, "audit/audit.html", {**context, **own})


@login_required
@may_ask(VIEW_PERMISSION, action="audit.export", subject_type="audit")
@require_POST
def audit_export(request: HttpRequest) -> HttpResponseBase:
    """Export what the filter in the URL matches, as a file. POST, because the export is audited."""
    chosen = AuditFilter(request.GET).wanted
    if chosen is None:
        return render(
            request,
            "audit/refused.html",
            {"what": "The filters do not make sense, so there is nothing to export."},
            status=422,
        )
    try:
        return export(
            request,
            chosen,
            format=request.POST.get("format", ""),
            by=person(request),
            via="page",
        )
    except DomainError as error:
        refusal = refusal_of(error)
        return render(request, "audit/refused.html", {"what": refusal.what}, status=error.status)


def subject_url(subject_type: str, subject_id: str) -> str:
    """Return the URL of the subject's page, or an empty text."""
    if subject_type == "approval":
        identifier = _uuid(subject_id)
        return reverse("request", args=[identifier]) if identifier else ""
    if subject_type == "user" and subject_id.isdigit():
        return reverse("admin:accounts_user_change", args=[subject_id])
    known = subjects.get(subject_type)
    return known.url(subject_id) if known and subject_id else ""


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _midnight(day: Any, *, days: int = 0) -> datetime | None:
    if day is None:
        return None
    try:
        return datetime.combine(day + timedelta(days=days), time.min, tzinfo=UTC)
    except OverflowError:
        return None
