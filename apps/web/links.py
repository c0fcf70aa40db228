"""Links into the Temporal UI."""

from typing import TYPE_CHECKING
from urllib.parse import quote

from django.conf import settings

if TYPE_CHECKING:
    from apps.accounts.models import User

#: What the pages of runs ask for. Whoever has it may be led to the Temporal UI as well.
VIEW_RUNS = "engine.view_workflowrun"


def temporal_url(workflow_id: str) -> str:
    """Return the workflow's URL in the Temporal UI; empty when no UI is configured."""
    if not settings.TEMPORAL_UI_URL or not workflow_id:
        return ""
    namespace = quote(settings.TEMPORAL_NAMESPACE, safe="")
    return (
        f"{settings.TEMPORAL_UI_URL}/namespaces/{namespace}/workflows/{quote(workflow_id, safe='')}"
    )


def temporal_url_for(user: "User", workflow_id: str) -> str:
    """As `temporal_url`, for users who may see the pages of runs; empty for all others."""
    return temporal_url(workflow_id) if user.has_perm(VIEW_RUNS) else ""
