"""Links into the Temporal UI."""

from urllib.parse import quote

from django.conf import settings


def temporal_url(workflow_id: str) -> str:
    """Return the workflow's URL in the Temporal UI; empty when no UI is configured."""
    if not settings.TEMPORAL_UI_URL or not workflow_id:
        return ""
    namespace = quote(settings.TEMPORAL_NAMESPACE, safe="")
    return (
        f"{settings.TEMPORAL_UI_URL}/namespaces/{namespace}/workflows/{quote(workflow_id, safe='')}"
    )
