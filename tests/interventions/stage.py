"""A worker of this process, the executor sink over real HTTP, and a hand-cranked relay."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

import httpx2
import uvicorn
from django.db import connections
from django.utils import timezone
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import (
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from apps.approvals.models import ApprovalRequest
from apps.engine.models import EngineCommand
from apps.engine.relay.settling import undeliverable_settle
from apps.engine.relay.starting import attributes_of
from apps.engine.services import timings
from apps.interventions import services
from apps.interventions.contracts import EXECUTE_WORKFLOW, InterventionRef
from apps.interventions.models import Intervention
from apps.simulators.executor import ExecutorSink
from apps.simulators.http import Application
from deploy.local.processes import free_port
from tests.interventions.conftest import World
from tests.support import eventually, eventually_async
from workers.inbound import Refused
from workers.options import worker_options
from workers.registry import QUEUES

T = TypeVar("T")


async def orm(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run database work in a thread that gives its connection back."""

    def run() -> T:
        try:
            return fn(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


class Sink:
    """The executor simulator behind a real socket."""

    def __init__(self, url: str) -> None:
        self.url = url

    def behave(self, **behaviour: Any) -> None:
        httpx2.post(f"{self.url}/behaviour", json=behaviour).raise_for_status()

    def effects(self, intervention: Intervention) -> dict[str, Any]:
        key = f"{intervention.pk}:execute"
        counts: dict[str, Any] = httpx2.get(f"{self.url}/effects", params={"key": key}).json()
        return counts

    def all_effects(self) -> dict[str, Any]:
        """Of every key."""
        effects: dict[str, Any] = httpx2.get(f"{self.url}/effects").json()["effects"]
        return effects


@contextmanager
def running_sink() -> Iterator[Sink]:
    port = free_port()
    application = Application({"executor": ExecutorSink().answer})
    config = uvicorn.Config(
        application, host="127.0.0.1", port=port, lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    try:
        yield Sink(f"http://127.0.0.1:{port}/executor")
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(5)


@dataclass
class Stage:
    """What a test of the workflows works with."""

    world: World
    client: Client
    queue: str
    sink: Sink
    environment: Any = None
    #: Whose workflows and activities the worker runs.
    serves: str = "intervention-critical"

    async def pass_time(self, **delta: float) -> None:
        """Skip days; only on the time-skipping server."""
        await self.environment.sleep(timedelta(**delta))

    @asynccontextmanager
    async def working(
        self,
        *,
        slots: int = 8,
        sandboxed: bool = True,
        refused: Refused | None = None,
        **options: Any,
    ) -> AsyncIterator[None]:
        spec = QUEUES[self.serves]
        async with Worker(
            self.client,
            task_queue=self.queue,
            workflows=list(spec.workflows),
            activities=list(spec.activities),
            activity_executor=ThreadPoolExecutor(2 * slots),
            max_concurrent_activities=slots,
            max_concurrent_local_activities=slots,
            **worker_options(sandboxed=sandboxed, refused=refused),
            **options,
        ):
            yield

    async def ask(self, **changes: Any) -> Intervention:
        intervention = await orm(self.world.ask, **changes)
        await self.deliver()
        return intervention

    async def deliver(self) -> None:
        """Send what the outbox holds, in order: what the relay does."""
        pending = EngineCommand.objects.filter(state="pending").order_by("id")
        for command in await orm(lambda: list(pending)):
            try:
                await self._send(command)
            except RPCError as error:
                if command.kind != "signal" or error.status != RPCStatusCode.NOT_FOUND:
                    raise
                # A workflow may see in the database what the signal would tell it, and end first.
                await orm(_undeliverable, command, str(error))
            else:
                await orm(EngineCommand.objects.filter(pk=command.pk).update, state="sent")

    async def _send(self, command: EngineCommand) -> None:
        if command.kind == "signal":
            handle: Any = self.client.get_workflow_handle(command.workflow_id)
            await handle.signal(command.name, args=command.args)
            return
        again = command.options.get("allow_duplicate_failed")
        await self.client.start_workflow(
            command.workflow_type,
            args=command.args,
            id=command.workflow_id,
            task_queue=self.queue,
            search_attributes=attributes_of(command),
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
            if again
            else WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )

    async def decide(
        self, intervention: Intervention, verdict: str = "approve", by: str = "reviewer"
    ) -> None:
        """Wait for the open request, sign it, deliver the signal."""
        await eventually_async(lambda: self.request(intervention))
        await orm(self.world.decide, intervention, verdict, by=by)
        await self.deliver()

    async def request(self, intervention: Intervention) -> ApprovalRequest | None:
        waiting = ApprovalRequest.objects.open().filter(subject_id=str(intervention.pk))
        return await orm(waiting.first)

    async def by_hand(
        self, intervention: Intervention, workflow_id: str, **more: Any
    ) -> WorkflowHandle[Any, Any]:
        """Start the saga as somebody with the CLI would."""
        ref = InterventionRef(str(intervention.pk), timings(), **more)
        return await self.client.start_workflow(
            EXECUTE_WORKFLOW, ref, id=workflow_id, task_queue=self.queue
        )

    def approval(self, intervention: Intervention) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(intervention.workflow_id)

    def saga(self, intervention: Intervention) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(intervention.execution_workflow_id)

    async def row(self, intervention: Intervention) -> Intervention:
        rows = Intervention.objects.select_related("budget", "policy")
        return await orm(rows.get, pk=intervention.pk)

    async def status(self, intervention: Intervention, *wanted: str) -> Intervention:
        """The row as soon as its status is one of these."""

        async def look() -> Intervention | None:
            row = await self.row(intervention)
            return row if row.status in wanted else None

        return await eventually_async(look, timeout=30)

    async def steps(self, intervention: Intervention) -> dict[str, str]:
        return dict(await orm(lambda: list(intervention.steps.values_list("name", "status"))))

    async def ledger(self, intervention: Intervention) -> list[str]:
        """The kinds of its lines; the budget's proof must hold as well."""
        proof = await orm(services.budget_proof, intervention.budget)
        assert proof.holds, proof
        return await orm(lambda: list(intervention.entries.values_list("kind", flat=True)))


def _undeliverable(command: EngineCommand, error: str) -> None:
    token = uuid4()
    later = timezone.now() + timedelta(minutes=1)
    EngineCommand.objects.filter(pk=command.pk).update(
        state="leased", lease_token=token, leased_until=later
    )
    undeliverable_settle(command.pk, token, error)


async def failure(handle: WorkflowHandle[Any, Any]) -> str:
    """The error code that the workflow failed with."""
    try:
        result = await handle.result()
    except WorkflowFailureError as error:
        assert isinstance(error.cause, ApplicationError), error.cause
        return str(error.cause.type)
    raise AssertionError(f"it did not fail: {json.dumps(result, default=str)}")
