"""Schedules as data: services write the row, the relay makes Temporal's schedule equal to it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import available_timezones

from apps.audit import services as audit
from apps.audit.contracts import Actor
from apps.common.errors import Invalid, NotFound
from apps.common.identifiers import new_id
from apps.engine.contracts import CommandKind
from apps.engine.models import WorkflowSchedule
from apps.engine.outbox import NewCommand, command_enqueue


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
    """Write the schedule's row and enqueue its synchronisation; joins the caller's transaction,
    audited.

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
    """Delete the row and enqueue the schedule's removal; joins the caller's transaction, audited.
    Raises NotFound."""
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


# --- helpers ------------------------------------------------------------------------------------
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
    """Enqueue a synchronisation. The relay reads the row when it sends, so only the last of several
    changes counts."""
    command_enqueue(
        NewCommand(
            key=f"schedule:{row.name}:{new_id()}",
            kind=CommandKind.SCHEDULE,
            workflow_id=f"schedule:{row.name}",
            task_queue=row.task_queue,
            name=row.name,
            options={"version": row.version},
            subject_type="schedule",
            subject_id=row.name,
        )
    )
