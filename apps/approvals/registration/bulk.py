"""How bulk decisions plug into the engine and live pages."""

from apps.approvals import services
from apps.approvals.models.bulk import VIEW_OTHERS_PERMISSION
from apps.approvals.services.bulk_rows import BULK
from apps.engine import process


def register() -> None:
    """Called once, when Django is ready."""
    process.register(
        BULK,
        closed=services.bulk_closed,
        restart=services.bulk_restart,
        view=VIEW_OTHERS_PERMISSION,
        owner="by",
    )
