"""Admin forms that call a service, and show its refusal beside the input."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.forms.fields import InvalidJSONInput
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext

from apps.common.canonical_json import digest
from apps.common.errors import DomainError
from apps.common.language import lazy as _
from apps.web.admin import ReadOnlyAdmin, Tool
from apps.web.admin_verbs import row_url


# --- a form with a preview of its effect --------------------------------------------------------
@dataclass(frozen=True)
class FormPage:
    """A form of the list or of a row, at its own URL; made by `form_page`."""

    run: Callable[[Any, HttpRequest, Any, dict[str, Any]], Model]
    name: str
    label: str
    title: str
    button: str
    form: type[forms.Form]
    lines: Callable[[Any, dict[str, Any]], list[str]]
    of_row: bool

    def show(
        self, model_admin: "FormPagesAdmin", request: HttpRequest, object_id: str | None = None
    ) -> HttpResponse:
        """Show the form, then the preview, then call the service. The stamp ensures that only
        previewed input is executed."""
        model_admin.must_be_granted(request, "change" if self.of_row else "add")
        row = model_admin.get_object(request, object_id) if object_id else None
        if self.of_row and row is None:
            raise Http404
        title = self.title.format(row=row)
        form = self.form(request.POST if request.method == "POST" else None)
        context: dict[str, Any] = {}
        if request.method == "POST" and form.is_valid():
            data = form.cleaned_data
            stamp = digest(data)
            if request.POST.get("stamp") == stamp and "_run" in request.POST:
                try:
                    done = self.run(model_admin, request, row, data)
                except DomainError as error:
                    form.add_error(None, error.detail)
                else:
                    model_admin.message_user(
                        request,
                        gettext("Done: {title}.").format(title=title),
                    )
                    return HttpResponseRedirect(row_url(model_admin, done))
            else:
                context = {"lines": self.lines(row, data), "stamp": stamp}
        context |= {
            **model_admin.admin_site.each_context(request),
            "title": title,
            "opts": model_admin.opts,
            "form": form,
            "button": self.button,
        }
        status = 422 if form.errors else 200
        return TemplateResponse(request, "admin/verb_form.html", context, status=status)


def form_page(
    label: str,
    *,
    form: type[forms.Form],
    lines: Callable[[Any, dict[str, Any]], list[str]],
    button: str,
    title: str = "",
    of_row: bool = False,
) -> Callable[[Callable[[Any, HttpRequest, Any, dict[str, Any]], Model]], FormPage]:
    """Make a method of a `FormPagesAdmin` a form with a preview.

    The method takes the request, the row (None without `of_row`) and the form's data, calls one
    service and returns the row to go to; a DomainError is shown in the form. `lines(row, data)`
    says what will happen. It needs the permission to change rows, or without `of_row` to add them.
    `title` may name the row: `{row.name}`.
    """

    def made(run: Callable[[Any, HttpRequest, Any, dict[str, Any]], Model]) -> FormPage:
        return FormPage(run, run.__name__, label, title or label, button, form, lines, of_row)

    return made


class FormPagesAdmin(ReadOnlyAdmin):
    """Rows that only services write, with the forms made by `form_page`."""

    def _pages(self) -> list[FormPage]:
        every = (getattr(type(self), name) for name in dir(type(self)))
        return [one for one in every if isinstance(one, FormPage)]

    def _url_name(self, page: FormPage) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page.name}"

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                f"<path:object_id>/{page.name}/" if page.of_row else f"{page.name}/",
                self.admin_site.admin_view(partial(page.show, self)),
                name=self._url_name(page),
            )
            for page in self._pages()
        ] + super().get_urls()

    def tools(self, request: HttpRequest, pk: str | None) -> list[Tool]:
        return [
            Tool(page.label, reverse(f"admin:{self._url_name(page)}", args=[pk] if pk else []))
            for page in self._pages()
            if page.of_row == bool(pk) and self.granted(request, "change" if page.of_row else "add")
        ]


# --- rows that are created and changed by one form -----------------------------------------------
class ServiceFormAdmin(ReadOnlyAdmin):
    """A read-only list with a form whose saving calls a service and shows its refusal.

    Subclasses give `service_form` and `put(request, data)`, which returns the resulting row and may
    raise a DomainError; `initial_of(row)` if the form's fields are not the row's columns.
    """

    service_form: type[forms.Form]
    service_form_template = "admin/service_form.html"
    new_label = _("New")
    edit_label = _("Save as a new version")
    #: Who may create and who may change rows, as `granted` checks it.
    new_permission = "add"
    edit_permission = "change"

    def initial_of(self, row: Any) -> dict[str, Any]:
        """Return the form's initial values."""
        return {name: getattr(row, name) for name in self.service_form.base_fields}

    def form_of(self, row: Any) -> type[forms.Form]:
        """Return the form of this row, None for a new one; override where rows differ."""
        return self.service_form

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        """Call the service, in a transaction if it needs one."""
        raise NotImplementedError

    def preview(self, request: HttpRequest, data: dict[str, Any]) -> dict[str, Any] | None:
        """Return what to show of valid input before it is saved; None: save it."""
        return None

    def _url_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_put"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.put_view)
        return [
            path("put/", view, name=self._url_name()),
            path("<path:object_id>/put/", view, name=f"{self._url_name()}_from"),
            *super().get_urls(),
        ]

    def tools(self, request: HttpRequest, pk: str | None) -> list[Tool]:
        if not self.granted(request, self.edit_permission if pk else self.new_permission):
            return []
        if pk:
            url = reverse(f"admin:{self._url_name()}_from", args=[pk])
            return [Tool(self.edit_label, url)]
        return [Tool(self.new_label, reverse(f"admin:{self._url_name()}"))]

    def put_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """Show the form, empty or prefilled from a row; POST calls the service."""
        self.must_be_granted(request, self.edit_permission if object_id else self.new_permission)
        row = self.get_object(request, object_id) if object_id else None
        if object_id and row is None:
            raise Http404
        initial = self.initial_of(row) if row else {}
        form = self.form_of(row)(
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
                self.message_user(
                    request, gettext("Saved: {saved} is what applies now.").format(saved=saved)
                )
                return HttpResponseRedirect(row_url(self, saved))
        label = self.edit_label if row else self.new_label
        context = {
            **self.admin_site.each_context(request),
            "title": label,
            "subtitle": str(row) if row else None,
            "opts": self.opts,
            "form": form,
            "button": label if row else gettext("Save"),
            **(shown or {}),
        }
        status = 422 if request.method == "POST" and shown is None else 200
        return TemplateResponse(request, self.service_form_template, context, status=status)


class ReadableJSON(json.JSONEncoder):
    """Encodes JSON that people edit, one item a line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "indent": 2})


class ReadableJSONField(forms.JSONField):
    """JSON that people edit. Text that jsonb cannot store or that is not JSON is a form error."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(encoder=ReadableJSON, **kwargs)

    def to_python(self, value: Any) -> Any:
        try:
            document = super().to_python(value)
            if "\\u0000" in json.dumps(document, allow_nan=False):
                raise ValidationError(gettext("Null characters are not allowed."), code="null")
        except (RecursionError, ValueError) as error:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from error
        return document

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return super().bound_data(data, initial)
        except RecursionError:
            return InvalidJSONInput(data)
