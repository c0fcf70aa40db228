"""Events that failed, until a person has dealt with them, and their counters."""

import pgtrigger
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper
from django.utils import timezone

from apps.common.identifiers import new_id
from apps.payments.contracts import SETTLED, QuarantineState, Stage
from apps.payments.models.events import Came, Intake
from apps.payments.reading import LONGEST_ID

#: What never changes: how it came. The payload may be deleted, once, when the row is settled.
_AS_IT_CAME = ("size", "digest", "source", "topic", "partition", "offset")
_PAYLOAD = ("raw", "key", "headers", "raw_deleted_at")
SETTLED_IN_SQL = ", ".join(f"'{state.value}'" for state in SETTLED)
_TOUCHES_PAYLOAD = pgtrigger.Condition(
    "(("
    + " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in _PAYLOAD)
    + f""") AND NOT (OLD.raw_deleted_at IS NULL AND NEW.raw_deleted_at IS NOT NULL
    AND NEW.state IN ({SETTLED_IN_SQL})
    AND NEW.raw IS NULL AND NEW.key IS NULL AND NEW.headers = '[]'::jsonb))"""
)


class QuarantineGroup(models.Model):
    """Events that failed alike: at the same stage, with the same code, in the same field. Its
    counters change in the transactions that change its events."""

    fingerprint = models.CharField(max_length=64, unique=True)
    stage = models.CharField(max_length=12, choices=[(stage, stage) for stage in Stage])
    code = models.CharField(max_length=60)
    field = models.CharField(max_length=200, blank=True)
    open = models.PositiveIntegerField(default=0)
    replaying = models.PositiveIntegerField(default=0)
    replayed = models.PositiveIntegerField(default=0)
    discarded = models.PositiveIntegerField(default=0)
    superseded = models.PositiveIntegerField(default=0)
    retargeted = models.PositiveIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    alerted_level = models.PositiveIntegerField(
        db_default=0, help_text="So many were open when people were told last: 10, 100, 1,000 …"
    )
    alerted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payment_events_quarantine_group"
        ordering = ["-last_at", "-id"]
        indexes = [models.Index(F("last_at").desc(), F("id").desc(), name="quarantine_groups")]

    def __str__(self) -> str:
        return " ".join(part for part in (self.stage, self.code, self.field) if part)


class QuarantineHour(models.Model):
    """How many events of a group failed within an hour (UTC)."""

    group = models.ForeignKey(QuarantineGroup, on_delete=models.CASCADE, related_name="hours")
    hour = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "payment_events_quarantine_hour"
        ordering = ["group", "hour"]
        constraints = [
            models.UniqueConstraint(fields=["group", "hour"], name="quarantine_hour_once")
        ]

    def __str__(self) -> str:
        return f"{self.group_id} {self.hour:%Y-%m-%d %H}"


class QuarantinedEvent(Came):
    """A message that is no event, or an event that failed: as it came, and why."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    came_once = models.CharField(
        max_length=64, unique=True, help_text="Of where it came from: a redelivery has the same."
    )
    event_id = models.CharField(max_length=LONGEST_ID, null=True, blank=True)
    intake = models.ForeignKey(
        Intake, null=True, blank=True, on_delete=models.PROTECT, related_name="quarantined"
    )
    raw = models.BinaryField(null=True, blank=True, help_text="Empty is not the same as none.")
    wrapped = models.BooleanField(
        default=False, help_text="The event is inside, as its `original_payload`."
    )
    raw_deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="Bytes, key and headers are gone since."
    )
    size = models.PositiveBigIntegerField(help_text="Bytes that came; more than are kept of some.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of what came.")
    stage = models.CharField(max_length=12, choices=[(stage, stage) for stage in Stage])
    code = models.CharField(max_length=60)
    field = models.CharField(max_length=200, blank=True)
    errors = models.JSONField(default=list, blank=True, help_text="All of them; the first is it.")
    group = models.ForeignKey(QuarantineGroup, on_delete=models.PROTECT, related_name="events")
    state = models.CharField(
        max_length=10,
        choices=[(state, state) for state in QuarantineState],
        default=QuarantineState.OPEN,
    )
    attempt = models.PositiveIntegerField(default=1)
    edit = models.PositiveIntegerField(
        default=0, help_text="The version that failed so; 0: as it came."
    )
    carried = models.PositiveIntegerField(
        default=0, help_text="The version that was replayed last; 0: as it came."
    )
    failed_at = models.DateTimeField(default=timezone.now, help_text="At this attempt.")
    review_at = models.DateTimeField(
        null=True, blank=True, help_text="It waits for a person in the engine too since."
    )
    search_text = models.TextField(
        blank=True, help_text="What it is found by: ids, codes and names, cut."
    )
    seen = models.PositiveIntegerField(default=1, help_text="How often it came.")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        db_table = "payment_events_quarantine"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(
                F("group"),
                F("created_at").desc(),
                F("id").desc(),
                name="quarantine_of_group",
            ),
            models.Index(F("created_at").desc(), F("id").desc(), name="quarantine_newest"),
            models.Index(
                fields=["event_id"],
                condition=Q(event_id__isnull=False),
                name="quarantine_of_event",
            ),
            models.Index(
                fields=["created_at", "id"],
                condition=Q(state="open", review_at=None),
                name="quarantine_unreviewed",
            ),
            models.Index(
                fields=["review_at"],
                condition=Q(state="open", review_at__isnull=False),
                name="quarantine_reviewed",
            ),
            GinIndex(
                OpClass(Upper("search_text"), name="gin_trgm_ops"),
                condition=Q(state="open"),
                name="quarantine_search",
            ),
            GinIndex(
                OpClass(Upper("search_text"), name="gin_trgm_ops"),
                condition=~Q(state="open"),
                name="quarantine_search_settled",
            ),
            models.Index(
                fields=["updated_at"],
                condition=Q(state__in=SETTLED, raw_deleted_at=None),
                name="quarantine_payloads",
            ),
        ]
        constraints = [
            # An event waits for a person once.
            models.UniqueConstraint(
                fields=["intake"],
                condition=Q(state__in=("open", "replaying")),
                name="quarantine_intake_once",
            ),
            # What waits for a person can be read by them.
            models.CheckConstraint(
                name="quarantine_open_has_payload",
                condition=Q(raw_deleted_at=None) | Q(state__in=SETTLED),
            ),
        ]
        permissions = [
            ("edit_quarantinedevent", "Can edit quarantined events"),
            ("replay_quarantinedevent", "Can replay quarantined events"),
            ("discard_quarantinedevent", "Can discard quarantined events"),
            ("import_quarantinedevent", "Can import edits of quarantined events"),
            ("read_payload", "Can read the content of quarantined events"),
        ]
        triggers = [
            pgtrigger.Protect(
                name="quarantine_as_it_came",
                operation=pgtrigger.UpdateOf(*_AS_IT_CAME),
                condition=pgtrigger.AnyChange(*_AS_IT_CAME),
            ),
            pgtrigger.Protect(
                name="quarantine_payload",
                operation=pgtrigger.UpdateOf(*_PAYLOAD),
                condition=_TOUCHES_PAYLOAD,
            ),
        ]

    def __str__(self) -> str:
        return self.event_id or str(self.pk)


class QuarantineAttempt(models.Model):
    """How an event failed at an earlier attempt; its row says how it failed at the last."""

    event = models.ForeignKey(QuarantinedEvent, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    edit = models.PositiveIntegerField(default=0, help_text="The version; 0: as it came.")
    stage = models.CharField(max_length=12, choices=[(stage, stage) for stage in Stage])
    code = models.CharField(max_length=60)
    field = models.CharField(max_length=200, blank=True)
    errors = models.JSONField(default=list, blank=True)
    failed_at = models.DateTimeField()

    class Meta:
        db_table = "payment_events_quarantine_attempt"
        ordering = ["event", "number"]
        constraints = [
            models.UniqueConstraint(fields=["event", "number"], name="quarantine_attempt_once")
        ]

    def __str__(self) -> str:
        return f"{self.number}. {self.code}"
