"""A worker of this process and a hand-cranked relay: for tests of any domain's workflows."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

from django.db import connections
from django.utils import timezone
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from apps.engine.models import EngineCommand
from apps.engine.relay.settling import undeliverable_settle
from apps.engine.relay.starting import attributes_of, reuse_policy
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


@dataclass(kw_only=True)
class EngineStage:
    """What a test of workflows works with. `serves`: whose workflows and activities the worker
    runs, on the queue `queue`."""

    client: Client
    queue: str
    environment: Any = None
    serves: str

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
        await self.client.start_workflow(
            command.workflow_type,
            args=command.args,
            id=command.workflow_id,
            task_queue=self.queue,
            search_attributes=attributes_of(command),
            id_reuse_policy=reuse_policy(command.options),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING
            if command.options.get("allow_duplicate")
            else WorkflowIDConflictPolicy.UNSPECIFIED,
        )


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
