"""A worker of this process for top-ups, and the simulated Paystack over real HTTP."""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha512
from typing import Any

import httpx2
from django.test import Client
from django.utils import timezone
from temporalio.client import WorkflowHandle

from apps.simulators.paystack import PaystackSink
from apps.simulators.signed import event_bytes
from apps.wallets.models import TopUp
from apps.wallets.services.topup_requesting import top_up_request
from tests.simulators.running import running
from tests.stage import EngineStage, orm
from tests.support import PLAIN
from tests.wallets.conftest import World

DOOR = "/api/v1/webhooks/paystack"


class Payers:
    """The simulator of Paystack behind a real socket, and whoever pays there."""

    def __init__(self, url: str) -> None:
        self.url = url

    def tell(self, path: str, **body: Any) -> dict[str, Any]:
        answer = httpx2.post(f"{self.url}/{path}", json=body, verify=PLAIN)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def pay(self, reference: str, **body: Any) -> bytes:
        """Pay, by default what was asked for; the bytes of the webhook, which nobody has sent."""
        self.tell(f"pay/{reference}", webhook=False, **body)
        known = httpx2.get(f"{self.url}/transactions", verify=PLAIN).json()["transactions"]
        return event_bytes("charge.success", {**known[reference], "status": "success"})

    def refunds(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx2.get(f"{self.url}/transactions", verify=PLAIN).json()[
            "refunds"
        ]
        return found


@contextmanager
def running_payers() -> Iterator[Payers]:
    sink = PaystackSink(secret="sk_test_demo", webhook_url="http://127.0.0.1:9/")
    with running({"paystack": sink.answer}) as url:
        yield Payers(f"{url}/paystack")


def signed(body: bytes, secret: str = "sk_test_demo") -> str:
    return hmac.new(secret.encode(), body, sha512).hexdigest()


def send(body: bytes, signature: str | None = None) -> int:
    """Send a webhook as Paystack does; the status of the answer."""
    status: int = answer_to(body, signature).status_code
    return status


def answer_to(body: bytes, signature: str | None = None, **about: Any) -> Any:
    """Send a webhook as Paystack does; the answer."""
    header = signed(body) if signature is None else signature
    return Client().post(
        DOOR,
        data=body,
        content_type="application/json",
        headers={"x-paystack-signature": header},
        **about,
    )


@dataclass(kw_only=True)
class Stage(EngineStage):
    """What a test of top-ups' workflows works with."""

    world: World
    payers: Payers
    settings: Any
    serves: str = "booking-tasks"

    async def ask(
        self, user_id: str = "ada", amount: str = "1500.10", *, wait: float, poll: float
    ) -> TopUp:
        """Ask for a top-up that waits so long, and asks Paystack so often."""
        self.settings.TOPUP_WAIT_SECONDS, self.settings.TOPUP_POLL_SECONDS = wait, poll
        top_up, _ = await orm(
            lambda: top_up_request(
                user_id=user_id,
                amount=Decimal(amount),
                by=self.world.people["requester"],
                via="api",
                as_of=timezone.now(),
            )
        )
        return top_up

    def run_of(self, top_up: TopUp) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(top_up.workflow_id)

    async def result(self, top_up: TopUp) -> dict[str, Any]:
        found: dict[str, Any] = await self.run_of(top_up).result()
        return found
