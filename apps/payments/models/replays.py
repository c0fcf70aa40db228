"""Replays of many quarantined events: a run with an item for each."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import ngettext

from apps.engine.models_abstract import (
    AskedQuerySet,
    Run,
    RunItem,
    asked_once,
    end_stays,
    status_field,
)
from apps.payments.contracts import ReplayItemStatus, ReplayStatus
from apps.payments.models.quarantine import QuarantinedEvent


class ReplayQuerySet(AskedQuerySet["ReplayRun"]):
    """Queries that pages, API and admin share."""

    view_permission = "payments.view_quarantinedevent"
    open_statuses = [status for status in ReplayStatus if not status.terminal]


class ReplayRun(Run):
    """A replay: which events were chosen, and how fast they go."""

    reason = models.TextField(max_length=2000, blank=True)
    chosen = models.JSONField(default=dict, help_text="The filter, the group, or how many ids.")
    rate = models.PositiveSmallIntegerField(help_text="Events a second, after the ramp.")
    stop_share = models.FloatField(
        help_text="Pauses by itself when more than this share of at least five has failed again."
    )
    ramp_from = models.DateTimeField(
        null=True, blank=True, help_text="Since then: the ramp and the share are counted from here."
    )
    paced_at = models.DateTimeField(null=True, blank=True, help_text="Of the last wave.")
    status = status_field(ReplayStatus.PENDING, longest=10)

    objects = ReplayQuerySet.as_manager()

    class Meta:
        db_table = "payments_replay_run"
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="replay_share", condition=Q(stop_share__gte=0) & Q(stop_share__lte=1)
            ),
            asked_once("replay_key_once"),
        ]
        indexes = [models.Index(F("created_at").desc(), F("id").desc(), name="replays_newest")]
        triggers = [
            end_stays(
                [status for status in ReplayStatus if status.terminal], name="replay_end_stays"
            )
        ]

    def __str__(self) -> str:
        text = ngettext("Replay of {total} event", "Replay of {total} events", self.total)
        return text.format(total=self.total)


class ReplayItem(RunItem):
    """An event of a replay, bound to the version that was the newest when the replay was made."""

    run = models.ForeignKey(ReplayRun, on_delete=models.CASCADE, related_name="items")
    event = models.ForeignKey(QuarantinedEvent, on_delete=models.PROTECT, related_name="replays")
    edit = models.PositiveIntegerField(default=0, help_text="The version; 0: as it came.")
    begun_at = models.DateTimeField(null=True, blank=True)
    status = status_field(ReplayItemStatus.WAITING, longest=10)

    class Meta:
        db_table = "payments_replay_item"
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="replay_item_number"),
            # Two replays never have the same event at once.
            models.UniqueConstraint(
                fields=["event"],
                condition=Q(status__in=("waiting", "running")),
                name="replay_item_open_once",
            ),
        ]
        indexes = [
            models.Index(fields=["run", "status", "number"], name="replay_items_by_status"),
            models.Index(
                fields=["run", "begun_at"],
                condition=Q(begun_at__isnull=False),
                name="replay_items_begun",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number}. {self.status}"
