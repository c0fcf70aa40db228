"""Executions on the engine: the same graphs, and what only a workflow does."""

import asyncio
import json
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.automations.contracts import EXECUTION_WORKFLOW, TASK_QUEUE, VALIDATION_WORKFLOW
from apps.automations.models import Execution
from apps.automations.services.reading import status_of
from apps.automations.services.requesting import execution_request
from tests.automations.drawing import delay, graph, transform
from tests.automations.test_executing import CASES
from tests.stage import EngineStage, failure, orm

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def stage(engine_stage: Any, people: dict[str, User]) -> EngineStage:
    stage: EngineStage = engine_stage(TASK_QUEUE)
    return stage


async def begun(stage: EngineStage, by: User, document: Any, params: Any = None) -> Execution:
    """An execution whose workflow has been started."""
    execution, _new = await orm(
        execution_request,
        document=document,
        params=params,
        by=by,
        via="api",
        as_of=timezone.now(),
    )
    await stage.deliver()
    return execution


async def status(execution: Execution) -> dict[str, Any]:
    def read() -> dict[str, Any]:
        execution.refresh_from_db()
        return status_of(execution)

    return await orm(read)


async def test_graphs_come_to_the_same_on_the_engine(
    stage: EngineStage, people: dict[str, User]
) -> None:
    async with stage.working():
        for document, nodes, result in CASES.values():
            execution = await begun(stage, people["editor"], document, {"n": 7})
            handle = stage.client.get_workflow_handle(execution.workflow_id)
            if "blocked" in nodes.values():
                assert await failure(handle) == "expression_failed"
            else:
                answer = await handle.result()
                assert answer == {"execution_id": execution.workflow_id, "status": "completed"}
            found = await status(execution)
            assert {id: str(one) for id, one in found["nodes"].items()} == nodes
            assert found["result"] == result
            # What the workflow answers is what the endpoint answers, without the values.
            asked = await handle.query("get_status")
            assert asked == json.loads(json.dumps({**found, "result": None}))


async def test_ten_delays_pass_side_by_side(stage: EngineStage, people: dict[str, User]) -> None:
    names = [f"d{n}" for n in range(10)]
    document = graph(" ".join(f"{d}>end" for d in names), **{d: delay(2) for d in names})
    async with stage.working():
        execution = await begun(stage, people["editor"], document)
        handle = stage.client.get_workflow_handle(execution.workflow_id)
        began = asyncio.get_running_loop().time()
        await handle.result()
        assert 2 <= asyncio.get_running_loop().time() - began < 20
    found = await status(execution)
    assert set(found["nodes"].values()) == {"completed"}


async def test_a_definition_that_is_started_by_hand_gets_its_row(
    stage: EngineStage, people: dict[str, User]
) -> None:
    input = {**graph("a>b", a=transform(x="params.n")), "params": {"n": 1}}
    async with stage.working():
        for _again in range(2):
            handle = await stage.client.start_workflow(
                EXECUTION_WORKFLOW, input, id="test-execution-001", task_queue=stage.queue
            )
            assert (await handle.result())["status"] == "completed"
        refused = await stage.client.start_workflow(
            EXECUTION_WORKFLOW, graph("a>b b>a"), id="test-execution-002", task_queue=stage.queue
        )
        assert await failure(refused) == "definition_invalid"
        asked = await stage.client.execute_workflow(
            VALIDATION_WORKFLOW, graph("a>b b>a"), id="test-validation", task_queue=stage.queue
        )
        assert [issue["code"] for issue in asked["issues"]] == ["cycle"]
    execution = await orm(Execution.objects.get, workflow_id="test-execution-001")
    assert execution.requested_by_id is None
    assert (await status(execution))["nodes"] == {"a": "completed", "b": "completed"}


async def test_it_is_cancelled_by_a_signal_without_an_argument(
    stage: EngineStage, people: dict[str, User]
) -> None:
    async with stage.working():
        execution = await begun(stage, people["editor"], graph("d>end", d=delay(3600)))
        handle = stage.client.get_workflow_handle(execution.workflow_id)
        while (await handle.query("get_status"))["status"] != "waiting":
            await asyncio.sleep(0)
        await handle.signal("cancel_workflow")
        assert (await handle.result())["status"] == "cancelled"
    found = await status(execution)
    assert found["status"] == "cancelled"
    assert set(found["nodes"].values()) == {"cancelled"}
