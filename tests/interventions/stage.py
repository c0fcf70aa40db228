"""A worker of this process, the executor sink over real HTTP, and a hand-cranked relay."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from temporalio.client import WorkflowHandle

from apps.approvals.models import ApprovalRequest
from apps.engine.services import timings
from apps.interventions.contracts import EXECUTE_WORKFLOW, InterventionRef
from apps.interventions.models import Intervention
from apps.simulators.executor import ExecutorSink
from tests.interventions.conftest import World
from tests.interventions.proof import budget_proof
from tests.simulators.running import running
from tests.stage import EngineStage, orm
from tests.support import PLAIN, eventually_async

T = TypeVar("T")


class Sink:
    """The executor simulator behind a real socket."""

    def __init__(self, url: str) -> None:
        self.url = url

    def behave(self, **behaviour: Any) -> None:
        httpx2.post(f"{self.url}/behaviour", json=behaviour, verify=PLAIN).raise_for_status()

    def effects(self, intervention: Intervention) -> dict[str, Any]:
        key = f"{intervention.pk}:execute"
        counts: dict[str, Any] = httpx2.get(
            f"{self.url}/effects", params={"key": key}, verify=PLAIN
        ).json()
        return counts

    def all_effects(self) -> dict[str, Any]:
        """Of every key."""
        effects: dict[str, Any] = httpx2.get(f"{self.url}/effects", verify=PLAIN).json()["effects"]
        return effects


@contextmanager
def running_sink() -> Iterator[Sink]:
    with running({"executor": ExecutorSink().answer}) as url:
        yield Sink(f"{url}/executor")


@dataclass(kw_only=True)
class Stage(EngineStage):
    """What a test of the workflows works with."""

    world: World
    sink: Sink
    serves: str = "intervention-critical"

    async def ask(self, **changes: Any) -> Intervention:
        intervention = await orm(self.world.ask, **changes)
        await self.deliver()
        return intervention

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
        proof = await orm(budget_proof, intervention.budget)
        assert proof.holds, proof
        return await orm(lambda: list(intervention.entries.values_list("kind", flat=True)))
