"""`webhook`: a message to another program, signed as our own webhooks are."""

import time
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from django.conf import settings

from apps.automations.contracts import NodeType
from apps.automations.nodes import answers, configured
from apps.automations.nodes.call import Call
from apps.automations.nodes.filling import filled_parts
from apps.automations.nodes.sending import answer_of
from apps.automations.values import json_of
from apps.notifications.signing import signature


def run(call: Call) -> dict[str, Any]:
    """Send the payload; return `{delivered, status, answer, attempts}`. A redirect is not followed
    and delivers nothing.

    The message has the same id at every try, and a signature for each of the operators' secrets.
    Raises Invalid `webhook_not_configured`, and as `answer_of` and `filled_parts`.
    """
    configured.check(NodeType.WEBHOOK)
    url, payload = filled_parts(call, "url", "payload", secrets=True)
    body = json_of({} if payload is None else payload).encode()
    answer = answer_of(
        call,
        str(call.data.get("method") or "POST").upper(),
        url,
        headers={"Content-Type": "application/json", **signed(call.key, body)},
        body=body,
    )
    return {
        "delivered": answer.status < 300,
        "status": answer.status,
        "answer": answers.value_of(answer, call.secrets),
        "attempts": call.number,
    }


def signed(key: str, body: bytes) -> dict[str, str]:
    """Return the headers of Standard Webhooks for the message of this idempotency key."""
    message_id = f"msg_{uuid5(NAMESPACE_URL, f'countersign:automation:{key}').hex}"
    timestamp = int(time.time())
    signatures = [
        signature(secret, message_id=message_id, timestamp=timestamp, body=body)
        for secret in settings.AUTOMATIONS_WEBHOOK_SECRETS
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
