"""A webhook receiver: it checks signatures and counts repeated messages.

Endpoint /webhooks/sink; set the secret first. The code shows what a real receiver has to do.
"""

import base64
import hmac
import time
from collections import deque
from hashlib import sha256
from typing import Any

from apps.simulators.http import Answer, Refusal, Request

KEPT = 200
#: An older signature is a replay.
TOLERANCE_SECONDS = 300


class WebhookSink:
    """POST /webhooks/sink receives messages; POST /webhooks/behaviour {secret, status} sets the
    secret to check and the status to answer; GET /webhooks lists the messages, newest first."""

    def __init__(self) -> None:
        self.secret = ""
        self.status = 200
        self.heard: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._known: set[str] = set()

    async def answer(self, request: Request) -> Answer:
        """Route a request below /webhooks."""
        match request.method, [part for part in request.parts if part]:
            case "POST", ["sink"]:
                return self._take(request)
            case "POST", ["behaviour"]:
                return self._behave(request)
            case "GET", []:
                return Answer(200, {"messages": list(reversed(self.heard))})
        raise Refusal(404, "not_found", "There is no such address.")

    def _take(self, request: Request) -> Answer:
        message_id = request.headers.get("webhook-id", "")
        verified = verify(request, secret=self.secret, now=time.time())
        self.heard.append(
            {
                "id": message_id,
                "type": request.json().get("type", ""),
                "verified": verified,
                "duplicate": message_id in self._known,
                "body": request.json(),
            }
        )
        if self.secret and not verified:
            raise Refusal(401, "bad_signature", "The signature is not by our secret.")
        if self.status >= 300:
            raise Refusal(self.status, "told_to_fail", "As told.")
        self._known.add(message_id)
        return Answer(self.status, {"taken": message_id})

    def _behave(self, request: Request) -> Answer:
        document = request.json()
        status, secret = document.get("status", self.status), document.get("secret", self.secret)
        if not isinstance(status, int) or not 200 <= status < 600 or not isinstance(secret, str):
            raise Refusal(422, "bad_behaviour", "status is 200 to 599, secret a text.")
        self.status, self.secret = status, secret
        return Answer(200, {"status": self.status, "secret": bool(self.secret)})


def verify(request: Request, *, secret: str, now: float) -> bool:
    """Return whether one of the signatures is by the secret, and fresh."""
    headers = request.headers
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not secret or not timestamp.isdigit() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"))
    except ValueError:
        return False
    signed = f"{message_id}.{timestamp}.".encode() + request.body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected, one) for one in given)
