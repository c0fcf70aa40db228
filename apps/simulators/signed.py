"""Sending signed webhooks as Paystack does, as often and as wrong as told."""

import asyncio
import hmac
import json
import ssl
from collections import deque
from dataclasses import asdict, dataclass
from hashlib import sha512
from typing import Any

import httpx2

from apps.simulators.behaviour import LONGEST_DELAY
from apps.simulators.http import Refusal

KEPT = 500
SECONDS = 10.0
MOST_TIMES = 100


@dataclass(frozen=True)
class Sending:
    """How a webhook is sent: `times` at once with the same bytes, signed with another key when
    `forged`, and after `delay_seconds`, for which nobody waits."""

    times: int = 1
    forged: bool = False
    delay_seconds: float = 0.0

    @classmethod
    def parse(cls, told: Any) -> "Sending":
        """Return it for true, false, "twice", "forged", or an object of the fields. Raises Refusal
        422."""
        named = {True: cls(), False: cls(0), "twice": cls(2), "forged": cls(forged=True)}
        if isinstance(told, bool | str) and told in named:
            return named[told]
        known = asdict(cls())
        if not isinstance(told, dict) or not told.keys() <= known.keys():
            raise Refusal(
                422, "bad_webhook", f'true, false, "twice", "forged" or an object of {list(known)}.'
            )
        try:
            sending = cls(**{name: type(known[name])(value) for name, value in told.items()})
        except (TypeError, ValueError) as error:
            raise Refusal(422, "bad_webhook", str(error)) from error
        if not 0 <= sending.times <= MOST_TIMES or not 0 <= sending.delay_seconds <= LONGEST_DELAY:
            raise Refusal(422, "bad_webhook", "At most 100 times, after at most 3600 seconds.")
        return sending


class Sender:
    """Sends to `url`; `sent` has the newest deliveries, with the status of the answer or 0."""

    def __init__(self, *, secret: str) -> None:
        self._secret = secret
        self.sent: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._later: set[asyncio.Task[list[int]]] = set()

    async def send(self, url: str, body: bytes, sending: Sending) -> list[int]:
        """Send the bytes; return the answers' statuses, nothing for what is sent later."""
        if not sending.delay_seconds:
            return await self._send(url, body, sending)
        task = asyncio.create_task(self._wait_and_send(url, body, sending))
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        return []

    async def _wait_and_send(self, url: str, body: bytes, sending: Sending) -> list[int]:
        await asyncio.sleep(sending.delay_seconds)
        return await self._send(url, body, sending)

    async def _send(self, url: str, body: bytes, sending: Sending) -> list[int]:
        secret = f"not {self._secret}" if sending.forged else self._secret
        headers = {
            "content-type": "application/json",
            "x-paystack-signature": hmac.new(secret.encode(), body, sha512).hexdigest(),
        }
        # To read the system's certificates takes longer than the call, which needs none.
        trusted = url.startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with httpx2.AsyncClient(timeout=SECONDS, trust_env=False, verify=trusted) as client:
            statuses = await asyncio.gather(
                *(_post(client, url, body, headers) for _ in range(sending.times))
            )
        self.sent.extend(
            {"body": body.decode(), "forged": sending.forged, "status": status}
            for status in statuses
        )
        return statuses


async def _post(client: httpx2.AsyncClient, url: str, body: bytes, headers: dict[str, str]) -> int:
    try:
        return (await client.post(url, content=body, headers=headers)).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL):
        return 0


def event_bytes(event: str, data: dict[str, Any]) -> bytes:
    """Return an event in bytes that another program would write in another way: a signature over
    what was parsed and written again does not fit them."""
    return json.dumps({"event": event, "data": data}).replace("/", "\\/").encode()
