"""Schedules that an app wants to be there from the first start.

An app declares them in `AppConfig.ready()`, and `ensure` makes their rows after every migrate.
From then on a row is the operators': what they change or pause stays.
"""

from dataclasses import asdict, dataclass
from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.apps.registry import Apps
from django.db import DEFAULT_DB_ALIAS

from apps.common.registry import Registry


@dataclass(frozen=True)
class DefaultSchedule:
    """The fields of a `WorkflowSchedule`; `name` is also the schedule's id in the engine."""

    name: str
    workflow_type: str
    task_queue: str
    cron: str
    args: tuple[Any, ...] = ()
    note: str = ""
    time_zone: str = "UTC"


_schedules = Registry[DefaultSchedule]("schedule")


def declare(schedule: DefaultSchedule) -> None:
    """Make the schedule known. ImproperlyConfigured when its name is taken by another one."""
    _schedules.add(schedule.name, schedule)


def declared() -> list[DefaultSchedule]:
    """All of them."""
    return _schedules.values()


def ensure(
    *, app_config: AppConfig, using: str = DEFAULT_DB_ALIAS, apps: Apps = installed, **_: Any
) -> None:
    """Receiver of post_migrate: make the rows that are missing. Idempotent.

    The leading relay brings them to the engine (`apps.engine.schedules`).
    """
    if app_config.label != "engine":
        return
    try:
        model: Any = apps.get_model("engine", "WorkflowSchedule")
    except LookupError:
        return  # migrated back to before there were schedules
    rows = [model(**{**asdict(one), "args": list(one.args)}) for one in declared()]
    model.objects.using(using).bulk_create(rows, ignore_conflicts=True)
