"""Schedules that an app needs from the first start.

An app declares them in `AppConfig.ready()`, and `ensure` inserts their rows after every migrate.
After that the rows belong to the operators: their changes and pauses stay.
"""

from dataclasses import asdict, dataclass
from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.apps.registry import Apps
from django.db import DEFAULT_DB_ALIAS

from apps.common.registry import Registry
from apps.engine.contracts import CATCH_UP_SECONDS


@dataclass(frozen=True)
class DefaultSchedule:
    """The fields of a `WorkflowSchedule`; `name` is also the schedule's id in Temporal.

    `catch_up_seconds`: a run missed for longer than this is left out. `execution_timeout_seconds`:
    after this the engine ends a run; None: never.
    """

    name: str
    workflow_type: str
    task_queue: str
    cron: str
    args: tuple[Any, ...] = ()
    note: str = ""
    time_zone: str = "UTC"
    catch_up_seconds: int = CATCH_UP_SECONDS
    execution_timeout_seconds: int | None = None


_schedules = Registry[DefaultSchedule]("schedule")


def declare(schedule: DefaultSchedule) -> None:
    """Register the schedule. Raises ImproperlyConfigured when another schedule has its name."""
    _schedules.add(schedule.name, schedule)


def declared() -> list[DefaultSchedule]:
    """Return all declared schedules."""
    return _schedules.values()


def ensure(
    *, app_config: AppConfig, using: str = DEFAULT_DB_ALIAS, apps: Apps = installed, **_: Any
) -> None:
    """Insert the missing rows. Receiver of post_migrate; idempotent.

    The leading relay applies them to Temporal (`apps.engine.schedules`).
    """
    if app_config.label != "engine":
        return
    try:
        model: Any = apps.get_model("engine", "WorkflowSchedule")
    except LookupError:
        return  # migrated back to before the schedules' table
    rows = [model(**{**asdict(one), "args": list(one.args)}) for one in declared()]
    model.objects.using(using).bulk_create(rows, ignore_conflicts=True)
