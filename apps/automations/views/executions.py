"""Pages of executions: the list, and one with its graph in the colours of its nodes."""

import json
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.automations.contracts import EXECUTION, ExecutionStatus, Runner
from apps.automations.forms import RUNNERS, ExecutionFilter
from apps.automations.history import history_of
from apps.automations.models import Execution
from apps.automations.services.definitions import VIEW as VIEW_AUTOMATIONS
from apps.automations.services.rows import graph_of
from apps.automations.services.stopping import CANCEL, execution_cancel, execution_resume
from apps.automations.shown import Shown, shown
from apps.automations.views.course import bar_of_row, course_context
from apps.common.language import lazy as _
from apps.engine.timeline import timeline
from apps.web.fragments import person
from apps.web.links import temporal_url_for
from apps.web.lists import ListPage
from apps.web.pages import DetailPage
from apps.web.pieces import Fact, Head, Link, Note
from apps.web.refusals import next_step
from apps.web.row_verbs import RowVerb, RowVerbs
from apps.web.tables import AGE, ASKED_BY, ERROR, STATE, Column
from apps.web.tones import sentence_of
from apps.web.verbs import ReasonForm

LIST = Link(_("Executions"), "executions")
#: So many signatures are shown.
MOST_REQUESTS = 20


def title_of(execution: Execution) -> str:
    """Return the automation's title; that of the definition, if it belongs to none."""
    automation = execution.definition.automation
    return automation.title if automation else execution.definition.name


def seconds_of(execution: Execution) -> float | None:
    """Return how long it took; None until it has ended."""
    if execution.settled_at is None:
        return None
    return (execution.settled_at - execution.created_at).total_seconds()


def _listed(user: User) -> "QuerySet[Execution]":
    return Execution.objects.visible_to(user).for_list()


def _code_of(execution: Execution) -> str:
    automation = execution.definition.automation
    return automation.code if automation else ""


def _nodes(number: int) -> str:
    return ngettext("{} node", "{} nodes", number)


def _with_bars(rows: list[Any]) -> None:
    for row in rows:
        row.bar = bar_of_row(row)


LIST_PAGE = ListPage(
    name="executions",
    title=_("Executions"),
    lead=_("Runs of automations, and of definitions that programs sent."),
    noun="execution",
    topic="executions",
    rows=_listed,
    to="execution",
    columns=(
        Column(head=_("Execution"), value=title_of, form="title"),
        Column(head=_("Automation"), value=_code_of, form="code", wide=True),
        ASKED_BY,
        AGE,
        Column(
            head=_("Nodes done"),
            value="done",
            form="bar",
            part="web/_run_bar.html",
            file="nodes_done",
        ),
        Column(head=_("Nodes"), value="definition.nodes", form="aside", text=_nodes),
        Column(head=_("Attempt"), value="attempt", form="count", text=_("attempt {}"), wide=True),
        Column(
            head=_("Took"),
            value=seconds_of,
            form="count",
            part="automations/_duration.html",
            file="seconds",
        ),
        Column(head=_("Run by"), value=lambda row: str(RUNNERS[row.runner]), form="aside"),
        STATE,
        ERROR,
    ),
    filters=ExecutionFilter,
    complete=_with_bars,
    none=_("No execution yet"),
    first=_("Open an automation that is switched on, and run it."),
    empty=_("They appear here as soon as somebody runs an automation that you may see."),
    links=(Link(_("Automations"), "automations", VIEW_AUTOMATIONS),),
)


# --- one ------------------------------------------------------------------------------------------
def _rows(user: User) -> "QuerySet[Execution]":
    return Execution.objects.visible_to(user).select_related(
        "definition__automation", "requested_by", "repeats"
    )


def _cancel(key: str, **given: Any) -> Execution:
    return execution_cancel(execution_id=key, **given, as_of=timezone.now())


def _resume(key: str, **given: Any) -> Execution:
    return execution_resume(execution_id=key, **given, as_of=timezone.now())


VERBS = RowVerbs(
    name="execution",
    rows=lambda user: Execution.objects.visible_to(user),
    subject_type=EXECUTION,
    verbs={
        "resume": RowVerb(
            call=_resume,
            title=_("Resume it"),
            button=_("Resume"),
            help=_("What failed, and what it blocked, runs once more. What has finished does not."),
            said=_("It goes on with what had failed."),
            permission=CANCEL,
            action=f"{EXECUTION}.resume",
            applies=lambda row: row.status == ExecutionStatus.FAILED,
            form=ReasonForm,
            plain=True,
            own=True,
        ),
        "cancel": RowVerb(
            call=_cancel,
            title=_("Cancel it"),
            button=_("Cancel the execution"),
            help=_(
                "What runs is cut off within seconds, open requests are closed, and nothing "
                "further begins. It cannot be resumed."
            ),
            said=_("Cancelled."),
            permission=CANCEL,
            action=f"{EXECUTION}.cancel",
            applies=lambda row: not row.has_ended,
            form=ReasonForm,
            own=True,
        ),
    },
)


def _context(request: HttpRequest, execution: Execution) -> dict[str, Any]:
    user = person(request)
    graph = graph_of(execution)
    engine = execution.runner == Runner.ENGINE
    about = requests_about(EXECUTION, execution.pk).visible_to(user)
    verbs = VERBS.shown(execution, user)
    return {
        "topics": f"{EXECUTION}:{execution.pk} inbox",
        "head": _head(execution, user, verbs),
        "facts": _facts(execution, user),
        "requests": about.order_by("created_at")[:MOST_REQUESTS],
        "unsigned": True,
        **course_context(request, execution, graph),
        "values": _values(execution),
        "verbs": verbs,
        "history": history_of(request, execution, graph),
        "timeline": timeline(
            subjects=[(EXECUTION, str(execution.pk))],
            workflow_ids=[execution.workflow_id] if engine else [],
            older=request.GET.get("older", ""),
        ),
    }


def _head(execution: Execution, user: User, verbs: list[dict[str, Any]]) -> Head:
    """Return the head. Its links lead to the boxes of the actions, which a telephone has far
    below."""
    by, page = execution.requested_by, reverse("execution", args=[execution.pk])
    links = [Link(verb["title"], f"{page}#{verb['key']}-reason") for verb in verbs]
    engine = temporal_url_for(user, execution.workflow_id)
    if execution.runner == Runner.ENGINE and engine:
        links.append(Link(gettext("Temporal UI"), engine, outside=True))
    return Head(
        title_of(execution),
        gettext("asked by {person}").format(person=by) if by else gettext("started in the engine"),
        at=execution.created_at,
        crumbs=(LIST,),
        state=execution.status,
        links=links,
        note=_note(execution),
    )


def _note(execution: Execution) -> Note | None:
    """Return why it ended before its end, what was kept, and what to do."""
    if execution.status == ExecutionStatus.CANCELLED:
        kept = gettext("What had finished stays below.")
        return Note(gettext("It was cancelled."), execution.error_detail, kept, tone="info")
    if execution.status != ExecutionStatus.FAILED:
        return None
    then = next_step(execution.error_code) or gettext(
        "Mend what the node needs, then resume the execution."
    )
    kept = gettext("What has finished does not run again.")
    return Note(
        sentence_of(execution.error_code),
        execution.error_detail,
        f"{then} {kept}",
        tone="bad",
    )


def _facts(execution: Execution, user: User) -> list[Fact]:
    definition, first, title = execution.definition, execution.repeats, title_of(execution)
    facts = [
        _definition(execution, user),
        Fact(gettext("Definition"), definition.name if definition.name != title else ""),
        Fact(gettext("Run by"), RUNNERS[Runner(execution.runner)]),
        Fact(gettext("Attempt"), execution.attempt),
        Fact(gettext("Resumed"), execution.resumes or ""),
        Fact(
            gettext("Repeats"),
            first.workflow_id if first else "",
            href=reverse("execution", args=[first.pk]) if first else "",
            note=gettext("from {node}").format(node=execution.from_node),
        ),
        Fact(gettext("Ended"), execution.settled_at, form="when"),
        Fact(gettext("Id"), execution.workflow_id, form="code"),
    ]
    return [fact for fact in facts if fact.value not in ("", None)]


def _definition(execution: Execution, user: User) -> Fact:
    """Return the version that is executed; it stays as it is, whatever is written after it."""
    definition = execution.definition
    automation = definition.automation
    if automation is None:
        return Fact(gettext("Automation"), gettext("none: the definition came with the request"))
    page = f"{reverse('automation', args=[automation.code])}?version={definition.number}"
    return Fact(
        gettext("Automation"),
        automation.title,
        href=page if user.has_perm(VIEW_AUTOMATIONS) else "",
        note=gettext("version {number}").format(number=definition.number),
    )


def _values(execution: Execution) -> list[Shown]:
    given = shown("params", gettext("What it was given"), execution.given)
    result = gettext("What it gave")
    if not execution.result:
        return [given, Shown("result", result, empty=gettext("Nothing yet: it is not completed."))]
    return [given, shown("result", result, json.loads(execution.result))]


DETAIL_PAGE = DetailPage(
    name="execution",
    rows=_rows,
    context=_context,
    template="automations/automation.html",
    above=("automations/_progress.html", "automations/_drawing.html"),
    main=("automations/_nodes.html", "automations/_values.html"),
    side=("web/_row_verbs.html", "web/_asked.html", "automations/_history.html"),
    after=("console/_timeline.html",),
)
