"""What happened to a record: people's decisions, and what the engine did for them.

One list for both, newest first. When the engine does not answer the people's part is still there.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from apps.audit.models import AuditEntry
from apps.engine import reads
from apps.pages import temporal_url

MOST_ENTRIES = 100
MOST_EVENTS = 100
#: After the engine did not answer pages do without it for so long: a live page asks with every
#: change, and must not wait out the deadline each time.
QUIET_SECONDS = 5.0

A = TypeVar("A", bound=reads.Answer)

#: Events of the engine's own housekeeping: they tell nothing about the record.
_HOUSEKEEPING = ("workflow_task_", "marker_recorded", "upsert_workflow_", "timer_canceled")

_WORDS = {
    "workflow_execution_started": "Workflow started",
    "workflow_execution_completed": "Workflow ended",
    "workflow_execution_failed": "Workflow failed",
    "workflow_execution_timed_out": "Workflow timed out",
    "workflow_execution_terminated": "Workflow terminated",
    "workflow_execution_canceled": "Workflow cancelled",
    "workflow_execution_cancel_requested": "Cancellation asked for",
    "workflow_execution_signaled": "Signal received",
    "start_child_workflow_execution_initiated": "Child workflow asked for",
    "child_workflow_execution_started": "Child workflow started",
    "child_workflow_execution_completed": "Child workflow ended",
    "child_workflow_execution_failed": "Child workflow failed",
    "activity_task_scheduled": "Step handed out",
    "activity_task_started": "Step started",
    "activity_task_completed": "Step done",
    "activity_task_failed": "Step failed",
    "activity_task_timed_out": "Step timed out",
    "timer_started": "Timer set",
    "timer_fired": "Timer fired",
}


@dataclass(frozen=True)
class Line:
    """One thing that happened. `source` is business or engine."""

    at: datetime
    text: str
    who: str = ""
    via: str = ""
    detail: str = ""
    refused: bool = False
    source: str = "business"


@dataclass(frozen=True)
class Timeline:
    """`degraded`: the engine was asked and did not answer; `cut`: older lines were left out."""

    lines: list[Line]
    degraded: bool
    cut: bool
    engine_url: str


class _Breaker:
    """Asks the engine, unless it did not answer a moment ago."""

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def ask(self, question: Callable[[], A]) -> A | None:
        if time.monotonic() < self._quiet_until:
            return None
        answer = question()
        if not answer.available:
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            return None
        return answer


_breaker = _Breaker()


def ask_engine(question: Callable[[], A]) -> A | None:
    """The engine's answer, or None when it does not answer now or did not a moment ago."""
    return _breaker.ask(question)


def timeline(*, subjects: list[tuple[str, str]], workflow_ids: list[str]) -> Timeline:
    """The newest lines about these (type, id) subjects and these workflows."""
    entries: list[AuditEntry] = []
    cut = False
    # One query per subject: each is a walk along the index on (type, id, -id).
    for subject_type, subject_id in subjects:
        found = AuditEntry.objects.filter(subject_type=subject_type, subject_id=subject_id)
        newest = list(found.order_by("-id")[: MOST_ENTRIES + 1])
        cut = cut or len(newest) > MOST_ENTRIES
        entries += newest[:MOST_ENTRIES]
    lines = [_told(entry) for entry in entries]
    degraded = False
    for workflow_id in filter(None, workflow_ids):
        history = ask_engine(partial(reads.history_events, workflow_id, MOST_EVENTS))
        if history is None:
            degraded = True
            continue
        cut = cut or history.truncated
        lines += [_event(event) for event in history.events if _worth_telling(event)]
    lines.sort(key=lambda line: line.at, reverse=True)
    return Timeline(
        lines=lines,
        degraded=degraded,
        cut=cut,
        engine_url=temporal_url(workflow_ids[0]) if workflow_ids else "",
    )


def _told(entry: AuditEntry) -> Line:
    body = entry.body if isinstance(entry.body, dict) else {}
    refused = entry.outcome == AuditEntry.Outcome.REFUSED
    told = body.get("detail") if refused else body.get("reason")
    return Line(
        at=entry.at,
        text=entry.action.replace(".", ": ").replace("_", " ").capitalize(),
        who=entry.actor_label,
        via=entry.via,
        detail=str(told) if told else "",
        refused=refused,
    )


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
