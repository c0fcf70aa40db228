"""Actions of a row's page, several of them, each with a required reason and an address of its own.

The page shows those that the row's state allows and the user may take; the service decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from apps.web.denied import row_of
from apps.web.drafts import draft_keep
from apps.web.fragments import let_in, person
from apps.web.verbs import RequiredReasonForm, call_verb

if TYPE_CHECKING:
    from apps.accounts.models import User


@dataclass(frozen=True, kw_only=True)
class RowVerb:
    """An action. `call(key, form's fields, by, via)` is the service; `said`: the message when it is
    done; `help`: what happens. Without `permission` it is not shown, and sending it is a 403,
    audited as `action`. `applies(row)`: whether the row's state allows it. `stamp(row)`: what the
    page showed, sent back in the field `seen` of `form`. `plain`: it ends nothing. `choice`: the
    field of `form` that is chosen from a list. `label`: of the text, if it is no reason. `own`: who
    asked for the row may take it too.
    """

    call: Callable[..., Any]
    title: str
    button: str
    help: str
    said: str
    permission: str
    action: str
    applies: Callable[[Any], bool]
    stamp: Callable[[Any], str] = lambda row: ""
    form: type[forms.Form] = RequiredReasonForm
    plain: bool = False
    choice: str = ""
    label: str = ""
    own: bool = False

    def is_offered(self, row: Any, user: "User") -> bool:
        """Return whether the user may take it now."""
        mine = self.own and row.requested_by_id == user.pk
        return self.applies(row) and (mine or user.has_perm(self.permission))


@dataclass(frozen=True, kw_only=True)
class RowVerbs:
    """The actions of one kind of row. `name`: the URL name of the row's page, which takes the value
    of `column`, its own or a relation's; that of its actions is `<name>_act`. `rows`: those that a
    user may see."""

    name: str
    rows: "Callable[[User], QuerySet[Any]]"
    verbs: Mapping[str, RowVerb]
    subject_type: str
    column: str = "pk"

    def urls(self, route: str) -> list[URLPattern]:
        """Return the URL of the actions; the route is that of the row's page."""
        view = login_required(require_POST(self.act))
        return [path(f"{route}<slug:verb>/", view, name=f"{self.name}_act")]

    def shown(self, row: Any, user: "User") -> list[dict[str, Any]]:
        """Return the boxes of the actions that the user may take now, for `web/_row_verbs.html`."""
        key = attrgetter(self.column.replace("__", "."))(row)
        return [
            {
                "key": name,
                "title": verb.title,
                "button": verb.button,
                "label": verb.label or _reason_label(verb),
                "help": verb.help,
                "tone": "plain" if verb.plain else "",
                "stamp": verb.stamp(row),
                "required": verb.form.base_fields["reason"].required,
                "choice": verb.form()[verb.choice] if verb.choice else None,
                "action": reverse(f"{self.name}_act", args=[key, name]),
            }
            for name, verb in self.verbs.items()
            if verb.is_offered(row, user)
        ]

    def act(self, request: HttpRequest, key: Any, verb: str) -> HttpResponse:
        """Call the service, then show the page again. A refusal keeps what was typed."""
        if verb not in self.verbs:
            raise Http404
        chosen, user = self.verbs[verb], person(request)
        rows, here = self.rows(user), {self.column: key}
        if not (chosen.own and rows.filter(**here, requested_by=user.pk).exists()):
            let_in(request, chosen.permission, action=chosen.action, subject_type=self.subject_type)
        row_of(rows, **here)
        form = chosen.form(request.POST)
        outcome = call_verb(request, form, _timeless(chosen.call), key)
        if outcome.done:
            messages.success(request, chosen.said)
        elif outcome.refusal is not None:
            refusal = outcome.refusal
            messages.warning(
                request,
                gettext("Nothing was changed. {what} {next_step}").format(
                    what=refusal.what, next_step=refusal.next_step
                ),
            )
        else:
            messages.warning(
                request, gettext("Nothing was changed. Give a reason of at most 2,000 characters.")
            )
        if not outcome.done:
            draft_keep(request)
        return redirect(self.name, key)


def _reason_label(verb: RowVerb) -> str:
    if verb.form.base_fields["reason"].required:
        return gettext("Reason")
    return gettext("Reason (optional)")


def _timeless(call: Callable[..., Any]) -> Callable[..., Any]:
    """The services behind these actions take the database's time."""

    def timeless(*row: Any, as_of: object, **given: Any) -> Any:
        return call(*row, **given)

    return timeless
