"""Queries of outgoing messages for apps above streams."""

from django.db.models import QuerySet

from apps.streams.models import OutgoingMessage


def messages_of(subject_type: str, subject_id: object) -> QuerySet[OutgoingMessage]:
    """Return the row's messages, the newest first."""
    return OutgoingMessage.objects.filter(
        subject_type=subject_type, subject_id=str(subject_id)
    ).order_by("-pk")
