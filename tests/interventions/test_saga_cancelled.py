"""A saga that is past its deadline compensates, whenever and however often it is cancelled.

The workflow and the server are the real ones, the activities are scripted: from the deadline on
each of them is a moment at which the run may be cancelled, and all moments are tried side by side.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker, _workflow
from temporalio.worker._workflow_instance import _WorkflowLogicFlag

from apps.engine.namespace import engine_ensure
from apps.interventions.contracts import (
    AttentionInput,
    ExecutionResult,
    OutcomeInput,
    RollBackResult,
    SagaFacts,
    SettleInput,
    StepInput,
)
from tests.support import eventually_async, patient
from workers.options import worker_options
from workers.workflows.interventions import ExecuteInterventionWorkflow

DEADLINE = 2.0
REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED


@dataclass
class Saga:
    """One run: what its database and its executor would say, and where it is cancelled."""

    id: str
    kind: str
    client: Client
    #: Numbers of the awaits, from the deadline on, at which the run is cancelled.
    cancels: tuple[int, ...] = ()
    late: bool = False
    status: str = "executing"
    code: str = ""
    execution: str = "unknown"
    refusals: int = 0
    awaits: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(self.id)

    async def moment(self, name: str) -> None:
        """The run awaits this now."""
        number = len(self.awaits)
        self.awaits.append(name)
        if number in self.cancels:
            await self.handle.cancel()
            await self._heard()

    async def _heard(self) -> None:
        """Until the run has been told, or has ended."""

        async def told() -> bool:
            events = [e.event_type for e in (await self.handle.fetch_history()).events]
            return COMPLETED in events[events.index(REQUESTED) :]

        await eventually_async(told)

    def facts(self) -> SagaFacts:
        return SagaFacts(
            self.status,
            execution=self.execution,
            reserved=True,
            reversible=self.kind != "irreversible",
            code=self.code,
        )


@dataclass
class Script:
    """The activities of the saga by name."""

    sagas: dict[str, Saga] = field(default_factory=dict)

    def activities(self) -> list[Callable[..., Any]]:
        members = (getattr(self, name) for name in dir(self))
        return [one for one in members if hasattr(one, "__temporal_activity_definition")]

    async def _begun(self, name: str, input: Any) -> Saga:
        saga = self.sagas[input.intervention_id]
        if saga.late and activity.info().is_local:
            # Run remotely it is an await of its own, with a workflow task before and after it.
            raise ConnectionError("to be run remotely")
        if saga.late:
            await saga.moment(name)
        return saga

    @activity.defn(name="prepare_execution")
    async def prepare_execution(self, input: StepInput) -> None:
        await self._begun("prepare_execution", input)

    @activity.defn(name="execute_intervention")
    async def execute_intervention(self, input: StepInput) -> ExecutionResult:
        saga = self.sagas[input.intervention_id]
        await _until_cancelled()
        saga.late, saga.execution = True, "done"
        await saga.moment("execute_intervention")
        return ExecutionResult("R-1")

    @activity.defn(name="read_saga")
    async def read_saga(self, input: StepInput) -> SagaFacts:
        return (await self._begun("read_saga", input)).facts()

    @activity.defn(name="roll_back")
    async def roll_back(self, input: StepInput) -> RollBackResult:
        saga = await self._begun("roll_back", input)
        if saga.kind == "no answer":
            await _until_cancelled()
            await saga.moment("roll_back, late")
            raise ConnectionError("no answer")
        saga.execution = "reversed"
        saga.effects.append("roll_back")
        return RollBackResult("reversed")

    @activity.defn(name="release_budget")
    async def release_budget(self, input: StepInput) -> None:
        (await self._begun("release_budget", input)).effects.append("release_budget")

    @activity.defn(name="commit_budget")
    async def commit_budget(self, input: StepInput) -> None:
        (await self._begun("commit_budget", input)).effects.append("commit_budget")

    @activity.defn(name="update_feature_store")
    async def update_feature_store(self, input: StepInput) -> None:
        saga = await self._begun("update_feature_store", input)
        if not saga.refusals:
            saga.refusals += 1
            self._in_the_pause = asyncio.create_task(_soon(saga.moment("the pause")))
            raise ApplicationError("refused once", type="told_to_refuse", non_retryable=True)

    @activity.defn(name="notify_stakeholders")
    async def notify_stakeholders(self, input: StepInput) -> None:
        await self._begun("notify_stakeholders", input)

    @activity.defn(name="record_outcome")
    async def record_outcome(self, input: OutcomeInput) -> None:
        saga = await self._begun("record_outcome", input)
        saga.status = "executed"
        saga.effects.append("record_outcome")

    @activity.defn(name="settle_intervention")
    async def settle_intervention(self, input: SettleInput) -> SagaFacts:
        saga = await self._begun("settle_intervention", input)
        saga.status, saga.code = input.status, input.code
        saga.effects.append(f"settle {input.code}")
        return saga.facts()

    @activity.defn(name="raise_attention")
    async def raise_attention(self, input: AttentionInput) -> None:
        saga = await self._begun("raise_attention", input)
        saga.effects.append(f"attention {input.code}")


async def _until_cancelled() -> None:
    """As the executor's client has it: it notices with a heartbeat, and finishes its call."""
    try:
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        return


async def _soon(work: Any) -> None:
    await asyncio.sleep(0.3)
    await work


async def carried_out(saga: Saga, script: Script, queue: str, **options: Any) -> str:
    """Run it; how it closed."""
    script.sagas[saga.id] = saga
    seconds = {"activity": 60.0, "heartbeat": 10.0, "deadline": DEADLINE, "task": 10.0}
    # An attempt that a busy machine makes late would count twice.
    timings = {name: patient(limit) for name, limit in seconds.items()}
    ref = {"intervention_id": saga.id, "timings": timings, **options}
    handle = await saga.client.start_workflow(
        "ExecuteInterventionWorkflow", ref, id=saga.id, task_queue=queue
    )
    try:
        return str((await handle.result())["status"])
    except WorkflowFailureError as error:
        cause = error.cause
        return str(cause.type) if isinstance(cause, ApplicationError) else type(cause).__name__


@pytest.fixture(autouse=True)
async def search_attributes(temporal_client: Client) -> None:
    await engine_ensure(temporal_client)


def serving(client: Client, queue: str, script: Script) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=[ExecuteInterventionWorkflow],
        activities=script.activities(),
        max_concurrent_activities=200,
        # A heartbeat brings the word of the cancellation back.
        max_heartbeat_throttle_interval=timedelta(seconds=0.1),
        **worker_options(sandboxed=False),
    )


ENDS = {
    "reversible": (
        "deadline_exceeded",
        ["roll_back", "release_budget", "settle deadline_exceeded"],
    ),
    "irreversible": ("executed", ["commit_budget", "record_outcome"]),
    "no answer": ("execution_unknown", ["attention execution_unknown"]),
}


@pytest.fixture(params=[False, True], ids=["", "single batch"])
def single_batch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether all that came in is applied before any task runs: later SDKs do, and then a
    `wait_condition` raises a cancellation of the workflow in whichever task it stands."""
    if request.param:
        flag = _WorkflowLogicFlag.PROCESS_WORKFLOW_ACTIVATION_JOBS_AS_SINGLE_BATCH
        name = "_DEFAULT_ENABLED_WORKFLOW_LOGIC_FLAGS"
        monkeypatch.setattr(_workflow, name, frozenset([flag]))
    return bool(request.param)


@pytest.mark.usefixtures("single_batch")
@pytest.mark.parametrize("kind", ENDS)
async def test_cancelled_at_any_await_after_its_deadline_and_twice_it_compensates(
    temporal_client: Client, task_queue: str, kind: str
) -> None:
    script = Script()

    async def run(*cancels: int) -> Saga:
        name = "-".join(map(str, ("saga", *cancels, task_queue)))
        saga = Saga(name, kind, temporal_client, cancels)
        saga.code = ""
        ended[cancels] = await carried_out(saga, script, task_queue)
        return saga

    ended: dict[tuple[int, ...], str] = {}
    async with serving(temporal_client, task_queue, script):
        undisturbed = await run()
        assert (ended[()], undisturbed.effects) == ENDS[kind]
        moments = range(len(undisturbed.awaits))
        cancels = [(one,) for one in moments] + [(0, later) for later in moments]
        sagas = await asyncio.gather(*(run(*one) for one in cancels))
    closed_early = {
        (cancelled, undisturbed.awaits[cancelled[-1]]): ended[cancelled]
        for cancelled, saga in zip(cancels, sagas, strict=True)
        if (ended[cancelled], saga.effects) != ENDS[kind]
    }
    assert closed_early == {}
    assert all(saga.awaits == undisturbed.awaits for saga in sagas)


async def test_a_second_run_that_is_cancelled_while_it_reads_its_row_compensates(
    temporal_client: Client, task_queue: str
) -> None:
    script = Script()
    unknown = Saga(f"unknown-{task_queue}", "reversible", temporal_client, (0,), late=True)
    stands = Saga(f"stands-{task_queue}", "irreversible", temporal_client, (0,), late=True)
    stands.status, stands.execution = "executed", "done"
    async with serving(temporal_client, task_queue, script):
        ends = await asyncio.gather(
            *(carried_out(saga, script, task_queue, restarted=True) for saga in (unknown, stands))
        )
    assert ends == ["cancelled", "executed"]
    assert unknown.effects == ["roll_back", "release_budget", "settle cancelled"]
    assert stands.effects == ["commit_budget", "record_outcome"]
