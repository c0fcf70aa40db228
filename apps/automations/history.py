"""What happened to an execution and to its nodes, in words."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.automations.contracts import NodeType, Outcome
from apps.automations.models import Execution, ExecutionEvent
from apps.automations.services.rows import Graph
from apps.common.dates import moment_words
from apps.common.identifiers import uuid_of
from apps.common.language import lazy as _
from apps.web.lists import numbered
from apps.web.tones import words_of

#: Lines of a page of the history, which stands beside the rest.
PAGE_SIZE = 20
WORDS = {
    "execution_requested": _("Asked for"),
    "execution_resumed": _("Resumed"),
    "execution_completed": _("Completed"),
    "execution_failed": _("Failed"),
    "execution_cancelled": _("Cancelled"),
    "attempt_begun": _("Another attempt has begun"),
    "node_pending": _("To run again"),
    "node_started": _("Try begun"),
    "try_failed": _("Try failed"),
    "node_waiting": _("Waits"),
    "node_completed": _("Completed"),
    "node_failed": _("Failed"),
    "node_skipped": _("Skipped: no edge to it was taken"),
    "node_blocked": _("Blocked: a node before it failed"),
    "node_cancelled": _("Cancelled"),
    "node_taken_over": _("Taken over, with what it gave"),
}
OUTCOMES = {
    Outcome.TRUE: _("true"),
    Outcome.FALSE: _("false"),
    Outcome.APPROVED: _("approved"),
    Outcome.REJECTED: _("rejected"),
    Outcome.ERROR: _("error"),
}


@dataclass(frozen=True)
class Happened:
    """A line of a history. `node`: the id of the node, whose page is at `href`."""

    at: datetime
    text: str
    detail: str = ""
    node: str = ""
    href: str = ""

    @property
    def day(self) -> date:
        """Return the day in UTC, for a page without scripts."""
        return self.at.astimezone(UTC).date()


def history_of(
    request: HttpRequest, execution: Execution, graph: Graph, *, place: int | None = None
) -> dict[str, Any]:
    """Return what `automations/_history.html` shows, newest first: of the whole execution, or of
    the node at this place."""
    rows: QuerySet[ExecutionEvent] = ExecutionEvent.objects.filter(execution=execution)
    if place is not None:
        rows = rows.filter(node_id=graph.ids[place])
    found = numbered(request, rows, parameter="before", order="-id", digits=18, limit=PAGE_SIZE)
    page = reverse("execution", args=[execution.pk])
    lines = [_line(one, graph, page, named=place is None) for one in found["items"]]
    return {
        "lines": lines,
        "next_before": found["next"],
        "later_page": found["later_page"],
        "place": page if place is None else f"{page}nodes/{place}/",
    }


def _line(event: ExecutionEvent, graph: Graph, page: str, *, named: bool) -> Happened:
    place = graph.places.get(event.node_id) if event.node_id else None
    there = named and place is not None
    return Happened(
        at=event.at,
        text=str(WORDS.get(event.event) or words_of(event.event)),
        detail=_detail(event, graph.type(place) if place is not None else None),
        node=event.node_id if there else "",
        href=f"{page}nodes/{place}/" if there else "",
    )


def _detail(event: ExecutionEvent, type: NodeType | None) -> str:
    """Return the rest of what is kept of the event, in words."""
    kept = event.detail
    match event.event:
        case "node_started":
            return gettext("number {number}").format(number=kept)
        case "attempt_begun":
            return gettext("attempt {number} of the run").format(number=kept)
        case "node_waiting" if type is NodeType.APPROVAL or uuid_of(kept):
            return gettext("for a signature")
        case "node_waiting":
            return _until(kept)
        case "node_completed" if kept in OUTCOMES:
            return str(OUTCOMES[Outcome(kept)])
        case "node_failed" | "node_blocked" | "execution_failed":
            return words_of(kept) if kept else ""
        case "try_failed":
            return kept.partition(": ")[2] or words_of(kept)
        case "execution_resumed":
            return gettext("by {person}").format(person=kept) if kept else ""
        case "node_taken_over":
            return gettext("from {execution}").format(execution=kept)
    return ""


def _until(kept: str) -> str:
    try:
        at = datetime.fromisoformat(kept)
    except ValueError:
        return ""
    return gettext("until {moment}").format(moment=moment_words(at))
