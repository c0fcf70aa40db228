"""Tables of the engine: outbox, mirror of runs, schedules, process heartbeats."""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.common.identifiers import new_id
from apps.common.language import lazy as _
from apps.engine.contracts import (
    CATCH_UP_SECONDS,
    LEAST_CATCH_UP_SECONDS,
    MOST_SCHEDULE_SECONDS,
    CommandKind,
    CommandState,
    RunStatus,
)

_TITLES = {
    CommandKind.START: _("start"),
    CommandKind.SIGNAL: _("signal {name}"),
    CommandKind.CANCEL: _("cancel"),
    CommandKind.TERMINATE: _("terminate"),
    CommandKind.SCHEDULE: _("schedule {name}"),
}


class EngineCommand(models.Model):
    """One message to Temporal, written in the transaction that decides it.

    `key` is unique: the same decision never makes two commands. The relay takes only the oldest
    unsettled command (by `id`) of each workflow, so that no signal overtakes its start.
    """

    key = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=10, choices=[(k, k) for k in CommandKind])
    workflow_id = models.CharField(max_length=200)
    workflow_type = models.CharField(max_length=80, blank=True)
    task_queue = models.CharField(max_length=80, blank=True)
    name = models.CharField(max_length=80, blank=True, help_text="Signal or schedule name.")
    args = models.JSONField(default=list, help_text="Positional arguments, as JSON.")
    options = models.JSONField(
        default=dict,
        help_text="execution_timeout_seconds, task_timeout_seconds, allow_duplicate_failed, "
        "allow_duplicate, unmirrored, reason",
    )
    subject_type = models.CharField(max_length=60, blank=True)
    subject_id = models.CharField(max_length=80, blank=True)
    correlation_id = models.CharField(max_length=80, blank=True)

    state = models.CharField(
        max_length=15, choices=[(s, s) for s in CommandState], default=CommandState.PENDING
    )
    attempts = models.PositiveIntegerField(default=0)
    strikes = models.PositiveIntegerField(
        default=0, help_text="Failures that were not the servers being away; they count to parking."
    )
    next_try_at = models.DateTimeField(
        default=timezone.now, help_text="While leased: the end of the lease."
    )
    lease_token = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    run_id = models.CharField(max_length=80, blank=True)
    behind_run = models.CharField(
        max_length=80,
        blank=True,
        db_default="",
        help_text="Of a second run's start: the run that it met and whose end it waits for.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    settled_at = models.DateTimeField(null=True)

    #: The PostgreSQL notification channel that wakes the relay.
    CHANNEL = "engine_command"
    UNSETTLED = (CommandState.PENDING, CommandState.LEASED, CommandState.PARKED)

    class Meta:
        indexes = [
            models.Index(
                name="command_oldest_unsettled",
                fields=["workflow_id", "id"],
                condition=Q(state__in=("pending", "leased", "parked")),
            ),
            # By queue: finding a healthy queue's command must not read thousands of due commands of
            # a queue that does not respond.
            models.Index(
                name="command_due",
                fields=["task_queue", "next_try_at", "id"],
                condition=Q(state__in=("pending", "leased")),
            ),
            models.Index(fields=["subject_type", "subject_id"]),
            # By the beginning of the workflow's id as well.
            models.Index(
                name="command_by_workflow",
                fields=["workflow_id", "kind"],
                opclasses=["varchar_pattern_ops", "varchar_ops"],
            ),
            models.Index(name="command_parked", fields=["id"], condition=Q(state="parked")),
            models.Index(
                name="command_given_up",
                fields=["id"],
                condition=Q(state__in=("undeliverable", "discarded")),
            ),
            # The order of the list of all that have not been sent, and the oldest of them.
            models.Index(
                name="command_not_sent",
                fields=["created_at", "id"],
                condition=Q(
                    state__in=("pending", "leased", "parked", "undeliverable", "discarded")
                ),
            ),
            # The order in which settled commands are deleted.
            models.Index(
                name="command_settled",
                fields=["settled_at", "id"],
                condition=Q(settled_at__isnull=False),
            ),
        ]
        triggers = [
            # A trigger, so that every kind of insert notifies. Sent at commit, once per
            # transaction.
            pgtrigger.Trigger(
                name="wake_relay",
                operation=pgtrigger.Insert,
                when=pgtrigger.After,
                level=pgtrigger.Statement,
                func="PERFORM pg_notify('engine_command', ''); RETURN NULL;",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.workflow_id}"

    @property
    def title(self) -> str:
        """Return what it asks of the engine."""
        return str(_TITLES[CommandKind(self.kind)]).format(name=self.name).strip()


class WorkflowRun(models.Model):
    """Mirror of one run of a people-facing workflow. Temporal is authoritative; this is for lists.

    `confirmed`: Temporal's visibility has reported it; until then a worker's report is used.
    """

    workflow_id = models.CharField(max_length=200)
    run_id = models.CharField(max_length=80)
    workflow_type = models.CharField(max_length=80)
    task_queue = models.CharField(max_length=80, blank=True)
    status = models.CharField(
        max_length=20, choices=[(s, s) for s in RunStatus], default=RunStatus.RUNNING
    )
    confirmed = models.BooleanField(default=False)
    subject_type = models.CharField(max_length=60, blank=True)
    subject_id = models.CharField(max_length=80, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(default=timezone.now)
    told_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="When the subject's on_closed had run; written in its transaction.",
    )

    #: Ends that somebody should look at.
    FAILED = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.TERMINATED)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workflow_id", "run_id"],
                name="one_row_per_run",
                # Its index finds runs by the beginning of the workflow's id as well.
                opclasses=["varchar_pattern_ops", "varchar_ops"],
            )
        ]
        indexes = [
            models.Index(name="run_open", fields=["seen_at"], condition=Q(status="running")),
            models.Index(
                name="run_not_told",
                fields=["id"],
                condition=Q(told_at__isnull=True, confirmed=True) & ~Q(status="running"),
            ),
            models.Index(
                name="run_unconfirmed",
                fields=["id"],
                condition=Q(confirmed=False) & ~Q(status="running"),
            ),
            models.Index(fields=["subject_type", "subject_id"]),
            # Few rows among many that completed: a list of failures must not read those.
            models.Index(
                name="run_not_completed",
                fields=["-started_at"],
                condition=Q(
                    status__in=(
                        "failed",
                        "timed_out",
                        "terminated",
                        "cancelled",
                        "lost",
                        "continued_as_new",
                    )
                ),
            ),
            models.Index(
                name="run_failed_at",
                fields=["closed_at"],
                condition=Q(status__in=("failed", "timed_out", "terminated")),
            ),
            models.Index(fields=["workflow_type", "-started_at"]),
            models.Index(fields=["-started_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.workflow_type} {self.workflow_id}"


class WorkflowSchedule(models.Model):
    """A Temporal Schedule as data; `syncschedules` makes the engine equal to these rows."""

    name = models.SlugField(max_length=80, unique=True, help_text="Also the schedule's id.")
    workflow_type = models.CharField(max_length=80)
    task_queue = models.CharField(max_length=80)
    cron = models.CharField(max_length=80, help_text="Five fields: minute hour day month weekday")
    time_zone = models.CharField(max_length=60, default="UTC")
    args = models.JSONField(default=list, blank=True)
    paused = models.BooleanField(default=False)
    note = models.CharField(max_length=200, blank=True)
    catch_up_seconds = models.PositiveIntegerField(
        default=CATCH_UP_SECONDS, help_text="A run missed for longer than this is left out."
    )
    execution_timeout_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="After this the engine ends a run; empty: never."
    )
    version = models.PositiveIntegerField(default=1, editable=False)
    applied = models.JSONField(
        default=dict,
        editable=False,
        help_text="Digests of the row and of the engine's answer when they were last made equal.",
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="schedule_catches_up",
                condition=Q(
                    catch_up_seconds__range=(LEAST_CATCH_UP_SECONDS, MOST_SCHEDULE_SECONDS)
                ),
            ),
            models.CheckConstraint(
                name="schedule_gives_time",
                condition=Q(execution_timeout_seconds=None)
                | Q(execution_timeout_seconds__range=(1, MOST_SCHEDULE_SECONDS)),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ProcessHeartbeat(models.Model):
    """A heartbeat of a process, for `/ready` and the workers page. `detail` has its version."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    role = models.CharField(max_length=20, help_text="worker, relay, site")
    name = models.CharField(max_length=120)
    queues = ArrayField(models.CharField(max_length=80), default=list)
    leading = models.BooleanField(default=False)
    detail = models.JSONField(default=dict)
    started_at = models.DateTimeField(default=timezone.now)
    beat_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["role", "name"], name="one_beat_per_process")
        ]
        indexes = [models.Index(fields=["role", "-beat_at"])]

    def __str__(self) -> str:
        return f"{self.role} {self.name}"


class EngineMark(models.Model):
    """How far a duty of the relay's leader has come, e.g. the sweeper in visibility."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} {self.at:%Y-%m-%d %H:%M:%S}"
