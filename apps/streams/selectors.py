"""Queries of what goes to topics, for apps above streams and for the metrics."""

from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone

from apps.streams.models import OutEvent, OutgoingMessage
from apps.streams.outgoing import registered


def messages_of(subject_type: str, subject_id: object) -> QuerySet[OutgoingMessage]:
    """Return the row's messages, the newest first."""
    return OutgoingMessage.objects.filter(
        subject_type=subject_type, subject_id=str(subject_id)
    ).order_by("-pk")


def events_lag() -> dict[str, float]:
    """Return the age in seconds of the event that each registered topic gets next; 0: none
    waits."""
    return {stream.topic: lag_of(stream.topic) for stream in registered()}


def lag_of(topic: str) -> float:
    """As `events_lag`, for any topic. One row of the index of those that wait."""
    waiting = OutEvent.objects.filter(topic=topic, sent_at=None).order_by("position", "seq")
    since = waiting.values_list("created_at", flat=True).first()
    return 0.0 if since is None else max(0.0, (timezone.now() - since).total_seconds())


def is_emitted(topic: str, *, key: str, type: str, since: datetime) -> bool:
    """Return whether there is such an event of the key, sent or not, that occurred since then."""
    rows = OutEvent.objects.filter(topic=topic, key=key, type=type)
    return rows.filter(occurred_at__gte=since).exists()
