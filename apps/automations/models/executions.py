"""Executions, their nodes, and what happened to them."""

import json
from typing import Any

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.automations.contracts import (
    LONGEST_ID,
    ExecutionStatus,
    NodeStatus,
    NodeType,
    Outcome,
    Runner,
)
from apps.automations.models.definitions import AutomationVersion
from apps.engine.models_abstract import (
    AskedQuerySet,
    ProcessRow,
    asked_once,
    end_stays,
    status_field,
)

OPEN = [status for status in ExecutionStatus if not status.ended]
#: A failed execution can be resumed; what has ended otherwise never begins again.
ENDS = (ExecutionStatus.COMPLETED, ExecutionStatus.CANCELLED)
#: Nodes that never run again. One that failed, or was blocked, may.
FINISHED = (NodeStatus.COMPLETED, NodeStatus.SKIPPED, NodeStatus.CANCELLED)


class ExecutionQuerySet(AskedQuerySet["Execution"]):
    """Queries that pages, API and admin share."""

    view_permission = "automations.view_execution"
    open_statuses = OPEN
    listed_with = ("requested_by", "definition__automation")

    def for_list(self) -> "ExecutionQuerySet":
        """Return the rows newest first, without what only their pages show."""
        return super().for_list().defer("params", "result", "definition__text")


class Execution(ProcessRow):
    """One run of a definition. Others know it by the id of its workflow."""

    # Nobody of the site asked for what was started in the engine.
    requested_by = models.ForeignKey(  # type: ignore[assignment]
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    definition = models.ForeignKey(
        AutomationVersion, on_delete=models.PROTECT, related_name="executions"
    )
    runner = models.CharField(max_length=10, choices=[(one, one) for one in Runner])
    status = status_field(ExecutionStatus.PENDING, longest=10)
    params = models.TextField(default="{}", help_text="What it was given, as JSON.")
    result = models.TextField(blank=True, help_text="As JSON, once it is completed.")
    attempt = models.PositiveSmallIntegerField(default=1, help_text="Since it was last resumed.")
    resumes = models.PositiveIntegerField(default=0, help_text="How often somebody resumed it.")
    done = models.PositiveIntegerField(default=0, help_text="Nodes that have come to an end.")
    repeats = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    from_node = models.CharField(
        max_length=LONGEST_ID, blank=True, help_text="Where it begins, if it repeats another one."
    )
    # Without the engine a process works on it until then; after that the next one does.
    lease = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    objects = ExecutionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [asked_once("execution_key_once")]
        indexes = [
            models.Index(F("created_at").desc(), F("id").desc(), name="executions_newest"),
            models.Index(
                F("requested_by"), F("created_at").desc(), F("id").desc(), name="executions_asked"
            ),
            models.Index(
                F("definition"), F("created_at").desc(), F("id").desc(), name="executions_of"
            ),
            models.Index(
                F("created_at"), F("id"), condition=Q(status__in=OPEN), name="executions_open"
            ),
            models.Index(
                fields=["-settled_at"],
                include=["error_code"],
                condition=Q(status=ExecutionStatus.FAILED),
                name="executions_failed",
            ),
            models.Index(
                fields=["lease_until"],
                condition=Q(runner=Runner.LOCAL, status__in=OPEN),
                name="executions_local",
            ),
        ]
        permissions = [("cancel_execution", "Can cancel and resume executions")]
        triggers = [end_stays(ENDS, name="execution_end_stays")]

    def __str__(self) -> str:
        return self.workflow_id

    @property
    def given(self) -> Any:
        """Return what it was given."""
        return json.loads(self.params)


class NodeRun(models.Model):
    """A node of an execution, from its beginning on. Without a row it is pending."""

    id = models.BigAutoField(primary_key=True)
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="nodes")
    index = models.PositiveIntegerField(help_text="Its place in the definition, from 0.")
    node_id = models.CharField(max_length=LONGEST_ID)
    type = models.CharField(max_length=12, choices=[(one, one) for one in NodeType])
    status = status_field(NodeStatus.RUNNING, longest=10)
    outcome = models.CharField(
        max_length=10,
        choices=[(one, one) for one in Outcome],
        default=Outcome.NONE,
        help_text="Which of its edges it has taken.",
    )
    tries = models.PositiveIntegerField(default=0, help_text="In all attempts of the run.")
    failures = models.PositiveIntegerField(
        default=0, help_text="Tries that failed in this attempt of the run."
    )
    output = models.TextField(blank=True, help_text="What the nodes after it read, as JSON.")
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.TextField(blank=True)
    final = models.BooleanField(
        default=False, help_text="Of a failure: another attempt would fail in the same way."
    )
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    wake_at = models.DateTimeField(
        null=True, blank=True, help_text="When a delay is over, or another try is due."
    )
    request_id = models.UUIDField(
        null=True, blank=True, help_text="The request that an approval waits for."
    )

    class Meta:
        db_table = "automations_node"
        ordering = ["execution_id", "index"]
        constraints = [
            models.UniqueConstraint(fields=["execution", "index"], name="node_of_execution_once")
        ]
        triggers = [
            pgtrigger.Protect(
                name="finished_node_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__status__in=list(FINISHED)),
            )
        ]

    def __str__(self) -> str:
        return self.node_id

    @property
    def value(self) -> Any:
        """Return its output; None without one."""
        return json.loads(self.output) if self.output else None


class ExecutionEvent(models.Model):
    """Something that happened to an execution, or to one of its nodes. Only ever added."""

    id = models.BigAutoField(primary_key=True)
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="history")
    at = models.DateTimeField(default=timezone.now)
    node_id = models.CharField(max_length=LONGEST_ID, blank=True)
    event = models.CharField(max_length=30)
    detail = models.TextField(blank=True)

    class Meta:
        db_table = "automations_event"
        ordering = ["execution_id", "id"]
        indexes = [
            models.Index(F("execution"), F("id"), name="execution_history"),
            models.Index(F("execution"), F("node_id"), F("id"), name="execution_node_history"),
        ]
        triggers = [pgtrigger.Protect(name="execution_event_stays", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return f"{self.event} {self.node_id}".strip()
