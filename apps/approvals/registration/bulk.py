"""Registers bulk decisions with the engine and with live pages."""

from apps.approvals.models.bulk import VIEW_OTHERS_PERMISSION
from apps.approvals.services.bulk_rows import RUN
from apps.engine import runs


def register() -> None:
    """Register the run. Called once, when Django is ready."""
    runs.register(RUN, view=VIEW_OTHERS_PERMISSION)
