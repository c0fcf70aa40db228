"""Messages to the engine, written in the transaction that decides them; and the mirror's writes.

Nobody else changes anything in Temporal. The relay sends what stands here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apps.audit import services as audit
from apps.audit.contracts import Actor
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.identifiers import new_id
from apps.engine import subjects
from apps.engine.contracts import CommandKind, CommandState, RunStatus, SignalEnvelope, Timings
from apps.engine.mirror import Observation, runs_observe
from apps.engine.models import EngineCommand, WorkflowRun, WorkflowSchedule
from apps.engine.outbox import command_enqueue

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")


# --- commands -----------------------------------------------------------------------------------
def timings() -> Timings:
    """The settings' seconds, for a workflow's input: it must not read settings."""
    return Timings(
        activity=settings.ACTIVITY_TIMEOUT_SECONDS,
        heartbeat=settings.ACTIVITY_HEARTBEAT_SECONDS,
        deadline=settings.SAGA_DEADLINE_SECONDS,
        task=settings.WORKFLOW_TASK_TIMEOUT_SECONDS,
    )


def workflow_start(
    *,
    key: str,
    workflow_id: str,
    workflow_type: str,
    task_queue: str,
    args: Sequence[Any],
    subject_type: str,
    subject_id: str,
    execution_timeout_seconds: float | None = None,
    task_timeout_seconds: float | None = None,
    search_attributes: Mapping[str, str] | None = None,
    allow_duplicate_failed: bool = False,
) -> EngineCommand:
    """Have a workflow started; joins the caller's transaction.

    `args` are dataclasses or JSON. A workflow id that ever ran is not started again and counts as
    done; with `allow_duplicate_failed` it is, unless the last run completed or still runs. The
    same key gives the command that exists; Conflict `command_key_reused` if that one differs.
    """
    options = {
        "execution_timeout_seconds": execution_timeout_seconds,
        "task_timeout_seconds": task_timeout_seconds,
        "search_attributes": dict(search_attributes or {}) or None,
        "allow_duplicate_failed": allow_duplicate_failed or None,
    }
    if any(not _ATTRIBUTE.fullmatch(name) for name in search_attributes or {}):
        raise Invalid("a search attribute has a name that is none", code="bad_search_attribute")
    return command_enqueue(
        key=key,
        kind=CommandKind.START,
        workflow_id=workflow_id,
        workflow_type=workflow_type,
        task_queue=task_queue,
        args=list(args),
        options={name: value for name, value in options.items() if value is not None},
        subject_type=subject_type,
        subject_id=subject_id,
    )


def workflow_signal(
    *,
    key: str,
    workflow_id: str,
    task_queue: str,
    name: str,
    subject_type: str,
    subject_id: str,
    note: str = "",
) -> EngineCommand:
    """Have a workflow woken; joins the caller's transaction. Never overtakes its start.

    The signal's argument is SignalEnvelope(command=key, …). Keys as in `workflow_start`.
    """
    return command_enqueue(
        key=key,
        kind=CommandKind.SIGNAL,
        workflow_id=workflow_id,
        task_queue=task_queue,
        name=name,
        args=[SignalEnvelope(command=key, subject_id=subject_id, note=note)],
        subject_type=subject_type,
        subject_id=subject_id,
    )


def command_retry(*, command_id: int, by: Actor, via: str, reason: str) -> EngineCommand:
    """Send a parked command again, now; outermost verb, audited.

    Raises NotFound, Invalid `reason_required`, Conflict `not_parked`.
    """
    with _audited("engine.command_retry", command_id, by, via), transaction.atomic(durable=True):
        command = _locked(command_id, reason)
        if command.state != CommandState.PARKED:
            raise Conflict("only a parked command is sent again", code="not_parked")
        command.state = CommandState.PENDING
        command.next_try_at = timezone.now()
        command.strikes = 0
        command.save(update_fields=["state", "next_try_at", "strikes"])
        _record("engine.command_retry", command, by, via, reason)
        _wake_relay()
        return command


def command_discard(*, command_id: int, by: Actor, via: str, reason: str) -> EngineCommand:
    """Give up a command that waits, so that later ones of its workflow go on; outermost, audited.

    Its subject hears in the same transaction that the message never arrives (`on_undeliverable`).
    Raises NotFound, Invalid `reason_required`, Conflict `already_settled`, or `in_flight` while
    the relay is sending it.
    """
    with _audited("engine.command_discard", command_id, by, via), transaction.atomic(durable=True):
        command = _locked(command_id, reason)
        if command.state == CommandState.LEASED:
            raise Conflict("the command is being sent now", code="in_flight")
        if command.state not in EngineCommand.UNSETTLED:
            raise Conflict("the command is settled", code="already_settled")
        command.state = CommandState.DISCARDED
        command.settled_at = timezone.now()
        _record("engine.command_discard", command, by, via, reason)
        # What the subject, and whoever looks the command up, read of it.
        error = f"{by} gave it up: {reason} {command.error}"
        command.error = error.replace("\0", "").strip()[:4000]
        command.save(update_fields=["state", "settled_at", "error"])
        if subject := subjects.get(command.subject_type):
            subject.on_undeliverable(command)
        _wake_relay()
        return command


# --- schedules ----------------------------------------------------------------------------------
def schedule_put(
    *,
    name: str,
    workflow_type: str,
    task_queue: str,
    cron: str,
    time_zone: str = "UTC",
    args: Sequence[Any] | None = None,
    paused: bool = False,
    note: str = "",
    by: Actor | None,
    via: str,
) -> WorkflowSchedule:
    """Write the schedule's row and have the engine made equal to it; joins, audited.

    Raises Invalid `bad_schedule_name`, `bad_cron`, `bad_time_zone`, `bad_arguments`.
    """
    values = {
        "workflow_type": workflow_type,
        "task_queue": task_queue,
        "cron": " ".join(cron.split()),
        "time_zone": time_zone,
        "args": list(args or []),
        "paused": paused,
        "note": note,
    }
    _check_schedule(name, values, args)
    row, created = WorkflowSchedule.objects.select_for_update().get_or_create(
        name=name, defaults=values
    )
    before = {field: getattr(row, field) for field in values}
    if not created:
        if before == values:
            return row
        for field, value in values.items():
            setattr(row, field, value)
        row.version += 1
        row.save()
    audit.entry_record(
        action="engine.schedule_put",
        subject_type="schedule",
        subject_id=name,
        by=by,
        via=via,
        body={"before": {} if created else before, "after": values},
    )
    _schedule_changed(row)
    return row


def schedule_remove(*, name: str, by: Actor | None, via: str) -> None:
    """Delete the row and have the schedule removed; joins, audited. Raises NotFound."""
    row = WorkflowSchedule.objects.select_for_update().filter(name=name).first()
    if row is None:
        raise NotFound("there is no such schedule")
    row.delete()
    audit.entry_record(
        action="engine.schedule_remove",
        subject_type="schedule",
        subject_id=name,
        by=by,
        via=via,
        body={"version": row.version},
    )
    _schedule_changed(row)


# --- the mirror ---------------------------------------------------------------------------------
def run_observe(
    *,
    workflow_id: str,
    run_id: str,
    workflow_type: str,
    task_queue: str,
    status: str,
    at: datetime,
    confirmed: bool,
) -> bool:
    """Note what somebody saw of a run; whether that was news. Joins the caller's transaction.

    `at`: when it started (running) or ended. Never goes backwards: a confirmed end stays, and an
    unconfirmed one gives way only to the server's later word.
    """
    return bool(
        runs_observe(
            [
                Observation(
                    workflow_id=workflow_id,
                    run_id=run_id,
                    workflow_type=workflow_type,
                    task_queue=task_queue,
                    status=RunStatus(status),
                    started_at=at if status == RunStatus.RUNNING else None,
                    closed_at=None if status == RunStatus.RUNNING else at,
                    seen_at=at,
                    confirmed=confirmed,
                )
            ]
        )
    )


def workflow_is_closed(*, workflow_id: str) -> bool:
    """Whether the mirror's newest run of the workflow has ended; False when it knows none.

    A run that continued as new goes on under another run id; one that the server has lost is
    started again from its row.
    """
    return workflow_id in workflows_closed(workflow_ids=[workflow_id])


def workflows_closed(*, workflow_ids: Iterable[str]) -> set[str]:
    """Those of them that have ended, as `workflow_is_closed` says it of one; in one query."""
    newest = (
        WorkflowRun.objects.filter(workflow_id__in=set(workflow_ids))
        .order_by("workflow_id", "-started_at", "-id")
        .distinct("workflow_id")
        .values_list("workflow_id", "status")
    )
    alive = {RunStatus.RUNNING, RunStatus.CONTINUED_AS_NEW, RunStatus.LOST}
    return {workflow_id for workflow_id, status in newest if status not in alive}


# --- helpers ------------------------------------------------------------------------------------
def _locked(command_id: int, reason: str) -> EngineCommand:
    if not reason.strip():
        raise Invalid("a reason is required", code="reason_required")
    command = EngineCommand.objects.select_for_update().filter(pk=command_id).first()
    if command is None:
        raise NotFound("there is no such command")
    return command


def _audited(action: str, command_id: int, by: Actor, via: str) -> Any:
    return audit.refusals(
        action=action, subject_type="engine_command", subject_id=str(command_id), by=by, via=via
    )


def _record(action: str, command: EngineCommand, by: Actor, via: str, reason: str) -> None:
    audit.entry_record(
        action=action,
        subject_type="engine_command",
        subject_id=str(command.pk),
        by=by,
        via=via,
        body={"reason": reason, "key": command.key, "kind": command.kind, "error": command.error},
    )


def _wake_relay() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [EngineCommand.CHANNEL])


_CRON_FIELD = re.compile(r"[0-9A-Za-z*,/?#-]{1,40}")


def _check_schedule(name: str, values: Mapping[str, Any], args: object) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name):
        raise Invalid("a schedule's name has letters, digits, - and _", code="bad_schedule_name")
    fields = values["cron"].split(" ")
    if len(fields) != 5 or not all(_CRON_FIELD.fullmatch(field) for field in fields):
        raise Invalid("cron has five fields: minute hour day month weekday", code="bad_cron")
    if values["time_zone"] not in available_timezones():
        raise Invalid(f"there is no time zone {values['time_zone']!r}", code="bad_time_zone")
    if not isinstance(args, list | tuple | None):
        raise Invalid("the arguments are a JSON list", code="bad_arguments")


def _schedule_changed(row: WorkflowSchedule) -> None:
    """The relay reads the row again when it sends: only the last of several changes counts."""
    command_enqueue(
        key=f"schedule:{row.name}:{new_id()}",
        kind=CommandKind.SCHEDULE,
        workflow_id=f"schedule:{row.name}",
        task_queue=row.task_queue,
        name=row.name,
        options={"version": row.version},
        subject_type="schedule",
        subject_id=row.name,
    )
