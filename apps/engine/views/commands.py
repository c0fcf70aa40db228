"""Pages of commands to the engine that have not arrived: the list, and one with its actions."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.common.language import lazy as _
from apps.engine import services, subjects
from apps.engine.contracts import CommandKind, CommandState
from apps.engine.models import EngineCommand, WorkflowRun
from apps.engine.selectors import troubled_commands
from apps.engine.timeline import timeline
from apps.engine.views.runs import CRUMB, attempts_text
from apps.web.filters import FilterForm
from apps.web.fragments import person
from apps.web.lists import ListPage
from apps.web.pages import DetailPage
from apps.web.pieces import Fact, Head, Link, Note
from apps.web.row_verbs import RowVerb, RowVerbs
from apps.web.tables import Column
from apps.web.tones import sentence_of, words_of

VIEW = "engine.view_enginecommand"
ACT = "engine.change_enginecommand"

WAITING = "waiting"


def _in_state(rows: Any, value: str, user: User) -> Any:
    if value == WAITING:
        return rows.filter(state__in=(CommandState.PENDING, CommandState.LEASED))
    return rows.filter(state=value)


class CommandFilter(FilterForm):
    """Filters of the list of commands."""

    lookups = {"state": _in_state, "kind": "kind", "workflow": "workflow_id"}

    state = forms.ChoiceField(
        required=False,
        choices=lambda: [
            ("", gettext("every state")),
            (CommandState.PARKED, gettext("parked: waits for an operator")),
            (WAITING, gettext("waiting to be sent")),
            *((s, words_of(s)) for s in (CommandState.UNDELIVERABLE, CommandState.DISCARDED)),
        ],
        label=_("State"),
    )
    kind = forms.ChoiceField(
        required=False,
        choices=lambda: [("", gettext("every kind")), *((k, words_of(k)) for k in CommandKind)],
        label=_("Kind"),
    )
    workflow = forms.CharField(
        required=False,
        max_length=200,
        label=_("Workflow id"),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


def _troubled(user: User) -> Any:
    return troubled_commands()


LIST_PAGE = ListPage(
    name="engine_commands",
    title=_("Commands"),
    lead=_(
        "Messages to the engine that have not arrived: they wait, are parked, or were given up."
    ),
    noun="command",
    topic="engine",
    rows=_troubled,
    to="engine_command",
    version=lambda command: f"{command.state}{command.attempts}",
    columns=(
        Column(head=_("Command"), value="title", form="title", file="command"),
        Column(head=_("Workflow"), value="workflow_id"),
        Column(head=_("Attempts"), value="attempts", form="count", text=attempts_text, wide=True),
        Column(head=_("Reason"), value=lambda command: command.error[:200], file="reason"),
        Column(head=_("Age"), value="created_at", form="age", file="created_at"),
        Column(head=_("State"), value="state", form="state"),
    ),
    filters=CommandFilter,
    permission=VIEW,
    crumbs=(CRUMB,),
    none=_("Every command has arrived"),
    empty=_("A command stands here until the engine has taken it."),
)


# --- one command ---------------------------------------------------------------------------------
def _rows(user: User) -> Any:
    return EngineCommand.objects.all()


def _can_retry(command: EngineCommand) -> bool:
    given_up = (command.kind, command.state) == (CommandKind.START, CommandState.DISCARDED)
    return command.state == CommandState.PARKED or given_up


def _can_discard(command: EngineCommand) -> bool:
    return command.state in (CommandState.PARKED, CommandState.PENDING)


VERBS = RowVerbs(
    name="engine_command",
    rows=_rows,
    subject_type="engine_command",
    verbs={
        "retry": RowVerb(
            call=lambda key, **given: services.command_retry(command_id=key, **given),
            title=_("Retry"),
            button=_("Send it again"),
            help=_(
                "Remove the cause first. The engine takes a command once, however often "
                "it is sent. A start that was discarded begins the workflow of its row "
                "anew."
            ),
            said=_("It is sent again, as soon as the engine answers."),
            permission=ACT,
            action="engine.command_retry",
            applies=_can_retry,
            plain=True,
        ),
        "discard": RowVerb(
            call=lambda key, **given: services.command_discard(command_id=key, **given),
            title=_("Discard"),
            button=_("Discard it for good"),
            help=_(
                "The engine never hears of this decision; the row it is about is told "
                "so. Later commands of the same workflow go on."
            ),
            said=_("Discarded. It will never be sent."),
            permission=ACT,
            action="engine.command_discard",
            applies=_can_discard,
        ),
    },
)


def _context(request: HttpRequest, command: EngineCommand) -> dict[str, Any]:
    return {
        "topics": "engine",
        "head": _head(command),
        "facts": _facts(command),
        "facts_title": gettext("The command"),
        "verbs": VERBS.shown(command, person(request)),
        "timeline": timeline(subjects=[("engine_command", str(command.pk))], workflow_ids=[]),
    }


def _head(command: EngineCommand) -> Head:
    note = None
    if command.state == CommandState.PARKED:
        note = Note(
            gettext("The engine refused it, and later commands of its workflow wait behind it."),
            command.error[:1000],
            gettext("Remove the cause and retry it, or discard it."),
            tone="bad",
        )
    elif command.error and command.state != CommandState.SENT:
        note = Note(sentence_of(command.state), command.error[:1000])
    return Head(
        capfirst(command.title),
        gettext("Written"),
        at=command.created_at,
        crumbs=(CRUMB, Link(gettext("Commands"), "engine_commands")),
        state=command.state,
        note=note,
    )


def _facts(command: EngineCommand) -> list[Fact]:
    run = _run_of(command)
    href = reverse("workflow_run", args=[run.pk]) if run else ""
    facts = [
        Fact(gettext("Workflow"), command.workflow_id, href=href),
        Fact(gettext("Type"), command.workflow_type or "–"),
        Fact(gettext("Task queue"), command.task_queue or "–"),
        _row_fact(command),
        Fact(gettext("Attempts"), command.attempts),
        Fact(gettext("Key"), command.key, form="code"),
    ]
    if reason := command.options.get("reason"):
        facts.append(Fact(gettext("Reason"), reason, form="prose"))
    if command.behind_run:
        facts.append(Fact(gettext("Waits for the end of the run"), command.behind_run, form="code"))
    if command.state == CommandState.PENDING:
        facts.append(Fact(gettext("Next attempt"), command.next_try_at, form="when"))
    if command.settled_at:
        facts.append(Fact(gettext("Settled"), command.settled_at, form="when"))
    return facts


def _row_fact(command: EngineCommand) -> Fact:
    subject = subjects.get(command.subject_type)
    if subject is None or not command.subject_id:
        about = f"{command.subject_type.replace('_', ' ')} {command.subject_id}".strip()
        return Fact(gettext("About"), about or "–")
    text = f"{subject.title} {command.subject_id[:13]}"
    return Fact(gettext("About"), text, href=subject.url(command.subject_id))


def _run_of(command: EngineCommand) -> WorkflowRun | None:
    runs = WorkflowRun.objects.filter(workflow_id=command.workflow_id)
    return runs.order_by("-started_at", "-id").first()


DETAIL_PAGE = DetailPage(
    name="engine_command",
    rows=_rows,
    context=_context,
    main=("web/_row_verbs.html", "web/_facts_panel.html"),
    side=("console/_timeline.html",),
    permission=VIEW,
)
