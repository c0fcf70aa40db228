"""Admin actions that call a service: offered in the list and as a button on the row's page, after a
page that says what will happen and asks for the reason.

`save_model` would report success if the service refused, so no action uses it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.common.errors import DomainError
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.web.admin import BaseAdmin, acting
from apps.web.drafts import draft_accept
from apps.web.refusals import Refusal, refusal_of
from apps.web.tones import words_of

if TYPE_CHECKING:
    from apps.accounts.models import User

#: The most rows per action: each is a transaction of its own, and the user waits for the response.
MOST_SELECTED = 100


@dataclass(frozen=True)
class Line:
    """What a confirmation page says of a row, and the `stamp` that must be sent back: a decision is
    bound to what was seen. Without `label` the row's own is used."""

    note: str
    label: str = ""
    stamp: str = ""
    blocked: bool = False
    pk: str = ""


@dataclass(frozen=True)
class Given:
    """The arguments of an action besides its row: the request, the reason, the stamp that the page
    showed, and the whole form."""

    request: HttpRequest
    reason: str
    stamp: str
    form: forms.Form

    @property
    def by(self) -> "User":
        return acting(self.request)

    @property
    def asked(self) -> dict[str, Any]:
        """Return the arguments that every service action takes: by, via, reason."""
        return {"by": self.by, "via": "admin", "reason": self.reason}

    @property
    def asked_now(self) -> dict[str, Any]:
        """Return `asked` and as_of, for services that depend on time."""
        return {**self.asked, "as_of": timezone.now()}


@dataclass(frozen=True)
class Outcome:
    """The result for one row."""

    label: str
    done: str = ""
    refusal: Refusal | None = None


class ReasonForm(forms.Form):
    """The reason of an action."""

    reason = forms.CharField(
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text=_("The audit trail keeps it beside your name."),
    )


def reason_form(data: Any, rows: Sequence[Any]) -> forms.Form:
    """Return the form that asks only for the reason."""
    return ReasonForm(data)


def default_line(row: Any, request: HttpRequest) -> Line:
    """Return a line with the row's status."""
    return Line(note=state_note(words_of(getattr(row, "status", ""))))


def state_note(state: str, error: str | None = None) -> str:
    """Return a note of the state, in words, and of the last error if the row can have one (None: it
    cannot)."""
    if not state:
        return ""
    text = gettext("State: {state}.")
    if error is not None:
        text = (
            gettext("State: {state}. Last error: {error}")
            if error
            else gettext("State: {state}. There was no error.")
        )
    return text.format(state=state, error=(error or "")[:200])


@dataclass(frozen=True)
class Verb:
    """A Django admin action; made by `verb`."""

    run: Callable[[Any, Any, Given], str]
    name: str
    short_description: str
    permission: str
    title: str
    explanation: str
    button: str
    line: Callable[[Any, HttpRequest], Line]
    with_reason: bool
    form: Callable[[Any, Sequence[Any]], forms.Form]

    @property
    def __name__(self) -> str:  # Django reads it of every action
        return self.name

    def __call__(
        self, model_admin: BaseAdmin, request: HttpRequest, rows: "QuerySet[Any]"
    ) -> HttpResponse:
        """Show the confirmation page; when confirmed, the result per row. A refused row does not
        stop the others."""
        chosen = list(model_admin.verb_rows(request, rows)[: MOST_SELECTED + 1])
        if len(chosen) > MOST_SELECTED:
            model_admin.message_user(
                request,
                gettext("Choose at most {most_selected} rows. Nothing was done.").format(
                    most_selected=MOST_SELECTED
                ),
                messages.ERROR,
            )
            return HttpResponseRedirect(request.get_full_path())
        sent = request.POST.get("confirmed") == "yes"
        form = self.form(request.POST if sent else None, chosen)
        place = request.get_full_path()
        from_row = "_row" in request.POST and len(chosen) == 1
        context: dict[str, Any] = {
            **model_admin.admin_site.each_context(request),
            "title": self.title,
            "opts": model_admin.opts,
            "action": self.name,
            "place": place,
            "from_row": from_row,
            "back": row_url(model_admin, chosen[0]) if from_row else place,
        }
        if sent and (form.is_valid() or not self.with_reason):
            outcomes = [self._outcome(model_admin, row, request, form) for row in chosen]
            if any(outcome.refusal is None for outcome in outcomes):
                # If every row refused the reason, keep the draft.
                draft_accept(request)
            context["outcomes"] = outcomes
            return TemplateResponse(request, "admin/action_outcome.html", context)
        context |= {
            "explanation": self.explanation,
            "button": self.button,
            "lines": [self._line(row, request) for row in chosen],
            "form": form if self.with_reason else None,
            "draft_of": " ".join(sorted(str(row.pk) for row in chosen)),
            "media": model_admin.media,
        }
        status = 422 if sent else 200
        return TemplateResponse(request, "admin/action_confirm.html", context, status=status)

    def _line(self, row: Any, request: HttpRequest) -> Line:
        line = self.line(row, request)
        return replace(line, pk=str(row.pk), label=line.label or str(row))

    def _outcome(
        self, model_admin: BaseAdmin, row: Any, request: HttpRequest, form: forms.Form
    ) -> Outcome:
        reason = form.cleaned_data["reason"] if self.with_reason else ""
        given = Given(request, reason, request.POST.get(f"stamp-{row.pk}", ""), form)
        try:
            return Outcome(label=str(row), done=self.run(model_admin, row, given))
        except DomainError as error:
            return Outcome(label=str(row), refusal=refusal_of(error))


def verb(
    label: str,
    *,
    title: str,
    explanation: str,
    button: str,
    permission: str = "change",
    line: Callable[[Any, HttpRequest], Line] = default_line,
    with_reason: bool = True,
    form: Callable[[Any, Sequence[Any]], forms.Form] = reason_form,
) -> Callable[[Callable[[Any, Any, Given], str]], Verb]:
    """Make a method of a ModelAdmin an action, to be listed in its `actions`.

    The method takes the row and a `Given`, calls one service and says in a sentence what happened;
    a DomainError is shown as the row's result. `permission` is checked by `granted`. `line` says
    beforehand what will happen to a row. `form` makes a form that asks for more than the reason,
    from the submitted data (None: none yet) and the rows. The class's `verb_rows` limits the rows
    that may be selected.
    """

    def made(run: Callable[[Any, Any, Given], str]) -> Verb:
        return Verb(
            run=run,
            name=run.__name__,
            short_description=filled("{label}…", label=label),
            permission=permission,
            title=title,
            explanation=explanation,
            button=button,
            line=line,
            with_reason=with_reason,
            form=form,
        )

    return made


def row_url(model_admin: BaseAdmin, row: Any) -> str:
    """Return the URL of the row's admin page."""
    opts = model_admin.opts
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])
