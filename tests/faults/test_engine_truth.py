"""What somebody does to a workflow behind our back is seen, and a decision for it is not lost."""

import asyncio
import os
import signal
from typing import Any

import pytest
from temporalio.client import Client

from tests.faults.story import Story
from tests.support import eventually

pytestmark = pytest.mark.faults


def _terminate(story: Story, workflow_id: str) -> None:
    async def run() -> None:
        temporal = story.stack.private.temporal
        assert temporal is not None
        client = await Client.connect(temporal.address)
        await client.get_workflow_handle(workflow_id).terminate("by hand")

    asyncio.run(run())


def _mirror(story: Story, workflow_id: str) -> str:
    rows = story.stack.sql(
        "SELECT status FROM engine_workflowrun WHERE workflow_id = %s", workflow_id
    )
    return str(rows[0][0]) if rows else ""


def _attention(story: Story, intervention: str) -> list[dict[str, Any]]:
    answer = story.call(
        "GET", "/approvals?kind=intervention.attention&status=open&limit=200", user="admin"
    )
    assert answer.status == 200, answer
    return [item for item in answer.body["items"] if item["subject_id"] == intervention]


def test_a_workflow_terminated_while_the_worker_is_down_shows_after_its_return(
    story: Story,
) -> None:
    intervention = story.ask()
    story.request_of(intervention)
    workflow_id = story.state(intervention)["workflow_id"]
    story.stack.kill9("worker")
    story.stack.kill9("relay")
    _terminate(story, workflow_id)

    story.stack.restart("relay")
    story.stack.restart("worker")

    eventually(lambda: _mirror(story, workflow_id) == "terminated", timeout=30)
    # Nobody can sign for a process that is gone.
    request_id = story.state(intervention)["approval"]
    eventually(
        lambda: (
            story.call("GET", f"/approvals/{request_id}", user="admin").body["status"]
            == "cancelled"
        ),
        timeout=10,
    )
    story.prove_ledger()


def test_a_decision_for_a_workflow_that_was_terminated_becomes_an_inbox_item(
    story: Story,
) -> None:
    intervention = story.ask()
    request = story.request_of(intervention)
    workflow_id = story.state(intervention)["workflow_id"]
    # Nobody notices the termination before the decision is made.
    for name in ("relay", "worker"):
        os.kill(story.stack.process(name).pid, signal.SIGSTOP)
    try:
        _terminate(story, workflow_id)
        assert story.decide(request, verdict="approve").status == 200
    finally:
        for name in ("relay", "worker"):
            os.kill(story.stack.process(name).pid, signal.SIGCONT)

    eventually(lambda: _attention(story, intervention), timeout=30)
    assert len(_attention(story, intervention)) == 1
    story.prove_ledger()
