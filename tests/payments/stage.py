"""A worker of this process for payment events, and the simulated inference service over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from temporalio.client import WorkflowHandle

from apps.payments.models import PaymentEvent
from apps.payments.services.admission import events_admit
from apps.payments.services.intake import events_take
from apps.simulators.inference import KINDS, InferenceSink
from tests.payments.samples import a_message
from tests.simulators.running import running
from tests.stage import EngineStage, orm
from tests.support import PLAIN


class Inference:
    """The simulator, as a test tells and asks it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def behave(self, kind: str, **behaviour: Any) -> None:
        url = f"{self.url}/{kind}/behaviour"
        httpx2.post(url, json=behaviour, verify=PLAIN).raise_for_status()

    def counts(self, kind: str, event_id: str) -> dict[str, int]:
        query = {"key": f"{event_id}:{kind}"}
        found: dict[str, int] = httpx2.get(
            f"{self.url}/{kind}/effects", params=query, verify=PLAIN
        ).json()
        return found


@contextmanager
def running_inference() -> Iterator[Inference]:
    sink = InferenceSink()
    with running({kind: sink.of(kind) for kind in KINDS}) as url:
        yield Inference(url)


@dataclass(kw_only=True)
class Stage(EngineStage):
    """What a test of payments' workflows works with."""

    inference: Inference
    serves: str = "payment-events"

    def named(self, name: str) -> str:
        """An id that no other test has: workflows of all tests share a server."""
        return f"{self.queue}:{name}"

    async def take(self, *events: Any) -> None:
        """Take the events in, admit them, and start their workflows."""
        messages = [a_message(event, offset=number) for number, event in enumerate(events)]
        await orm(events_take, messages)
        await self.admit()

    async def admit(self) -> int:
        admitted = await orm(events_admit)
        await self.deliver()
        return admitted

    def run_of(self, event_id: str) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(event_id)

    async def row(self, event_id: str) -> PaymentEvent | None:
        return await orm(lambda: PaymentEvent.objects.filter(event_id=event_id).first())
