"""What this site refuses of a node: what no operator has configured, and what is not sent."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings

from apps.automations.contracts import NodeType
from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.outbound.sending import OF_CONNECTION

#: The path within the node, a stable code, what is wrong, and what to do about it.
Refusal = tuple[tuple[str, ...], str, str, str]


def check(type: NodeType) -> None:
    """Raise Invalid `webhook_not_configured`, `ai_not_configured` for what is not configured."""
    for _path, code, detail, _hint in _missing(type):
        raise Invalid(detail, code=code)


def check_header(name: str) -> None:
    """Raise Invalid `header_not_allowed` for a header that belongs to the connection."""
    if name.lower() in OF_CONNECTION:
        raise Invalid(
            filled(_("The header {name} is not for you to set."), name=name[:100]),
            code="header_not_allowed",
        )


def refused_here(type: NodeType | None, data: Mapping[str, Any]) -> Iterator[Refusal]:
    """Yield what the node would be refused for when it runs."""
    yield from _missing(type)
    headers = data.get("headers")
    if type is NodeType.API_CALL and isinstance(headers, dict):
        for name in headers:
            try:
                check_header(name)
            except Invalid as error:
                yield ("data", "headers", name), error.code, error.detail, ""


def _missing(type: NodeType | None) -> Iterator[Refusal]:
    if type is NodeType.WEBHOOK and not settings.AUTOMATIONS_WEBHOOK_SECRETS:
        detail = _("There is no key to sign webhooks of automations with.")
        yield (), "webhook_not_configured", detail, _("Operators set AUTOMATIONS_WEBHOOK_SECRET.")
    if type is NodeType.AI_AGENT and not (settings.AI_BASE_URL and settings.AI_MODEL):
        detail = _("No AI server is configured.")
        yield (), "ai_not_configured", detail, _("Operators set AI_BASE_URL and AI_MODEL.")
