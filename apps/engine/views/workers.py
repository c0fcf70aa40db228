"""The Workers page: what carries the work out, and where it is stuck.

What our tables say is always shown. What only Temporal knows, pollers and backlogs, is shown with
its time when Temporal does not answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from apps.common.language import lazy as _
from apps.engine import reads
from apps.engine.models import EngineCommand, ProcessHeartbeat, WorkflowSchedule
from apps.engine.probes import ALIVE_SECONDS
from apps.engine.reads import QueueState, QueueStates
from apps.engine.relay.state import lag
from apps.engine.selectors import (
    RunFigures,
    parked_commands,
    processes,
    run_figures,
    stuck_commands,
    untold_runs,
)
from apps.engine.views.commands import VIEW
from apps.engine.views.runs import command_line
from apps.engine.watching import Seen, Watch
from apps.web.dashboard import Figure, queues
from apps.web.fragments import fragment, let_in, person, seen_with
from apps.web.lists import counted
from apps.web.pieces import Head, Link, rows_card, seen_by
from apps.web.tones import title_of

QUEUES = Watch("queues", QueueStates)

#: The most processes and commands that the page shows.
MOST_PROCESSES, MOST_COMMANDS = 100, 20
#: A task that has waited for longer than this is worth a warning.
LATE = timedelta(seconds=5)
#: The relay is late when the oldest command has waited for longer than this, in seconds.
LAG_WARN, LAG_BAD = 5.0, 30.0

LINKS = (
    Link(_("Runs"), "workflow_runs", "engine.view_workflowrun"),
    Link(_("Commands"), "engine_commands", VIEW),
    Link(_("Schedules"), "schedules", "engine.view_workflowschedule"),
)


@dataclass(frozen=True)
class QueueLine:
    """A task queue: `state` and `tone` in a word, `backlog` in a sentence."""

    name: str
    state: str
    tone: str
    backlog: str
    known: QueueState | None


@dataclass(frozen=True)
class ProcessLine:
    """A process of ours: what it is, and whether it has beaten lately."""

    beat: ProcessHeartbeat
    title: str
    version: str
    alive: bool
    state: str
    tone: str


def _context(request: HttpRequest) -> dict[str, Any]:
    now = timezone.now()
    user = person(request)
    figures = run_figures(now)
    beats = processes(most=MOST_PROCESSES)
    names = _queue_names(figures, beats)
    seen = QUEUES.look(partial(reads.queue_states, names))
    found = {state.name: state for state in seen.answer.queues} if seen.answer else {}
    parked = list(parked_commands().order_by("id")[:MOST_COMMANDS])
    stuck = list(stuck_commands(now).order_by("created_at", "id")[:MOST_COMMANDS])
    return {
        "topics": "engine",
        "head": Head(
            gettext("Workers"),
            gettext(
                "What carries the work out: queues, processes, workflow runs, and "
                "commands to the engine."
            ),
            links=seen_by(LINKS, user),
        ),
        "seen": seen,
        "figures": _figures(figures),
        "queues": [_queue(name, found.get(name), seen) for name in names],
        "processes": [_process(beat, now) for beat in beats],
        "runs": figures,
        "untold": counted(untold_runs()),
        "commands": _commands(parked, stuck),
    }


# --- parts ---------------------------------------------------------------------------------------
def _queue_names(figures: RunFigures, beats: Iterable[ProcessHeartbeat]) -> list[str]:
    """Return the queues that somebody serves, that a run stands in, or that a schedule names."""
    names = {queue for beat in beats for queue in beat.queues}
    names |= {queue for one in figures.types for queue in one.queues}
    names |= set(WorkflowSchedule.objects.values_list("task_queue", flat=True)[:MOST_PROCESSES])
    return sorted((names | set(queues())) - {""})


def _queue(name: str, state: QueueState | None, seen: Seen[QueueStates]) -> QueueLine:
    if state is None:
        return QueueLine(
            name, gettext("not known"), "", gettext("The engine has not been asked yet."), None
        )
    waiting = state.workflow_backlog + state.activity_backlog
    backlog = (
        gettext(
            "About {workflow_backlog} workflow tasks and {activity_backlog} "
            "activities wait, the oldest for {oldest_seconds:.0f} s."
        ).format(
            workflow_backlog=state.workflow_backlog,
            activity_backlog=state.activity_backlog,
            oldest_seconds=state.oldest_seconds,
        )
        if waiting
        else gettext("Nothing waits.")
    )
    if seen.away_since:
        return QueueLine(name, gettext("as it was"), "", backlog, state)
    if not state.pollers:
        return QueueLine(
            name, gettext("nobody polls"), "bad" if waiting else "warn", backlog, state
        )
    if waiting and state.oldest_seconds > LATE.total_seconds():
        return QueueLine(name, gettext("behind"), "warn", backlog, state)
    return QueueLine(name, gettext("served"), "good", backlog, state)


def _process(beat: ProcessHeartbeat, now: datetime) -> ProcessLine:
    alive = beat.beat_at > now - timedelta(seconds=ALIVE_SECONDS)
    if not alive:
        state, tone = gettext("silent"), "bad"
    elif beat.role == "relay":
        state, tone = (gettext("leads") if beat.leading else gettext("stands by")), "good"
    else:
        state, tone = gettext("runs"), "good"
    version = beat.detail.get("version", "") if isinstance(beat.detail, dict) else ""
    return ProcessLine(beat, title_of(beat.role), str(version), alive, state, tone)


def _figures(runs: RunFigures) -> list[Figure]:
    outbox = lag()
    found, commands = reverse("workflow_runs"), reverse("engine_commands")
    seconds = outbox.oldest_seconds
    late = "bad" if seconds > LAG_BAD else "warn" if seconds > LAG_WARN else ""
    return [
        Figure(
            _at_least(runs.open, runs.open_more),
            gettext("run is open") if runs.open == 1 else gettext("runs are open"),
            f"{found}?state=running",
            10,
        ),
        Figure(
            _at_least(runs.failed_day, runs.failed_more),
            gettext("run failed in 24 hours")
            if runs.failed_day == 1
            else gettext("runs failed in 24 hours"),
            f"{found}?state=failed_any",
            20,
            "bad" if runs.failed_day else "",
        ),
        Figure(
            _short(seconds if outbox.waiting else 0),
            gettext("the oldest command waits"),
            f"{commands}?state=waiting",
            30,
            late,
        ),
        Figure(
            _at_least(outbox.parked, outbox.parked_more),
            gettext("command is parked") if outbox.parked == 1 else gettext("commands are parked"),
            f"{commands}?state=parked",
            40,
            "bad" if outbox.parked else "",
        ),
    ]


def _short(seconds: float) -> str:
    for size, unit in (
        (86_400, gettext("{number} d")),
        (3_600, gettext("{number} h")),
        (60, gettext("{number} min")),
    ):
        if seconds >= 2 * size:
            return unit.format(number=round(seconds / size))
    return gettext("{number} s").format(number=round(seconds))


def _at_least(count: int, more: bool) -> str:
    return f"{count:,}+" if more else f"{count:,}"


def _commands(parked: list[EngineCommand], stuck: list[EngineCommand]) -> dict[str, Any]:
    """Return the panel of commands that wait for an operator, then of those that wait for long."""
    lines = [command_line(command) for command in (*parked, *stuck)]
    return rows_card(
        "workers-commands",
        gettext("Commands that need somebody"),
        lines[:MOST_COMMANDS],
        link=Link(gettext("All that have not arrived"), "engine_commands"),
        empty=gettext("Every command has arrived, or is on its way."),
    )


# --- views ---------------------------------------------------------------------------------------
def _page(request: HttpRequest) -> HttpResponse:
    let_in(request, VIEW)
    return render(request, "engine/workers.html", _context(request))


def _live(request: HttpRequest) -> HttpResponse:
    seen_with(request, VIEW)
    return render(request, "engine/_workers_live.html", _context(request))


def urls() -> list[URLPattern]:
    """Return the URLs of the page and its fragment."""
    return [
        path("workers/", login_required(require_GET(_page)), name="workers"),
        path("workers/live/", fragment(require_GET(_live)), name="workers_live"),
    ]
