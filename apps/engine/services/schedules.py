"""Schedules as data: services write the row, the relay makes Temporal's schedule equal to it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from zoneinfo import available_timezones

from django.db import transaction
from django.db.models import Max

from apps.audit import services as audit
from apps.audit.contracts import Actor
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.identifiers import new_id
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine.contracts import (
    CATCH_UP_SECONDS,
    LEAST_CATCH_UP_SECONDS,
    MOST_SCHEDULE_SECONDS,
    CommandKind,
)
from apps.engine.models import EngineCommand, WorkflowSchedule
from apps.engine.outbox import NewCommand, command_enqueue
from apps.engine.services.operating import required_reason
from apps.live.broadcast import broadcast


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
    catch_up_seconds: int = CATCH_UP_SECONDS,
    execution_timeout_seconds: int | None = None,
    by: Actor | None,
    via: str,
) -> WorkflowSchedule:
    """Write the schedule's row and enqueue its synchronisation; joins the caller's transaction,
    audited.

    `catch_up_seconds`: a run missed for longer than this is left out. `execution_timeout_seconds`:
    after this the engine ends a run; None or 0: never. Raises Invalid `bad_schedule_name`,
    `bad_cron`, `bad_time_zone`, `bad_arguments`, `bad_catch_up`, `bad_execution_timeout`.
    """
    values = {
        "workflow_type": workflow_type,
        "task_queue": task_queue,
        "cron": " ".join(cron.split()),
        "time_zone": time_zone,
        "args": list(args or []),
        "paused": paused,
        "note": note,
        "catch_up_seconds": catch_up_seconds,
        "execution_timeout_seconds": execution_timeout_seconds or None,
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
    """Delete the row and enqueue the schedule's removal; joins the caller's transaction, audited.
    Raises NotFound."""
    row = WorkflowSchedule.objects.select_for_update().filter(name=name).first()
    if row is None:
        raise NotFound(_("there is no such schedule"))
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


# --- operators -----------------------------------------------------------------------------------
def schedule_pause(*, name: str, by: Actor, via: str, reason: str) -> WorkflowSchedule:
    """Pause the schedule: it begins no run until it is resumed; runs under way go on. Opens the
    outermost transaction; audited.

    Raises NotFound, Invalid `reason_required`, `reason_invalid`, Conflict `already_paused`.
    """
    with _operated("pause", name, by, via):
        row, reason = _locked(name), required_reason(reason)
        if row.paused:
            raise Conflict(_("The schedule is paused."), code="already_paused")
        return _set_paused(row, True, by, via, reason)


def schedule_resume(*, name: str, by: Actor, via: str, reason: str) -> WorkflowSchedule:
    """Let a paused schedule go on with its next time; what it left out is not caught up. Opens the
    outermost transaction; audited. Raises as `schedule_pause`, Conflict `not_paused`."""
    with _operated("resume", name, by, via):
        row, reason = _locked(name), required_reason(reason)
        if not row.paused:
            raise Conflict(_("The schedule is not paused."), code="not_paused")
        return _set_paused(row, False, by, via, reason)


def schedule_run_now(*, name: str, seen: int, by: Actor, via: str, reason: str) -> EngineCommand:
    """Let the schedule begin a run now, also while it is paused; not while a run of it is under
    way. Opens the outermost transaction; audited.

    `seen`: what `last_asked` said when the caller decided. If somebody has asked since then it is
    refused: two callers at once, and a form that was sent twice, begin one run. Raises NotFound,
    Invalid as `schedule_pause`, Conflict `already_asked`.
    """
    with _operated("run_now", name, by, via):
        row, reason = _locked(name), required_reason(reason)
        if last_asked([name]).get(name, 0) != seen:
            raise Conflict(_("Somebody has asked for a run meanwhile."), code="already_asked")
        command = _schedule_changed(row, run_now=str(new_id()))
        _record("run_now", row, by, via, reason)
        return command


def last_asked(names: Sequence[str]) -> dict[str, int]:
    """Return the newest command that asked each schedule for a run now, of those that have one."""
    ids = {schedule_workflow_id(name): name for name in names}
    commands = EngineCommand.objects.filter(
        workflow_id__in=list(ids), kind=CommandKind.SCHEDULE, options__has_key="run_now"
    )
    newest = commands.values("workflow_id").annotate(newest=Max("id")).order_by()
    return {ids[one["workflow_id"]]: one["newest"] for one in newest}


# --- helpers ------------------------------------------------------------------------------------
def schedule_workflow_id(name: str) -> str:
    """Return the id under which the outbox keeps the order of a schedule's commands."""
    return f"schedule:{name}"


@contextmanager
def _operated(verb: str, name: str, by: Actor, via: str) -> Iterator[None]:
    told: dict[str, Any] = {"subject_type": "schedule", "subject_id": name, "by": by, "via": via}
    with (
        audit.refusals(action=f"engine.schedule_{verb}", **told),
        transaction.atomic(durable=True),
    ):
        yield


def _locked(name: str) -> WorkflowSchedule:
    row = WorkflowSchedule.objects.select_for_update().filter(name=name).first()
    if row is None:
        raise NotFound(_("there is no such schedule"))
    return row


def _set_paused(
    row: WorkflowSchedule, paused: bool, by: Actor, via: str, reason: str
) -> WorkflowSchedule:
    row.paused = paused
    row.version += 1
    row.save(update_fields=["paused", "version", "updated_at"])
    _record("pause" if paused else "resume", row, by, via, reason)
    _schedule_changed(row)
    return row


def _record(verb: str, row: WorkflowSchedule, by: Actor, via: str, reason: str) -> None:
    audit.entry_record(
        action=f"engine.schedule_{verb}",
        subject_type="schedule",
        subject_id=row.name,
        by=by,
        via=via,
        body={"reason": reason, "version": row.version},
    )


_CRON_FIELD = re.compile(r"[0-9A-Za-z*,/?#-]{1,40}")


def _check_schedule(name: str, values: Mapping[str, Any], args: object) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name):
        raise Invalid(_("a schedule's name has letters, digits, - and _"), code="bad_schedule_name")
    fields = values["cron"].split(" ")
    if len(fields) != 5 or not all(_CRON_FIELD.fullmatch(field) for field in fields):
        raise Invalid(_("cron has five fields: minute hour day month weekday"), code="bad_cron")
    if values["time_zone"] not in available_timezones():
        raise Invalid(
            filled(_("there is no time zone {time_zone!r}"), time_zone=values["time_zone"]),
            code="bad_time_zone",
        )
    if not isinstance(args, list | tuple | None):
        raise Invalid(_("the arguments are a JSON list"), code="bad_arguments")
    if not LEAST_CATCH_UP_SECONDS <= values["catch_up_seconds"] <= MOST_SCHEDULE_SECONDS:
        raise Invalid(
            filled(
                _("a run is caught up within {least} to {most} seconds"),
                least=LEAST_CATCH_UP_SECONDS,
                most=MOST_SCHEDULE_SECONDS,
            ),
            code="bad_catch_up",
        )
    if not 1 <= (values["execution_timeout_seconds"] or 1) <= MOST_SCHEDULE_SECONDS:
        raise Invalid(
            filled(_("a run may take 1 to {most} seconds"), most=MOST_SCHEDULE_SECONDS),
            code="bad_execution_timeout",
        )


def _schedule_changed(row: WorkflowSchedule, **options: str) -> EngineCommand:
    """Enqueue a synchronisation. The relay reads the row when it sends, so only the last of several
    changes counts. With the option `run_now` it then begins a run."""
    command = command_enqueue(
        NewCommand(
            key=f"schedule:{row.name}:{new_id()}",
            kind=CommandKind.SCHEDULE,
            workflow_id=schedule_workflow_id(row.name),
            task_queue=row.task_queue,
            name=row.name,
            options={"version": row.version, **options},
            subject_type="schedule",
            subject_id=row.name,
        )
    )
    broadcast("engine", id=str(command.pk), version=command.attempts)
    return command
