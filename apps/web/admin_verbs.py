"""Verbs in the admin: actions with a confirmation page, and forms that end in a service.

`save_model` calling a service would report success on failure, so no verb goes through it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.forms.fields import InvalidJSONInput
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps.common.canonical_json import digest
from apps.common.errors import DomainError
from apps.web.admin import BaseAdmin, ReadOnlyAdmin
from apps.web.drafts import draft_accept
from apps.web.refusals import Refusal, refusal_of

#: Of one action: each row is a transaction of its own, and somebody waits for the answer.
MOST_SELECTED = 100


@dataclass(frozen=True)
class Line:
    """One row on a confirmation page: what it is, what will happen, and what must be sent back."""

    pk: str
    label: str
    note: str = ""
    stamp: str = ""
    blocked: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one row."""

    label: str
    done: str = ""
    refusal: Refusal | None = None


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text="Kept in the audit trail beside your name.",
    )


def confirmed_action(
    model_admin: BaseAdmin,
    request: HttpRequest,
    queryset: "QuerySet[Any]",
    *,
    action: str,
    title: str,
    explanation: str,
    button: str,
    line: Callable[[Any], Line],
    run: Callable[[Any, str, str], str],
    with_reason: bool = True,
    form: ReasonForm | None = None,
) -> HttpResponse:
    """First a page that says what will happen and asks for the reason, then an outcome per row.

    `run(row, reason, stamp)` calls one service and says in a sentence what happened; `stamp` is
    what `line` said when the page was shown, so that a decision is bound to what was seen. `form`:
    one with more fields than the reason, bound (`confirmed`) once the page was sent.
    """
    rows = list(queryset[: MOST_SELECTED + 1])
    if len(rows) > MOST_SELECTED:
        model_admin.message_user(
            request, f"Choose at most {MOST_SELECTED} rows. Nothing was done.", messages.ERROR
        )
        return HttpResponseRedirect(request.get_full_path())
    sent = confirmed(request)
    form = form or ReasonForm(request.POST if sent else None)
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "opts": model_admin.opts,
        "action": action,
        "back": request.get_full_path(),
    }
    if sent and (form.is_valid() or not with_reason):
        reason = form.cleaned_data["reason"] if with_reason else ""
        context["outcomes"] = [
            _outcome(row, reason, request.POST.get(f"stamp-{row.pk}", ""), run) for row in rows
        ]
        if any(outcome.refusal is None for outcome in context["outcomes"]):
            # A reason that was refused for every row is still to be sent.
            draft_accept(request)
        return TemplateResponse(request, "admin/action_outcome.html", context)
    context |= {
        "explanation": explanation,
        "button": button,
        "lines": [line(row) for row in rows],
        "form": form if with_reason else None,
        "draft_of": " ".join(sorted(str(row.pk) for row in rows)),
        "media": model_admin.media,
    }
    return TemplateResponse(
        request, "admin/action_confirm.html", context, status=422 if sent else 200
    )


def confirmed(request: HttpRequest) -> bool:
    """Whether the page that asks was shown and sent."""
    return request.POST.get("confirmed") == "yes"


def _outcome(row: Any, reason: str, stamp: str, run: Callable[[Any, str, str], str]) -> Outcome:
    try:
        return Outcome(label=str(row), done=run(row, reason, stamp))
    except DomainError as error:
        return Outcome(label=str(row), refusal=refusal_of(error))


def shown_first(
    model_admin: BaseAdmin,
    request: HttpRequest,
    form: forms.Form,
    *,
    title: str,
    button: str,
    lines: Callable[[dict[str, Any]], list[str]],
    run: Callable[[dict[str, Any]], Model],
) -> HttpResponse:
    """A form, then what will happen (`lines`), then one service (`run`: the row to go to).

    What was not shown is not done: the stamp is of the input that was.
    """
    shown: list[str] = []
    stamp = ""
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        stamp = digest(data)
        if request.POST.get("stamp") == stamp and "_run" in request.POST:
            try:
                row = run(data)
            except DomainError as error:
                form.add_error(None, error.detail)
            else:
                model_admin.message_user(request, f"Done: {title[:1].lower()}{title[1:]}.")
                return HttpResponseRedirect(_change_url(model_admin, row))
        else:
            shown = lines(data)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "opts": model_admin.opts,
        "form": form,
        "button": button,
        "lines": shown,
        "stamp": stamp,
    }
    status = 422 if form.errors else 200
    return TemplateResponse(request, "admin/verb_form.html", context, status=status)


def _change_url(model_admin: BaseAdmin, row: Model) -> str:
    opts = model_admin.opts
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])


# --- forms that end in a service ----------------------------------------------------------------
class ServiceFormAdmin(ReadOnlyAdmin):
    """A read-only list with a form of its own: saving calls a service, whose refusal is shown.

    Subclasses give `service_form`, `initial_of(row)` and `put(request, data)`; `put` returns the
    row that is current afterwards and may raise a DomainError.
    """

    service_form: type[forms.Form]
    service_form_template = "admin/service_form.html"
    change_form_template = "admin/service_change_form.html"
    change_list_template = "admin/service_change_list.html"
    new_label = "New"
    edit_label = "Save as a new version"

    def initial_of(self, row: Any) -> dict[str, Any]:
        """What the form begins with."""
        raise NotImplementedError

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        """Call the service, in a transaction if it wants one."""
        raise NotImplementedError

    def preview(self, request: HttpRequest, data: dict[str, Any]) -> dict[str, Any] | None:
        """What to show of valid input before it is saved; None: nothing more, save it."""
        return None

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        wrap = self.admin_site.admin_view
        return [
            path("put/", wrap(self.put_view), name=f"{name}_put"),
            path("<path:object_id>/put/", wrap(self.put_view), name=f"{name}_put_from"),
            *super().get_urls(),
        ]

    def put_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """The form, empty or beginning with a row; POST calls the service."""
        self.must_be_granted(request, "change" if object_id else "add")
        row = self.get_object(request, object_id) if object_id else None
        if object_id and row is None:
            raise Http404
        initial = self.initial_of(row) if row else {}
        form = self.service_form(
            request.POST if request.method == "POST" else None, initial=initial
        )
        shown: dict[str, Any] | None = None
        if request.method == "POST" and form.is_valid():
            data = {**initial, **form.cleaned_data}
            try:
                shown = self.preview(request, data)
                saved = self.put(request, data) if shown is None else None
            except DomainError as error:
                form.add_error(None, error.detail)
                saved = None
            if saved is not None:
                self.message_user(request, f"Saved: {saved} is what applies now.")
                return HttpResponseRedirect(_change_url(self, saved))
        context = {
            **self.admin_site.each_context(request),
            "title": f"{self.edit_label if row else self.new_label}: {self.opts.verbose_name}",
            "subtitle": str(row) if row else None,
            "opts": self.opts,
            "form": form,
            "button": self.edit_label if row else self.new_label,
            **(shown or {}),
        }
        status = 422 if request.method == "POST" and shown is None else 200
        return TemplateResponse(request, self.service_form_template, context, status=status)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = {
            "put_url": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_put")
            if self.granted(request, "add")
            else "",
            "put_label": self.new_label,
        }
        return super().changelist_view(request, {**extra, **(extra_context or {})})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        extra = {
            "put_url": reverse(
                f"admin:{self.opts.app_label}_{self.opts.model_name}_put_from", args=[object_id]
            )
            if self.granted(request)
            else "",
            "put_label": self.edit_label,
        }
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})


class ReadableJSON(json.JSONEncoder):
    """For JSON that people edit: one thing a line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "indent": 2})


class ReadableJSONField(forms.JSONField):
    """JSON that people edit. What jsonb cannot hold, or nobody can parse, is a form error."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(encoder=ReadableJSON, **kwargs)

    def to_python(self, value: Any) -> Any:
        try:
            document = super().to_python(value)
            if "\\u0000" in json.dumps(document, allow_nan=False):
                raise ValidationError("Null characters are not allowed.", code="null")
        except (RecursionError, ValueError) as error:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from error
        return document

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return super().bound_data(data, initial)
        except RecursionError:
            return InvalidJSONInput(data)
