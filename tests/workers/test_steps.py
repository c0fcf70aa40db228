"""`workers.steps`: the one way to run a step."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import WorkflowSerializationContext

from apps.common import correlation
from tests.workers.conftest import Serving
from tests.workers.sample_workflows import OneStep, TwoAttempts

pytestmark = pytest.mark.django_db(transaction=True)


async def run(client: Client, queue: str, way: str, name: str) -> tuple[object, list[str]]:
    """The result, and which activities the history has."""
    handle = await client.start_workflow(OneStep.run, args=[way, name], id=queue, task_queue=queue)
    result = await handle.result()
    return result, await kinds(handle)


async def kinds(handle: WorkflowHandle[object, object]) -> list[str]:
    interesting = {
        EventType.EVENT_TYPE_MARKER_RECORDED: "local",
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: "remote",
    }
    history = await handle.fetch_history()
    return [interesting[e.event_type] for e in history.events if e.event_type in interesting]


async def test_a_step_runs_locally(
    serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    async with serving():
        result, history = await run(temporal_client, task_queue, "step", "first")
    assert (result, history) == ("first x", ["local"])


async def test_a_step_that_breaks_locally_runs_remotely(
    serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    async with serving():
        result, history = await run(temporal_client, task_queue, "step", "fails_locally")
    assert (result, history) == ("remote x", ["local", "remote"])


async def test_a_step_that_takes_longer_than_two_seconds_locally_runs_remotely(
    serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    async with serving():
        result, history = await run(temporal_client, task_queue, "step", "hangs_locally")
    assert (result, history) == ("remote", ["local", "remote"])


@pytest.mark.parametrize("way", ["step", "remote"])
async def test_a_refusal_arrives_with_its_code_and_is_not_tried_again(
    way: str, serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    async with serving():
        result, history = await run(temporal_client, task_queue, way, "refuse")
    assert result == ["refused", "already_settled", "x is settled"]
    assert history == ["local" if way == "step" else "remote"]


async def test_what_is_only_unavailable_is_tried_again(
    serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    async with serving():
        result, _ = await run(temporal_client, task_queue, "remote", "unavailable_once")
    assert result == "x after 2"


@pytest.mark.parametrize("way", ["step", "remote"])
async def test_a_step_ends_after_the_attempts_of_the_callers_policy(
    way: str, serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    async with serving():
        result = await temporal_client.execute_workflow(
            TwoAttempts.run, way, id=task_queue, task_queue=task_queue
        )
    # The local try of a short step comes before those of the policy.
    assert result == ["executor_unavailable", "attempt 2 found nobody"]


@pytest.mark.parametrize(("way", "place"), [("step", "local"), ("remote", "remote")])
async def test_an_activity_carries_the_correlation_id_of_whoever_started_the_workflow(
    way: str, place: str, serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    from apps.engine import client

    ours = await client.connect()
    with correlation.correlated("request-17"):
        async with serving():
            result, _ = await run(ours, task_queue, way, "where")
    assert result == [place, "request-17"]


async def test_without_one_the_workflow_id_ties_the_activities_together(
    serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    async with serving():
        result, _ = await run(temporal_client, task_queue, "step", "where")
    assert result == ["local", task_queue]


def test_our_converter_is_the_same_whatever_a_payload_belongs_to() -> None:
    """The runner answers the SDK's question for a payload's context with none."""
    context = WorkflowSerializationContext(namespace="default", workflow_id="any")
    assert pydantic_data_converter.with_context(context) is pydantic_data_converter
