"""Pages of workflow runs: the list, and one run with its pending activities and its actions."""

from functools import partial
from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from apps.accounts.models import User
from apps.common.language import lazy as _
from apps.engine import reads, services, subjects
from apps.engine.contracts import RunStatus
from apps.engine.models import EngineCommand, WorkflowRun
from apps.engine.reads import Description, PendingActivity
from apps.engine.selectors import commands_of, row_runs
from apps.engine.watching import Watch
from apps.web.filters import FilterForm
from apps.web.fragments import person
from apps.web.links import VIEW_RUNS, temporal_url
from apps.web.lists import ListPage
from apps.web.pages import DetailPage
from apps.web.pieces import Cell, Fact, Head, Line, Link, Note, rows_card
from apps.web.row_verbs import RowVerb, RowVerbs
from apps.web.tables import Column
from apps.web.tones import words_of

VIEW = VIEW_RUNS
ACT = "engine.change_workflowrun"
CRUMB = Link(_("Workers"), "workers")

#: The most commands of a workflow that its run's page shows.
MOST_COMMANDS = 20

DESCRIPTIONS = Watch("run", Description)

#: What the filter offers besides single states.
FAILED, UNTOLD = "failed_any", "untold"


def _in_state(rows: Any, value: str, user: User) -> Any:
    if value == FAILED:
        return rows.filter(status__in=WorkflowRun.FAILED)
    if value == UNTOLD:
        ended = rows.exclude(status=RunStatus.RUNNING)
        return ended.filter(told_at__isnull=True, confirmed=True)
    return rows.filter(status=value)


class RunFilter(FilterForm):
    """Filters of the list of runs."""

    lookups = {"type": "workflow_type", "state": _in_state, "workflow": "workflow_id"}

    state = forms.ChoiceField(
        required=False,
        choices=lambda: [
            ("", gettext("every state")),
            (RunStatus.RUNNING, words_of(RunStatus.RUNNING)),
            (FAILED, gettext("failed, timed out or terminated")),
            (UNTOLD, gettext("ended, its row not told")),
            *((s, words_of(s)) for s in RunStatus if s != RunStatus.RUNNING),
        ],
        label=_("State"),
    )
    type = forms.CharField(
        required=False,
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        label=_("Type"),
    )
    workflow = forms.CharField(
        required=False,
        max_length=200,
        label=_("Workflow id"),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


def _rows(user: User) -> Any:
    return WorkflowRun.objects.all()


def run_line(run: WorkflowRun) -> Line:
    """Return the line of a run in a panel."""
    return Line(
        run.workflow_id,
        reverse("workflow_run", args=[run.pk]),
        (
            Cell(gettext("Type"), run.workflow_type),
            Cell(gettext("Queue"), run.task_queue, gettext("on {}")),
            Cell(gettext("Started"), run.started_at, form="age"),
        ),
        state=run.status,
    )


LIST_PAGE = ListPage(
    name="workflow_runs",
    title=_("Workflow runs"),
    lead=_("Runs of workflows as we know them from the engine, the newest first."),
    noun="run",
    topic="engine",
    rows=_rows,
    to="workflow_run",
    version=lambda run: f"{run.status}{run.confirmed}{run.told_at}",
    columns=(
        Column(head=_("Workflow"), value="workflow_id", form="title"),
        Column(head=_("Type"), value="workflow_type", form="name"),
        Column(head=_("Queue"), value="task_queue", text=_("on {}"), wide=True),
        Column(head=_("Age"), value="started_at", form="age", file="started_at"),
        Column(head=_("State"), value="status", form="state"),
    ),
    filters=RunFilter,
    arrivals=True,
    order="started",
    permission=VIEW,
    crumbs=(CRUMB,),
    none=_("No run is known"),
    empty=_("A run appears as soon as a worker or the engine reports it."),
)


# --- one run -------------------------------------------------------------------------------------
def _is_open(run: WorkflowRun) -> bool:
    return run.status == RunStatus.RUNNING


def _can_restart(run: WorkflowRun) -> bool:
    if _is_open(run) or not run.subject_id or subjects.get(run.subject_type) is None:
        return False
    return not row_runs(run)


VERBS = RowVerbs(
    name="workflow_run",
    rows=_rows,
    subject_type="workflow",
    verbs={
        "cancel": RowVerb(
            call=lambda key, **given: services.run_cancel(run_id=key, **given),
            title=_("Cancel"),
            button=_("Ask it to cancel"),
            help=_(
                "The workflow hears of it, undoes what can be undone, and ends. Use this first."
            ),
            said=_("Asked to cancel. It is sent to the engine as soon as that answers."),
            permission=ACT,
            action="engine.run_cancel",
            applies=_is_open,
            plain=True,
        ),
        "terminate": RowVerb(
            call=lambda key, **given: services.run_terminate(run_id=key, **given),
            title=_("Terminate"),
            button=_("Terminate the run"),
            help=_(
                "It ends at once and undoes nothing. What it had begun outside stays as "
                "it is. Use this when it cannot react to a cancellation."
            ),
            said=_("It will be terminated. The command is sent as soon as the engine answers."),
            permission=ACT,
            action="engine.run_terminate",
            applies=_is_open,
        ),
        "restart": RowVerb(
            call=lambda key, **given: services.run_restart(run_id=key, **given),
            title=_("Restart"),
            button=_("Start its workflow again"),
            help=_(
                "A new run begins from the row as it stands now. Steps that are done are "
                "not done again."
            ),
            said=_("A new run was asked for. It begins as soon as the engine answers."),
            permission=ACT,
            action="engine.run_restart",
            applies=_can_restart,
            plain=True,
        ),
    },
)


def attempts_text(number: int) -> str:
    """Return the text around a number of attempts."""
    return ngettext("{} attempt", "{} attempts", number)


def command_line(command: EngineCommand) -> Line:
    """Return the line of a command in a panel."""
    return Line(
        command.title,
        reverse("engine_command", args=[command.pk]),
        (
            Cell(gettext("Workflow"), command.workflow_id),
            Cell(gettext("Written"), command.created_at, form="age"),
            Cell(
                gettext("Attempts"),
                command.attempts if command.attempts > 1 else "",
                attempts_text(command.attempts),
            ),
            Cell(gettext("Reason"), command.error[:200]),
        ),
        state=command.state,
    )


def _context(request: HttpRequest, run: WorkflowRun) -> dict[str, Any]:
    seen = DESCRIPTIONS.look(partial(reads.describe, run.workflow_id, run.run_id), of=str(run.pk))
    found = seen.answer if seen.answer is not None and seen.answer.found else None
    commands = list(commands_of(run.workflow_id)[:MOST_COMMANDS])
    return {
        "topics": "engine",
        "head": _head(run),
        "facts": _facts(run, found),
        "facts_title": gettext("The run"),
        "over": not _is_open(run),
        "seen": seen,
        "description": found,
        "activities": [_activity(one) for one in found.pending_activities] if found else [],
        "verbs": VERBS.shown(run, person(request)),
        "card": rows_card(
            "run-commands",
            gettext("Commands of its workflow"),
            [command_line(command) for command in commands],
            empty=gettext("Nothing was sent to this workflow, or it was long ago."),
        ),
        "earlier": _others(run),
    }


def _activity(one: PendingActivity) -> dict[str, Any]:
    attempt = (
        gettext("attempt {attempt} of {most_attempts}")
        if one.most_attempts
        else gettext("attempt {attempt}")
    )
    return {
        "name": one.activity_type,
        "state": one.state,
        "attempt": attempt.format(attempt=one.attempt, most_attempts=one.most_attempts),
        "failure": one.last_failure,
        "worker": one.worker,
        "heartbeat_at": one.heartbeat_at,
        "next_try_at": one.next_try_at,
    }


def _head(run: WorkflowRun) -> Head:
    engine = temporal_url(run.workflow_id)
    note = None
    if run.status == RunStatus.LOST:
        note = Note(
            gettext("The engine does not know this run."),
            gettext("Its history was deleted with age, or the engine was restored from a backup."),
        )
    elif run.status != RunStatus.RUNNING and not run.confirmed:
        note = Note(
            gettext("Only a worker has reported the end."),
            gettext("The engine confirms it within a minute."),
            tone="info",
        )
    return Head(
        run.workflow_id,
        gettext("{type}, began").format(type=run.workflow_type),
        at=run.started_at,
        crumbs=(CRUMB, Link(gettext("Runs"), "workflow_runs")),
        state=run.status,
        links=(Link(gettext("Temporal UI"), engine, outside=True),) if engine else (),
        note=note,
    )


def _facts(run: WorkflowRun, found: Description | None) -> list[Fact]:
    facts = [
        Fact(gettext("Workflow"), run.workflow_id, form="code"),
        Fact(gettext("Run"), run.run_id, form="code"),
        Fact(gettext("Type"), run.workflow_type),
        Fact(gettext("Task queue"), run.task_queue or "–"),
        _row_fact(run),
        Fact(gettext("Started"), run.started_at, form="when"),
    ]
    if run.closed_at:
        facts.append(Fact(gettext("Ended"), run.closed_at, form="when"))
    # A run without a row of ours has nobody to tell.
    if run.subject_id and run.status not in (RunStatus.RUNNING, RunStatus.CONTINUED_AS_NEW):
        told = run.told_at or gettext("not yet")
        form = "when" if run.told_at else ""
        facts.append(Fact(gettext("Recorded there"), told, form=form))
    if found is not None:
        facts.append(Fact(gettext("Events"), found.history_length))
        if found.failure:
            facts.append(Fact(gettext("It ended with"), found.failure, form="prose"))
    return facts


def _row_fact(run: WorkflowRun) -> Fact:
    subject = subjects.get(run.subject_type)
    if subject is None or not run.subject_id:
        return Fact(gettext("About"), gettext("nothing of ours"))
    return Fact(
        gettext("About"), f"{subject.title} {run.subject_id[:13]}", href=subject.url(run.subject_id)
    )


def _others(run: WorkflowRun) -> list[Line]:
    others = WorkflowRun.objects.filter(workflow_id=run.workflow_id).exclude(pk=run.pk)
    return [run_line(one) for one in others.order_by("-started_at", "-id")[:10]]


DETAIL_PAGE = DetailPage(
    name="workflow_run",
    rows=_rows,
    context=_context,
    main=("web/_row_verbs.html", "web/_facts_panel.html", "engine/_run_activities.html"),
    side=("web/_rows_panel.html", "engine/_run_others.html"),
    poll_seconds=10,
    permission=VIEW,
)
