"""Pages of one row, and pages with the form for a new one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from apps.common.language import lazy as _
from apps.web.denied import row_of
from apps.web.fragments import fragment, let_in, person, seen_with
from apps.web.pieces import Head, Link
from apps.web.verbs import Outcome, ReasonForm, call_verb

if TYPE_CHECKING:
    from apps.accounts.models import User

SAFE = ("GET", "HEAD")


@dataclass(frozen=True, kw_only=True)
class FormPage:
    """A form for a new row. Submitting it twice asks once, and a refusal keeps the input.

    `name`: of its URL. `draft`: the name of the browser's draft. `verb`: the service; it takes the
    form's fields and returns the row, and whether it is new. `to`: URL name of the row's page.
    `asked`: the message there when the row is new. `initial`: the GET parameter that prefills each
    field. Without `permission` it is a 403, audited as `action` of `subject_type`. `trial` is
    called instead of `verb` unless the form was sent with its button `send`: it returns what
    `template` shows as the preview. `known` says above the fields what the form is about, as far as
    the user may see it; it may hide the field that names it. `button`: the text of the one that
    sends the form.
    """

    name: str
    title: str
    lead: str
    crumbs: tuple[Link, ...]
    form: type[forms.Form]
    verb: Callable[..., tuple[Any, bool]]
    to: str
    asked: str
    draft: str
    permission: str
    action: str
    subject_type: str
    initial: Mapping[str, str] = field(default_factory=dict)
    trial: Callable[..., Mapping[str, Any]] | None = None
    known: "Callable[[User, forms.Form], str] | None" = None
    button: str = _("Ask")
    template: str = "web/form_page.html"

    def page(self, request: HttpRequest) -> HttpResponse:
        """Show the empty form, or handle a submitted one."""
        let_in(request, self.permission, action=self.action, subject_type=self.subject_type)
        if request.method in SAFE:
            initial = {field: request.GET.get(name, "") for field, name in self.initial.items()}
            return self._shown(request, self.form(initial=initial), Outcome())
        form = self.form(request.POST, request.FILES)
        if self.trial and "send" not in request.POST:
            return self._shown(request, form, call_verb(request, form, self.trial))
        outcome = call_verb(request, form, self.verb)
        if not outcome.done:
            return self._shown(request, form, outcome)
        row, created = outcome.result
        if created:
            messages.success(request, self.asked)
        else:
            messages.info(
                request,
                gettext("You had sent this form before; this is what it made. Nothing new."),
            )
        return redirect(self.to, row.pk)

    def urls(self, route: str) -> list[URLPattern]:
        """Return its URL."""
        view = login_required(require_http_methods([*SAFE, "POST"])(self.page))
        return [path(route, view, name=self.name)]

    def _shown(self, request: HttpRequest, form: forms.Form, outcome: Outcome) -> HttpResponse:
        context = {
            "head": Head(self.title, self.lead, crumbs=self.crumbs),
            "back": self.crumbs[-1].href,
            "button": self.button,
            "draft": self.draft,
            "form": form,
            "known": self.known(person(request), form) if self.known else "",
            "refusal": outcome.refusal,
            **(outcome.result or {}),
        }
        return render(request, self.template, context, status=outcome.status)


@dataclass(frozen=True, kw_only=True)
class PageVerb:
    """The action of a row's page, with a reason. `row_id`: the service's name for the row's id;
    `not_done` and `said` are the messages if it was not done, and if it was. `title`,
    `label` (of the reason) and `help` are texts of its box, which `web/_page_verb.html` draws."""

    call: Callable[..., Any]
    row_id: str
    not_done: str
    said: str
    title: str
    help: str
    label: str = _("Reason")
    name: str = "cancel"
    form: type[forms.Form] = ReasonForm

    @property
    def required(self) -> bool:
        """Return whether a reason is required."""
        return bool(self.form.base_fields["reason"].required)


@dataclass(frozen=True, kw_only=True)
class DetailPage:
    """One row in parts, and the fragment with the current parts.

    `name`: of its URL; the fragment's is `<name>_live`. `rows`: those that a user may see; the URL
    has the value of `column` of one of them, the first where several match. `context` returns what
    the parts show: `head`, `topics`, on which changes are announced, and `may_call`, whether the
    user may call the action now. `above`, which is as wide as the page, `main`, `side` and `after`
    are templates, each of one or more elements with data-merge. `template` may draw them
    differently, with what `whole` adds for it. `poll_seconds`: the parts are fetched this often as
    well, for what nobody announces; 0: never. Without `permission` the page is a 403, and the
    fragment a 404.
    """

    name: str
    rows: "Callable[[User], QuerySet[Any]]"
    context: Callable[[HttpRequest, Any], dict[str, Any]]
    main: tuple[str, ...]
    above: tuple[str, ...] = ()
    column: str = "pk"
    side: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    verb: PageVerb | None = None
    poll_seconds: int = 0
    permission: str = ""
    template: str = "web/detail.html"
    whole: Callable[[HttpRequest, Any], dict[str, Any]] | None = None

    def page(self, request: HttpRequest, key: Any) -> HttpResponse:
        """Show the whole page; POST calls the action."""
        let_in(request, self.permission)
        row = self._get(request, key)
        outcome, form = Outcome(), None
        if self.verb:
            form = self.verb.form(request.POST or None)
            if request.method == "POST":
                outcome = call_verb(request, form, self.verb.call, **{self.verb.row_id: row.pk})
                if outcome.done:
                    messages.success(request, self.verb.said)
                    return redirect(request.path)
                row = self._get(request, key)
        context = {
            **self._context(request, row, key),
            **(self.whole(request, row) if self.whole else {}),
            "form": form,
            "refusal": outcome.refusal,
        }
        return render(request, self.template, context, status=outcome.status)

    def live(self, request: HttpRequest, key: Any) -> HttpResponse:
        """Show the current parts."""
        seen_with(request, self.permission)
        context = self._context(request, self._get(request, key), key)
        return render(request, "web/_detail_live.html", context)

    def urls(self, route: str) -> list[URLPattern]:
        """Return both URLs; the route names the `key` of a row."""
        methods = [*SAFE, "POST"] if self.verb else [*SAFE]
        shown = login_required(require_http_methods(methods)(self.page))
        part = fragment(require_http_methods(["GET"])(self.live))
        return [
            path(route, shown, name=self.name),
            path(f"{route}live/", part, name=f"{self.name}_live"),
        ]

    def _get(self, request: HttpRequest, key: Any) -> Any:
        return row_of(self.rows(person(request)), **{self.column: key})

    def _context(self, request: HttpRequest, row: Any, key: Any) -> dict[str, Any]:
        # The open page's key and query string, for the fragment's URL.
        place = {"page": self, "key": key, "query": request.GET.urlencode()}
        return {**place, **self.context(request, row)}
