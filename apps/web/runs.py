"""Pages of runs with items: progress, actions, items, and the file of failed items.

A run is a row that works through numbered items (`row.items`, each with a `status`). A domain
declares one `RunPages` with its rows, texts and actions, and a template that extends
`web/run.html`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from apps.common.csvio import FORMATS, export
from apps.common.identifiers import short
from apps.common.language import lazy as _
from apps.web.denied import row_of
from apps.web.downloads import attachment
from apps.web.drafts import draft_keep
from apps.web.fragments import fragment, person
from apps.web.links import temporal_url_for
from apps.web.lists import numbered
from apps.web.pieces import Head, Link, Note
from apps.web.tables import Column, Table, table
from apps.web.tones import sentence_of
from apps.web.verbs import ReasonForm, call_verb

if TYPE_CHECKING:
    from apps.accounts.models import User

R = TypeVar("R", bound=Model)
#: How many items have which status; the order has no meaning.
Counts = Mapping[str, int]

DONE, FAILED = "done", "failed"
#: Statuses that do not change any more.
ENDS = (DONE, FAILED, "cancelled")


@dataclass(frozen=True)
class Bar:
    """A run's progress: two sections in percent of the total, and their names."""

    total: int
    done: int
    failed: int
    ended: int
    #: What has happened to the counted items, how far it is, and what became of them.
    label: str
    heading: str
    text: str

    @property
    def done_width(self) -> str:
        """Return the width of the done section, where the failed one begins."""
        return f"{100 * self.done / max(self.total, 1):.2f}%"

    @property
    def failed_width(self) -> str:
        """Return the width of the failed section, which follows the done one."""
        return f"{100 * self.failed / max(self.total, 1):.2f}%"

    @property
    def percent(self) -> int:
        """Return the percentage of items that have ended."""
        return 100 * self.ended // max(self.total, 1)


@dataclass(frozen=True)
class Progress:
    """The sentences of a bar: what has happened to the counted items, how far it is, and what
    became of them. The last two may name `{total}`, `{ended}`, `{done}` and `{failed}`."""

    label: str = _("Ended")
    heading: str = _("{ended} of {total} ended")
    text: str = _("{done} executed, {failed} failed of {total}")


def bar_of(counts: Counts, progress: Progress) -> Bar:
    """Return the bar of a run with these counts."""
    total, done, failed = sum(counts.values()), counts.get(DONE, 0), counts.get(FAILED, 0)
    ended = sum(counts.get(status, 0) for status in ENDS)
    figures = {"total": total, "done": done, "failed": failed, "ended": ended}
    return Bar(
        **figures,
        label=progress.label,
        heading=progress.heading.format_map(figures),
        text=progress.text.format_map(figures),
    )


@dataclass(frozen=True)
class Tab:
    """A tab of items, by `?show=key`. `empty`: the text when there are none."""

    key: str
    title: str
    statuses: tuple[str, ...]
    empty: str


@dataclass(frozen=True)
class RunVerb:
    """An action of a user on a run: `call` is the service, which takes the run's id first, `said`
    the message when it is done.

    `button` and `help` may name counts, such as `{waiting}`. `plain`: it ends nothing. Without
    `title` it is only a button, without a reason.
    """

    call: Callable[..., object]
    said: str
    button: str
    title: str = ""
    help: str = ""
    plain: bool = False
    open: bool = False

    def shown(self, key: str, address: str, counts: Counts) -> dict[str, Any]:
        """Return the context of the action's box or button on the page at `address`."""
        return {
            "key": key,
            "title": self.title,
            "button": self.button.format_map(counts),
            "help": self.help.format_map(counts),
            "tone": "plain" if self.plain else "",
            "open": self.open,
            "action": f"{address}{key}/",
        }


@dataclass(frozen=True)
class RunNow:
    """The current state of a run. `head` of its page; `over`: it has ended; `moves`: it still
    changes by itself; `verbs`: the actions that this user may take."""

    head: Head
    over: bool
    moves: bool
    verbs: Sequence[str]
    #: Further context of the domain's own template blocks.
    more: Mapping[str, Any] = field(default_factory=dict)


def usual_verbs(
    *,
    pause: Callable[..., object],
    resume: Callable[..., object],
    cancel: Callable[..., object],
    button: str,
    help: str,
    said: str,
) -> dict[str, RunVerb]:
    """Return the three actions of a run that can be paused; `button`, `help` and `said` are the
    texts of the cancellation, and say what remains after it."""
    return {
        "pause": RunVerb(
            pause,
            said=_("Paused. What is under way ends; nothing further is begun."),
            title=_("Pause it"),
            button=_("Pause"),
            help=_(
                "May be empty. What is under way ends; nothing further is begun until "
                "somebody resumes it."
            ),
            plain=True,
        ),
        "resume": RunVerb(
            resume,
            said=_("It goes on with what was left."),
            title=_("Resume it"),
            button=_("Resume"),
            help=_("May be empty. It goes on with the {waiting} that wait."),
            plain=True,
            open=True,
        ),
        "cancel": RunVerb(
            cancel,
            said=said,
            title=_("Cancel it"),
            button=button,
            help=help,
        ),
    }


@dataclass(frozen=True)
class RunPages(Generic[R]):
    """The pages of one kind of run.

    `name` is the base of the URL names (`name`, `name_live`, `name_act`, `name_failed_csv`), and
    the row's name in the template.
    """

    name: str
    topic: str
    template: str
    rows: Callable[["User"], "QuerySet[R]"]
    counts: Callable[[Sequence[R]], Mapping[UUID, Counts]]
    now: Callable[[R, Counts, "User"], RunNow]
    verbs: Mapping[str, RunVerb]
    tabs: Sequence[Tab]
    #: The legend: each item status and its text, in this order.
    words: Mapping[str, str]
    #: Columns of the table of items, and what the table is called.
    item_columns: Sequence[Column]
    items_title: str
    #: Columns of the file of failed items, and its lines.
    columns: Sequence[str]
    failures: Callable[[R], Iterator[Mapping[str, Any]]]
    #: The URL of an item's page, if it has one, and what changes when the item does.
    item_to: Callable[[Any], str] = lambda _item: ""
    item_version: Callable[[Any], object] = lambda item: f"{item.status}-{item.error_code}"
    progress: Progress = Progress()
    related: Sequence[str] = ()
    #: Context of the page that its fragment does not read again.
    once: Callable[[R, "User"], Mapping[str, Any]] = lambda _run, _user: {}

    def paths(self, address: str) -> list[URLPattern]:
        """Return the URLs of one run, below `address`."""
        base = f"{address}<uuid:run_id>/"
        return [
            path(base, login_required(require_GET(self.page)), name=self.name),
            path(f"{base}live/", fragment(require_GET(self.live)), name=f"{self.name}_live"),
            path(
                f"{base}failed.csv",
                login_required(require_GET(self.failed_csv)),
                name=f"{self.name}_failed_csv",
            ),
            path(
                f"{base}<slug:verb>/",
                login_required(require_POST(self.act)),
                name=f"{self.name}_act",
            ),
        ]

    def page(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Show the progress and the items."""
        run = self.get(request, run_id)
        context = {**self._context(request, run), **self.once(run, person(request))}
        return render(request, self.template, {**context, "layout": "console/base.html"})

    def live(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Show the current parts of the page."""
        context = self._context(request, self.get(request, run_id))
        return render(request, self.template, {**context, "layout": "web/_fragment.html"})

    def act(self, request: HttpRequest, run_id: UUID, verb: str) -> HttpResponse:
        """Call the action, then show the page again. A refusal keeps the input."""
        if verb not in self.verbs:
            raise Http404
        chosen = self.verbs[verb]
        form = ReasonForm(request.POST) if chosen.title else forms.Form(request.POST)
        outcome = call_verb(request, form, chosen.call, run_id)
        if outcome.done:
            messages.success(request, chosen.said)
        elif outcome.refusal is None:
            self.get(request, run_id)
            messages.warning(
                request, gettext("Nothing was changed. The reason is too long, or no text.")
            )
        else:
            messages.warning(
                request, gettext("Nothing was changed. {what}").format(what=outcome.refusal.what)
            )
        if not outcome.done:
            draft_keep(request)
        return redirect(self.name, run_id)

    def failed_csv(self, request: HttpRequest, run_id: UUID) -> HttpResponseBase:
        """Send the failed items with their errors as a file, generated while it is sent."""
        run = self.get(request, run_id)
        return attachment(
            request,
            export(self.failures(run), self.columns, for_spreadsheets=True),
            name=f"failed-{short(run.pk)}.csv",
            content_type=FORMATS["csv"],
        )

    def get(self, request: HttpRequest, run_id: UUID) -> R:
        """Return the run. Raises Http404, also when this user may not see it."""
        return row_of(self.rows(person(request)), pk=run_id)

    def complete(self, runs: Sequence[R]) -> None:
        """Set `bar` on each run, for the rows of a list with RUN_COLUMNS."""
        counts = self.counts(runs)
        for run in runs:
            run.bar = self.bar(counts[run.pk])  # type: ignore[attr-defined]

    def bar(self, counts: Counts) -> Bar:
        """Return the bar with this domain's sentences."""
        return bar_of(counts, self.progress)

    # --- helpers ----------------------------------------------------------------------------------
    def _context(self, request: HttpRequest, run: R) -> dict[str, Any]:
        counts = self.counts([run])[run.pk]
        now = self.now(run, counts, person(request))
        show = request.GET.get("show", "")
        tab = next((one for one in self.tabs if one.key == show), self.tabs[0])
        items = run.items.select_related(*self.related)  # type: ignore[attr-defined]
        if tab.statuses:
            items = items.filter(status__in=tab.statuses)
        found = numbered(request, items, parameter="after")
        bar = self.bar(counts)
        address = reverse(self.name, args=[run.pk])
        return {
            self.name: run,
            "name": self.name,
            "run": run,
            "topics": f"{self.topic}:{run.pk}",
            "live_name": f"{self.name}_live",
            "head": _completed(now.head, run, person(request), over=now.over),
            "moves": now.moves,
            "bar": bar,
            "legend": [
                (word, counts.get(status, 0), status)
                for status, word in self.words.items()
                if counts.get(status) or status in (DONE, FAILED)
            ],
            "tab": tab,
            "tabs": list(self._tabs(counts, bar.total, tab)),
            "table": self._table(request, found["items"], address),
            "next_after": found["next"],
            "later_page": found["later_page"],
            "verbs": [self.verbs[key].shown(key, address, counts) for key in now.verbs],
            "address": address,
            "query": request.GET.urlencode(),
            **now.more,
        }

    def _table(self, request: HttpRequest, items: list[Any], address: str) -> Table:
        return table(
            request,
            items,
            self.item_columns,
            id=f"{self.name}-items",
            caption=self.items_title,
            order="",
            default="",
            address=address,
            to=self.item_to,
            version=self.item_version,
        )

    def _tabs(self, counts: Counts, total: int, current: Tab) -> Iterator[tuple[Tab, int]]:
        """Yield the tabs with items, the current tab, and the tab of all items."""
        for tab in self.tabs:
            statuses = tab.statuses or tuple(counts)
            number = sum(counts.get(status, 0) for status in statuses)
            if number or tab == current or not tab.statuses:
                yield tab, number


def _completed(head: Head, run: Any, user: "User", *, over: bool) -> Head:
    """Return the head with a link to the workflow, and the error with which it stopped or ended."""
    engine = temporal_url_for(user, run.workflow_id)
    links = (Link(gettext("Temporal UI"), engine, outside=True),) if engine else ()
    if run.error_code:
        what = sentence_of(run.error_code)
        head = replace(head, note=Note(what, run.error_detail, tone="bad" if over else "warn"))
    return replace(head, links=(*head.links, *links))
