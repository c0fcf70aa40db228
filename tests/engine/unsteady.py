"""An engine that loses answers, strangers under our workflow ids, and starts that wait for them."""

from collections.abc import Callable
from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from apps.engine.models import EngineCommand
from tests.engine.conftest import Background, Outbox, Wrapped
from tests.engine.workflows import Work
from tests.support import eventually


class Unsteady(Wrapped):
    """Loses the answers of so many starts that arrived, and fails so many descriptions."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.answers_lost = 0
        self.descriptions_failed = 0
        #: Awaited after a start whose answer is lost.
        self.meanwhile: Callable[[Any], Any] | None = None

    async def start_workflow(self, workflow: str, **options: Any) -> Any:
        handle = await super().start_workflow(workflow, **options)
        if self.answers_lost:
            self.answers_lost -= 1
            if self.meanwhile:
                await self.meanwhile(handle)
            raise away()
        return handle

    def get_workflow_handle(self, workflow_id: str, **options: Any) -> Any:
        return _UnsteadyHandle(self, super().get_workflow_handle(workflow_id, **options))


class _UnsteadyHandle:
    def __init__(self, client: Unsteady, handle: Any) -> None:
        self._client, self._handle = client, handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    async def describe(self, **options: Any) -> Any:
        if self._client.descriptions_failed:
            self._client.descriptions_failed -= 1
            raise away()
        return await self._handle.describe(**options)


def away() -> RPCError:
    return RPCError("cannot be reached", RPCStatusCode.UNAVAILABLE, b"")


def by_hand(
    background: Background, engine: Client, outbox: Outbox, name: str, **changes: Any
) -> str:
    """Somebody else starts a run under the id, without our attributes; its run id."""
    options = {
        "workflow": "CollectingWorkflow",
        "arg": Work(name),
        "id": outbox.workflow_id(name),
        "task_queue": f"{outbox.queue}-elsewhere",
    }

    async def start() -> str:
        handle = await engine.start_workflow(**(options | changes))
        return handle.result_run_id or ""

    return background.run(start())


def refreshed(command: EngineCommand) -> EngineCommand:
    command.refresh_from_db()
    return command


def waits(command: EngineCommand) -> None:
    """It was tried, and waits for the end of the run that it met."""
    eventually(lambda: "still runs" in refreshed(command).error)
    assert (command.state in {"pending", "leased"}, command.strikes) == (True, 0)
