"""Forgets what `database` nodes have written, when nobody can ask for it again."""

from datetime import datetime, timedelta

from apps.automations.models import Write

#: As long as an execution may be resumed at the node that wrote.
KEPT = timedelta(days=366)
#: Rows of one statement.
STEP = 1_000


def writes_forget(*, now: datetime) -> int:
    """Delete the oldest STEP rows that are older than KEPT; return how many there were."""
    old = Write.objects.filter(at__lt=now - KEPT).order_by("at").values("key")[:STEP]
    return Write.objects.filter(key__in=old).delete()[0]
