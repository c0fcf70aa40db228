"""Time limits of workflows, from the settings."""

from django.conf import settings

from apps.engine.contracts import Timings


def timings() -> Timings:
    """Return the settings' seconds for a workflow's input, because a workflow must not read
    settings."""
    return Timings(
        activity=settings.ACTIVITY_TIMEOUT_SECONDS,
        heartbeat=settings.ACTIVITY_HEARTBEAT_SECONDS,
        deadline=settings.SAGA_DEADLINE_SECONDS,
        task=settings.WORKFLOW_TASK_TIMEOUT_SECONDS,
    )
