"""How far an execution is: its bar, its graph in colours, and the table of its nodes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.automations.contracts import NodeStatus
from apps.automations.models import Execution
from apps.automations.node_lines import NodeLine, node_lines
from apps.automations.pictures import ICONS, Course, drawn
from apps.automations.services.rows import Graph, stored_of
from apps.common.dates import moment_words
from apps.common.identifiers import number_of
from apps.common.language import lazy as _
from apps.web.lists import PAGE_SIZE
from apps.web.runs import DONE, FAILED, Bar, Progress, bar_of
from apps.web.tables import Column, table
from apps.web.tones import words_of

PROGRESS = Progress(
    label=_("Nodes that have ended"),
    heading=_("{ended} of {total} nodes have ended"),
    text=_("{done} completed or skipped, {failed} failed or blocked, of {total}"),
)
#: What each status counts as in a bar; the others are still to come.
_COUNTS = {
    NodeStatus.COMPLETED: DONE,
    NodeStatus.SKIPPED: DONE,
    NodeStatus.FAILED: FAILED,
    NodeStatus.BLOCKED: FAILED,
    NodeStatus.CANCELLED: "cancelled",
}


@dataclass(frozen=True)
class Counted:
    """How many nodes have a status."""

    status: NodeStatus
    count: int

    @property
    def icon(self) -> str:
        """Return the symbol of the status."""
        return ICONS.get(self.status, "")


@dataclass(frozen=True)
class Tab:
    """A tab of the table, by `?show=key`."""

    key: str
    title: str
    count: int


def _waits(line: NodeLine) -> str:
    """Return what a node waits for."""
    if line.run is None or line.status is not NodeStatus.WAITING:
        return ""
    if line.run.wake_at is None:
        return gettext("for a signature")
    return gettext("until {moment}").format(moment=moment_words(line.run.wake_at))


COLUMNS = (
    Column(head=_("Node"), value="id", form="title", part="automations/_node.html"),
    Column(head=_("State"), value="status", form="state"),
    Column(
        head=_("Tries"), value=lambda line: line.tries or None, form="count", text=_("tries: {}")
    ),
    Column(head=_("Took"), value="seconds", form="count", part="automations/_duration.html"),
    Column(head=_("Why"), value=_waits, form="why", part="web/_item_why.html"),
)


def bar_of_row(execution: Execution) -> Bar:
    """Return the bar of a row in a list, which only knows how many nodes have ended."""
    total, done = execution.definition.nodes, execution.done
    return bar_of({DONE: done, "pending": max(total - done, 0)}, PROGRESS)


def course_context(request: HttpRequest, execution: Execution, graph: Graph) -> dict[str, Any]:
    """Return what the page of an execution shows of its nodes. Two queries, however many."""
    states = stored_of(execution, graph).states
    statuses = [state.status for state in states]
    found = Counter(statuses)
    counted = [Counted(status, found[status]) for status in NodeStatus if found[status]]
    counts: Counter[str] = Counter()
    for one in counted:
        counts[_COUNTS.get(one.status, "pending")] += one.count
    address = reverse("execution", args=[execution.pk])
    taken = [states[edge.source].outcome == edge.outcome for edge in graph.plan.edges]
    return {
        "bar": bar_of(counts, PROGRESS),
        "legend": counted,
        "drawing": drawn(execution.definition.document, course=Course(statuses, taken, address)),
        "address": address,
        **_nodes(request, execution, graph, statuses, counted),
    }


def _nodes(
    request: HttpRequest,
    execution: Execution,
    graph: Graph,
    statuses: Sequence[NodeStatus],
    counted: Sequence[Counted],
) -> dict[str, Any]:
    """Return the page of the table at ?show= and ?after=."""
    shown = request.GET.get("show", "")
    tab = shown if shown in [*NodeStatus] else ""
    places = [n for n, status in enumerate(statuses) if not tab or status == tab]
    after = number_of(request.GET.get("after", ""), digits=9)
    left = places if after is None else [n for n in places if n > after]
    page = left[:PAGE_SIZE]
    address = reverse("execution", args=[execution.pk])
    tabs = [Tab("", gettext("All"), len(statuses))]
    tabs += [Tab(one.status, words_of(one.status), one.count) for one in counted]
    return {
        "tab": tab,
        "tabs": tabs,
        "next_after": page[-1] if len(left) > len(page) else None,
        "later_page": after is not None,
        "table": table(
            request,
            node_lines(execution, graph, page),
            COLUMNS,
            id="execution-nodes",
            caption=gettext("Nodes"),
            order="",
            default="",
            address=address,
            to=lambda line: f"{address}nodes/{line.pk}/",
        ),
    }
