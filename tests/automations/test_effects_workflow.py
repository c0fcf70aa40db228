"""Nodes with an effect on the engine: tried again, cut off, resumed, and done once."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.automations.contracts import EXECUTION, TASK_QUEUE
from apps.automations.models import Execution
from apps.automations.services.stopping import execution_cancel, execution_resume
from apps.simulators.echo import EchoSink
from tests.automations.drawing import approval, call, delay, graph, transform
from tests.automations.runs import said
from tests.automations.test_workflow import begun, status
from tests.simulators.running import running
from tests.stage import EngineStage, failure, orm
from tests.support import within

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def outside() -> Iterator[str]:
    sink = EchoSink()
    with running({"echo": sink.answer, "echo-counts": sink.counts}) as url:
        yield url


@pytest.fixture
def echo(outside: str, settings: Any) -> str:
    settings.OUTBOUND_ALLOWED_HOSTS = {"127.0.0.1"}
    settings.TEMPORAL_ACTIVITY_INITIAL_INTERVAL_SECONDS = 0.05
    settings.TEMPORAL_WORKFLOW_INITIAL_INTERVAL_SECONDS = 0.05
    return f"{outside}/echo"


@pytest.fixture
async def stage(engine_stage: Any, people: dict[str, User]) -> EngineStage:
    stage: EngineStage = engine_stage(TASK_QUEUE)
    return stage


@pytest.fixture
def editor(people: dict[str, User]) -> User:
    return people["editor"]


def counts(outside: str, execution: Execution) -> dict[str, dict[str, int]]:
    """How often each node's key was sent, and had an effect."""
    with urllib.request.urlopen(f"{outside}/echo-counts", timeout=10) as answer:
        found = json.loads(answer.read())["effects"]
    begin = f"{execution.workflow_id}:"
    return {key.removeprefix(begin): value for key, value in found.items() if key.startswith(begin)}


async def node(execution: Execution, node_id: str) -> Any:
    return await orm(execution.nodes.get, node_id=node_id)


async def result(stage: EngineStage, execution: Execution) -> Any:
    return await stage.client.get_workflow_handle(execution.workflow_id).result()


async def test_retries_come_before_what_passes_the_error_on(
    stage: EngineStage, editor: User, echo: str, outside: str
) -> None:
    document = graph(
        "h>n",
        h=call(f"{echo}?status=503&times=2", on_error="continue"),
        n=transform(code="inputs.status"),
    )
    async with stage.working():
        execution = await begun(stage, editor, document)
        await result(stage, execution)
    assert (await status(execution))["result"] == {"code": 200}
    assert (await node(execution, "h")).tries == 3
    assert counts(outside, execution) == {"h": {"requests": 3, "effects": 1}}


async def test_a_final_answer_goes_out_by_the_edge_of_the_error(
    stage: EngineStage, editor: User, echo: str, outside: str
) -> None:
    document = graph("h>ok h>e:error", h=call(f"{echo}?status=404", on_error="branch"))
    async with stage.working():
        execution = await begun(stage, editor, document)
        await result(stage, execution)
    assert (await status(execution))["nodes"] == {"h": "failed", "ok": "skipped", "e": "completed"}
    assert counts(outside, execution)["h"]["requests"] == 1


async def test_a_failing_node_is_tried_in_each_attempt_of_the_run_and_others_once(
    stage: EngineStage, editor: User, echo: str, outside: str
) -> None:
    document = graph(
        "a>f f>b a>c", a=call(f"{echo}/a"), f=call(f"{echo}?status=500"), c=call(f"{echo}/c")
    )
    async with stage.working():
        execution = await begun(stage, editor, document)
        handle = stage.client.get_workflow_handle(execution.workflow_id)
        assert await failure(handle) == "call_unavailable"
        assert (await status(execution))["nodes"] == {
            "a": "completed",
            "f": "failed",
            "b": "blocked",
            "c": "completed",
        }
        assert counts(outside, execution)["f"]["requests"] == 9
        resumed = await orm(execution_resume, execution_id=execution.pk, **said(editor))
        await stage.deliver()
        again = stage.client.get_workflow_handle(execution.workflow_id)
        assert await failure(again) == "call_unavailable"
    found = counts(outside, resumed)
    assert found["f"]["requests"] == 18
    assert (found["a"]["requests"], found["c"]["requests"]) == (1, 1)


async def test_five_slow_calls_are_made_side_by_side(
    stage: EngineStage, editor: User, echo: str
) -> None:
    names = [f"c{n}" for n in range(5)]
    slow = {name: call(f"{echo}?delay=1") for name in names}
    document = graph(" ".join(f"{name}>end" for name in names), **slow)
    async with stage.working():
        execution = await begun(stage, editor, document)
        await result(stage, execution)
    rows = await orm(lambda: list(execution.nodes.filter(node_id__in=names)))
    # All had begun before the first had ended.
    assert max(row.started_at for row in rows) < min(row.ended_at for row in rows)


async def test_an_answer_that_is_too_large_fails_the_run_at_once(
    stage: EngineStage, editor: User, echo: str, outside: str
) -> None:
    async with stage.working():
        execution = await begun(stage, editor, graph("a>n", a=call(f"{echo}?size=5000000")))
        handle = stage.client.get_workflow_handle(execution.workflow_id)
        assert await failure(handle) == "output_too_large"
    assert counts(outside, execution)["a"]["requests"] == 1
    assert (await node(execution, "a")).tries == 1


@pytest.mark.parametrize("by", ["person", "signal", "engine"])
async def test_cancelled_everything_ends_within_seconds_and_nothing_begins(
    stage: EngineStage, editor: User, echo: str, outside: str, by: str
) -> None:
    document = graph(
        "slow>end wait>end sign>end",
        slow=call(f"{echo}?delay=60"),
        wait=delay(60),
        sign=approval(),
        end=call(f"{echo}/end"),
    )

    async def waits() -> None:
        while True:
            found = (await status(execution))["nodes"]
            if found == {**found, "slow": "running", "wait": "waiting", "sign": "waiting"}:
                return

    async with stage.working():
        execution = await begun(stage, editor, document)
        handle = stage.client.get_workflow_handle(execution.workflow_id)
        await asyncio.wait_for(waits(), 60)
        with within(10):
            if by == "person":
                await orm(execution_cancel, execution_id=execution.pk, reason="No.", **said(editor))
                await stage.deliver()
            elif by == "signal":
                await handle.signal("cancel_workflow", "No.")
            else:
                await handle.cancel()
            assert (await handle.result())["status"] == "cancelled"
    found = await status(execution)
    assert found["status"] == "cancelled"
    assert set(found["nodes"].values()) == {"cancelled"}
    request = await orm(requests_about(EXECUTION, execution.pk).get)
    assert request.status == "cancelled"
    assert "end" not in counts(outside, execution)


async def test_a_run_that_takes_too_long_is_stopped_but_not_for_its_waits(
    stage: EngineStage, editor: User, echo: str, settings: Any
) -> None:
    settings.TEMPORAL_WORKFLOW_TIMEOUT_MINUTES = 0.02
    async with stage.working():
        waits = await begun(stage, editor, graph("d>e", d=delay(2)))
        slow = await begun(stage, editor, graph("s>e", s=call(f"{echo}?delay=60")))
        assert (await result(stage, waits))["status"] == "completed"
        handle = stage.client.get_workflow_handle(slow.workflow_id)
        assert await failure(handle) == "deadline_exceeded"
    assert (await status(slow))["nodes"] == {"s": "failed", "e": "blocked"}


async def test_hundreds_of_calls_never_have_more_than_a_hundred_in_flight(
    stage: EngineStage, editor: User, echo: str, outside: str
) -> None:
    names = [f"c{n}" for n in range(150)]
    document = graph(
        " ".join(f"{name}>end" for name in names), **{name: call(echo) for name in names}
    )
    async with stage.working(slots=20):
        execution = await begun(stage, editor, document)
        await result(stage, execution)
        handle = stage.client.get_workflow_handle(execution.workflow_id)
        history = await handle.fetch_history()
    assert {one["effects"] for one in counts(outside, execution).values()} == {1}
    assert len(counts(outside, execution)) == 150
    open_now = most = 0
    for event in history.events:
        open_now += event.HasField("activity_task_scheduled_event_attributes")
        open_now -= event.HasField("activity_task_completed_event_attributes")
        most = max(most, open_now)
    assert most <= 100
    assert len(history.events) < 10_240


async def test_two_requests_at_once_for_one_address_keep_their_keys(
    stage: EngineStage, editor: User, echo: str
) -> None:
    document = graph("a b", a=call(echo), b=call(echo))
    async with stage.working():
        execution = await begun(stage, editor, document, {"at": timezone.now().isoformat()})
        await result(stage, execution)
    found = (await status(execution))["result"]
    keys = {id: answer["data"]["headers"]["idempotency-key"] for id, answer in found.items()}
    assert keys == {id: f"{execution.workflow_id}:{id}" for id in "ab"}
