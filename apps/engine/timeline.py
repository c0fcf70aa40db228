"""The timeline of a record: users' decisions, and what workflows did for them.

One list of both, newest first, in pages of MOST_ENTRIES entries. When Temporal does not answer, the
list has the decisions only.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from django.utils.translation import gettext

from apps.accounts.models import User
from apps.audit.contracts import Outcome
from apps.audit.selectors import entries_about
from apps.common.breaker import Breaker
from apps.common.identifiers import number_of
from apps.common.language import lazy as _
from apps.common.registry import Registry
from apps.engine import reads
from apps.web.links import temporal_url
from apps.web.tones import has_words, words_of

if TYPE_CHECKING:
    from apps.audit.models import AuditEntry

MOST_ENTRIES = 100
MOST_EVENTS = 100
#: After Temporal failed to answer, pages leave it out for this time: a live page updates at every
#: change and must not wait for the deadline each time.
QUIET_SECONDS = 5.0

A = TypeVar("A", bound=reads.Answer)

#: An action in words; braces are filled from the entry's body. Or a function of the body and the
#: actor that returns them, for an action with two meanings.
Wording = str | Callable[[dict[str, Any], str], str]

#: Workflow events that say nothing about the record.
_HOUSEKEEPING = ("workflow_task_", "marker_recorded", "upsert_workflow_", "timer_canceled")

_WORDS = {
    "workflow_execution_started": _("Workflow started"),
    "workflow_execution_completed": _("Workflow ended"),
    "workflow_execution_failed": _("Workflow failed"),
    "workflow_execution_timed_out": _("Workflow timed out"),
    "workflow_execution_terminated": _("Workflow terminated"),
    "workflow_execution_canceled": _("Workflow cancelled"),
    "workflow_execution_cancel_requested": _("Cancellation asked for"),
    "workflow_execution_signaled": _("Signal received"),
    "start_child_workflow_execution_initiated": _("Child workflow asked for"),
    "child_workflow_execution_started": _("Child workflow started"),
    "child_workflow_execution_completed": _("Child workflow ended"),
    "child_workflow_execution_failed": _("Child workflow failed"),
    "activity_task_scheduled": _("Step handed out"),
    "activity_task_started": _("Step started"),
    "activity_task_completed": _("Step done"),
    "activity_task_failed": _("Step failed"),
    "activity_task_timed_out": _("Step timed out"),
    "timer_started": _("Timer set"),
    "timer_fired": _("Timer fired"),
}

#: Words of audited actions, words of refused actions, and the members of a body that name a user or
#: a group.
_actions = Registry[Wording]("wording of the action")
_refused = Registry[str]("wording of the refused action")
_people = Registry[str]("member that names a person")


def register_words(
    actions: Mapping[str, Wording],
    *,
    tried: Mapping[str, str] | None = None,
    people: Iterable[str] = (),
) -> None:
    """Register words of audited actions; an action without words is shown by its name.

    `tried` are the words of refused actions. `people` are members of bodies that hold a user or a
    group, shown by name. Raises ImproperlyConfigured when an action has other words already.
    """
    for action, wording in actions.items():
        _actions.add(action, wording)
    for action, text in (tried or {}).items():
        _refused.add(action, text)
    for member in people:
        _people.add(member, member)


MOST_DETAIL = 400
MOST_EXCERPT = 120


@dataclass(frozen=True)
class Line:
    """One event. `source` is business or engine."""

    at: datetime
    text: str
    who: str = ""
    via: str = ""
    detail: str = ""
    refused: bool = False
    source: str = "business"


@dataclass(frozen=True)
class Day:
    """The lines of one day in UTC; `at` is the newest line's time."""

    at: datetime
    lines: list[Line]

    @property
    def only_events(self) -> bool:
        """Return whether nothing but Temporal's events happened."""
        return all(line.source == "engine" for line in self.lines)


@dataclass(frozen=True)
class Timeline:
    """Lines, newest first. `degraded`: Temporal did not answer.

    `cut`: older lines were left out that no further page has. `older`: where the next page begins,
    None on the last one; `later`: where this page begins, None on the first. `links` are ids and
    addresses of the workflows in the Temporal UI, if one is configured.
    """

    lines: list[Line]
    degraded: bool
    cut: bool
    links: tuple[tuple[str, str], ...] = ()
    older: int | None = None
    later: int | None = None

    @property
    def days(self) -> list[Day]:
        """Return the lines by day, for a page without scripts."""
        days = groupby(self.lines, key=lambda line: line.at.astimezone(UTC).date())
        by_day = [list(lines) for _, lines in days]
        return [Day(lines[0].at, lines) for lines in by_day]

    @property
    def events(self) -> int:
        """Return the number of Temporal's events."""
        return sum(line.source == "engine" for line in self.lines)

    @property
    def only_events(self) -> bool:
        """Return whether nothing but Temporal's events happened."""
        return self.events == len(self.lines)


_breaker = Breaker(QUIET_SECONDS)


def ask_engine(question: Callable[[], A]) -> A | None:
    """Return Temporal's answer, or None if it does not answer now or did not a moment ago."""
    if _breaker.is_open():
        return None
    answer = question()
    if not answer.available:
        _breaker.trip()
        return None
    return answer


def timeline(
    *, subjects: list[tuple[str, str]], workflow_ids: list[str], older: str | None = None
) -> Timeline:
    """Return the newest lines about these (type, id) subjects and these workflows.

    `older` is `Timeline.older` of the page before, as it came in an address; what is no such value
    gives the first page. None: the caller has no further pages. Temporal's events are those
    between the page's first and last entry.
    """
    before = number_of(older or "", digits=18)
    found: list[AuditEntry] = []
    # One query per subject: each reads the index on (type, id, -id).
    for subject_type, subject_id in subjects:
        rows = entries_about((subject_type, subject_id))
        if before is not None:
            rows = rows.filter(pk__lt=before)
        found += rows[: MOST_ENTRIES + 1]
    found.sort(key=lambda entry: entry.pk, reverse=True)
    entries, left_out = found[:MOST_ENTRIES], len(found) > MOST_ENTRIES
    engine = [engine_lines(workflow_id) for workflow_id in workflow_ids]
    events = [line for part in engine for line in part.lines]
    if left_out:
        events = [line for line in events if line.at >= entries[-1].at]
    if before is not None:
        until = entries_about(*subjects).filter(pk=before).values_list("at", flat=True).first()
        events = [line for line in events if until is None or line.at < until]
    lines = [*told(entries), *events]
    lines.sort(key=lambda line: line.at, reverse=True)
    return Timeline(
        lines=lines,
        degraded=any(part.degraded for part in engine),
        cut=any(part.cut for part in engine) or (left_out and older is None),
        links=tuple(link for part in engine for link in part.links),
        older=entries[-1].pk if left_out and older is not None else None,
        later=before,
    )


def told(entries: "list[AuditEntry]") -> list[Line]:
    """Describe the entries in words, in order; one query for the names in them."""
    names = _names(entries)
    return [_told(entry, names) for entry in entries]


def engine_lines(workflow_id: str) -> Timeline:
    """Return the newest events of one workflow, newest first; none for an empty id."""
    if not workflow_id:
        return Timeline(lines=[], degraded=False, cut=False)
    history = ask_engine(partial(reads.history_events, workflow_id, MOST_EVENTS))
    events = history.events if history else []
    lines = [_event(event) for event in events if _worth_telling(event)]
    lines.sort(key=lambda line: line.at, reverse=True)
    return Timeline(
        lines=lines,
        degraded=history is None,
        cut=bool(history and history.truncated),
        links=((workflow_id, url),) if (url := temporal_url(workflow_id)) else (),
    )


def _told(entry: "AuditEntry", names: dict[str, str]) -> Line:
    body = entry.body if isinstance(entry.body, dict) else {}
    refused = entry.outcome == Outcome.REFUSED
    return Line(
        at=entry.at,
        text=_tried(entry) if refused else _done(entry, body, names),
        who=entry.actor_label,
        via=entry.via,
        detail=_text(body.get("detail")) if refused else _detail(body),
        refused=refused,
    )


def _done(entry: "AuditEntry", body: dict[str, Any], names: dict[str, str]) -> str:
    wording = _actions.get(entry.action)
    if wording is None:
        return _plain(entry.action)
    if callable(wording):
        wording = wording(body, entry.actor_id)
    # A body can be erased: its values are then left out, never guessed.
    texts = {key: _text(value) for key, value in body.items()}
    for key in filter(_people.get, body):
        texts[key] = names.get(texts[key], texts[key].removeprefix("group:"))
    text = wording.format_map(_Gaps(texts)).strip()
    authority = body.get("authority")
    if authority and authority != entry.actor_id:
        text = gettext("{what} on behalf of {authority}").format(
            what=text, authority=texts["authority"]
        )
    return text


def _tried(entry: "AuditEntry") -> str:
    return _refused.get(entry.action) or _plain(entry.action)


def _detail(body: dict[str, Any]) -> str:
    parts = [_said(body.get(key)) for key in ("reason", "note", "detail")]
    # The request's page shows the whole comment: an excerpt is enough here.
    parts.append(_cut(_text(body.get("text")), MOST_EXCERPT))
    for change in body.get("difference") or []:
        if isinstance(change, dict):
            field = _text(change.get("field")).replace("_", " ")
            parts.append(f"{field}: {_text(change.get('was'))} → {_text(change.get('now'))}")
    return _cut(" · ".join(part for part in parts if part), MOST_DETAIL)


def _said(value: object) -> str:
    """Return the text; a coded reason in its words."""
    text = _text(value)
    return str(words_of(text)) if text.isupper() and has_words(text) else text


def _cut(told: str, most: int) -> str:
    return told if len(told) <= most else told[: most - 1] + "…"


def _plain(action: str) -> str:
    return action.replace(".", ": ").replace("_", " ").replace("-", " ").capitalize()


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _names(entries: "list[AuditEntry]") -> dict[str, str]:
    """Return the names of users in the bodies, by their ids in entries; one query."""
    ids: set[int] = set()
    for entry in entries:
        body = entry.body if isinstance(entry.body, dict) else {}
        for key in filter(_people.get, body):
            kind, _, number = _text(body[key]).partition(":")
            # The entry has the actor's own name already.
            if kind == "user" and number.isdecimal() and body[key] != entry.actor_id:
                ids.add(int(number))
    if not ids:
        return {}
    return {person.audit_id: str(person) for person in User.objects.filter(pk__in=ids)}


class _Gaps(dict[str, str]):
    """Replaces values that a body no longer has by a dash."""

    def __missing__(self, key: str) -> str:
        return "–"


def _worth_telling(event: reads.Event) -> bool:
    return not event.kind.startswith(_HOUSEKEEPING)


def _event(event: reads.Event) -> Line:
    text = _WORDS.get(event.kind) or event.kind.replace("_", " ").capitalize()
    # A timer's only name is its number in the workflow.
    named = event.detail and not event.kind.startswith("timer_")
    return Line(
        at=event.at,
        text=f"{text}: {event.detail}" if named else text,
        source="engine",
    )
