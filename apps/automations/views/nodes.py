"""The page of a node of an execution: what it read, what it gave, its tries, what it waits for."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.automations.contracts import EXECUTION, NodeStatus, NodeType, Outcome
from apps.automations.forms import RepeatForm
from apps.automations.history import OUTCOMES, history_of
from apps.automations.models import Execution
from apps.automations.node_lines import NodeLine, node_line, read_by
from apps.automations.services.requesting import RUN
from apps.automations.services.rows import Graph, graph_of
from apps.automations.services.stopping import execution_repeat
from apps.automations.shown import Shown, shown
from apps.automations.views.executions import LIST, title_of
from apps.common.errors import Invalid
from apps.web.denied import row_of
from apps.web.fragments import fragment, let_in, person
from apps.web.pieces import Fact, Head, Link, Note
from apps.web.refusals import Refusal, next_step
from apps.web.tones import sentence_of
from apps.web.verbs import call_verb

#: Nodes that have read what is before them.
_HAVE_READ = (NodeStatus.RUNNING, NodeStatus.WAITING, NodeStatus.COMPLETED, NodeStatus.FAILED)


def page(request: HttpRequest, key: UUID, place: int) -> HttpResponse:
    """Show the whole page."""
    context = _context(request, *_node(request, key, place))
    return render(request, "automations/node.html", context)


def live(request: HttpRequest, key: UUID, place: int) -> HttpResponse:
    """Show the current parts of the page."""
    context = _context(request, *_node(request, key, place))
    return render(request, "web/_detail_live.html", context)


def repeat(request: HttpRequest, key: UUID, place: int) -> HttpResponse:
    """Run the execution once more from this node on, and show the new one."""
    let_in(request, RUN, action=f"{EXECUTION}.repeat", subject_type=EXECUTION)
    execution, graph, line = _node(request, key, place)
    form = RepeatForm(request.POST)
    outcome = call_verb(
        request, form, execution_repeat, execution_id=execution.pk, from_node=line.id
    )
    if not outcome.done:
        context = _context(request, execution, graph, line, refusal=outcome.refusal)
        return render(request, "automations/node.html", context, status=outcome.status)
    again, new = outcome.result
    told(request, new=new)
    return redirect("execution", again.pk)


def told(request: HttpRequest, *, new: bool) -> None:
    """Say on the page of an execution that it was asked for, or that it was before."""
    if new:
        messages.success(request, gettext("Asked for. This page shows how far it is."))
    else:
        messages.info(
            request, gettext("You had sent this form before; this is what it made. Nothing new.")
        )


_ROUTE = "executions/<uuid:key>/nodes/<int:place>/"
URLS: list[URLPattern] = [
    path(_ROUTE, login_required(require_GET(page)), name="execution_node"),
    path(f"{_ROUTE}live/", fragment(require_GET(live)), name="execution_node_live"),
    path(f"{_ROUTE}repeat/", login_required(require_POST(repeat)), name="execution_node_repeat"),
]


# --- what is shown --------------------------------------------------------------------------------
#: The parts of the page, as `apps.web.pages.DetailPage` has them.
PARTS = {
    "name": "execution_node",
    "above": (),
    "main": ("automations/_values.html",),
    "side": ("automations/_repeat.html", "web/_facts_panel.html", "automations/_history.html"),
    "after": (),
}


def _node(request: HttpRequest, key: UUID, place: int) -> tuple[Execution, Graph, NodeLine]:
    """Return the execution, its graph and the node. Raises Http404."""
    rows = Execution.objects.visible_to(person(request)).select_related(
        "definition__automation", "requested_by"
    )
    execution = row_of(rows, pk=key)
    graph = graph_of(execution)
    if place >= len(graph.ids):
        raise Http404
    return execution, graph, node_line(execution, graph, place)


def _context(
    request: HttpRequest,
    execution: Execution,
    graph: Graph,
    line: NodeLine,
    refusal: Refusal | None = None,
) -> dict[str, Any]:
    user = person(request)
    return {
        "page": PARTS,
        "execution": execution,
        "node": line,
        "query": request.GET.urlencode(),
        "topics": f"{EXECUTION}:{execution.pk}",
        "head": _head(execution, line),
        "facts_title": gettext("Node"),
        "facts": _facts(execution, line, user),
        "values": _values(execution, graph, line),
        "history": history_of(request, execution, graph, place=line.pk),
        "may_repeat": execution.has_ended and user.has_perm(RUN),
        "form": RepeatForm(),
        "refusal": refusal,
    }


def _head(execution: Execution, line: NodeLine) -> Head:
    return Head(
        line.id,
        line.what,
        crumbs=(
            LIST,
            Link(title_of(execution), reverse("execution", args=[execution.pk])),
        ),
        state=line.status,
        note=_note(line),
    )


def _note(line: NodeLine) -> Note | None:
    """Return why it failed, and what to do."""
    if line.status is not NodeStatus.FAILED:
        return None
    then = next_step(line.error_code)
    if line.run is not None and line.run.outcome != Outcome.NONE:
        then = gettext("The graph handles it: what comes after it has gone on.")
    return Note(sentence_of(line.error_code), line.error_detail, then, tone="bad")


def _facts(execution: Execution, line: NodeLine, user: User) -> list[Fact]:
    run = line.run
    facts = [Fact(gettext("Place"), line.pk + 1, note=gettext("in the definition"))]
    if run is None:
        return facts
    answer = OUTCOMES.get(run.outcome)  # type: ignore[call-overload]
    facts += [
        Fact(gettext("Answer"), str(answer) if answer else ""),
        Fact(gettext("Tries"), run.tries or ""),
        Fact(gettext("Begun"), run.started_at, form="when"),
        Fact(gettext("Ended"), run.ended_at, form="when"),
        Fact(gettext("Waits until"), run.wake_at, form="when"),
        *_request(execution, line, user),
    ]
    return [fact for fact in facts if fact.value not in ("", None)]


def _request(execution: Execution, line: NodeLine, user: User) -> list[Fact]:
    """Return the request that it waits for, or waited for, with a way there."""
    if line.run is None or line.run.request_id is None:
        return []
    about = requests_about(EXECUTION, execution.pk).visible_to(user)
    request = about.filter(pk=line.run.request_id).first()
    if request is None:
        return [Fact(gettext("Signature"), gettext("asked of people who sign such requests"))]
    return [Fact(gettext("Signature"), request.title, href=reverse("request", args=[request.pk]))]


def _values(execution: Execution, graph: Graph, line: NodeLine) -> list[Shown]:
    definition = shown("data", gettext("How it is written"), graph.data[line.pk])
    return [_read(execution, line), _given(line), definition]


def _read(execution: Execution, line: NodeLine) -> Shown:
    title = gettext("What it could read")
    if line.status not in _HAVE_READ:
        return Shown("input", title, empty=gettext("Nothing: it has not run."))
    try:
        return shown("input", title, read_by(execution, line.pk))
    except Invalid as refused:
        return Shown("input", title, empty=refused.detail)


def _given(line: NodeLine) -> Shown:
    title = gettext("What it gave")
    if line.run is None or not line.run.output:
        return Shown("output", title, empty=_why_nothing(line))
    return shown("output", title, line.run.value)


def _why_nothing(line: NodeLine) -> str:
    if line.status.settled:
        return gettext("Nothing.")
    if line.type is NodeType.APPROVAL and line.status is NodeStatus.WAITING:
        return gettext("Nothing yet: somebody has to sign.")
    return gettext("Nothing yet.")
