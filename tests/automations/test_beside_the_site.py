"""A site that runs automations by itself: with a worker inside, and without the engine."""

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.automations.drawing import approval, call, graph
from tests.faults.automations import outside
from tests.faults.story import Answer, Story
from tests.stack import MakeStack
from tests.support import eventually

pytestmark = pytest.mark.timeout(300)


def health(story: Story) -> tuple[int, dict[str, Any]]:
    status, body = story.stack.get("/health/temporal", timeout=6)
    return status, json.loads(body)


def asked(story: Story, document: dict[str, Any]) -> Answer:
    return story.insist("POST", "/workflow/execute/", user="editor", body=document)


def status(story: Story, name: str) -> dict[str, Any]:
    return story.insist("GET", f"/workflow/status/{name}", user="editor").body


def healthy(story: Story, said: str) -> Callable[[], bool]:
    return lambda: (
        health(story)
        == (
            200 if said in ("healthy", "disabled") else 503,
            {
                "status": said,
                "connected": said == "healthy",
                "worker": said == "healthy",
                "task_queue": "flov7-workflow-task-queue",
            },
        )
    )


def stopped(story: Story) -> None:
    """End the site as a supervisor does."""
    # uvicorn raises the signal again once everything has ended in order.
    assert story.stack.stop("web") in (0, -signal.SIGTERM)


def test_with_a_worker_inside_it_drains_and_without_the_engine_it_goes_on(
    make_stack: MakeStack,
) -> None:
    inside = {"START_TEMPORAL_WORKER": "true"}
    stack = make_stack("web", "relay", "simulators", env=inside)
    story = Story(stack)
    eventually(healthy(story, "healthy"), timeout=120)

    # What runs when the site is told to end comes to its end, and is not run again.
    slow = graph("a>b", a=call(f"{outside(story)}/echo?delay=2", method="POST"))
    name = asked(story, slow).body["execution_id"]
    eventually(lambda: status(story, name)["nodes"]["a"] == "running", timeout=60)
    stopped(story)
    query = """SELECT n.status, n.tries FROM automations_node n
               JOIN automations_execution e ON e.id = n.execution_id
               WHERE e.workflow_id = %s AND n.node_id = 'a'"""
    assert stack.sql(query, name) == [("completed", 1)]
    stack.restart("web")
    eventually(lambda: status(story, name)["status"] == "completed", timeout=120)
    stopped(story)

    # Without the engine.
    temporal = stack.private.temporal
    assert temporal is not None
    stack.private.kill9(temporal)
    stack.spawn("web", env={"ENABLE_TEMPORAL_FEATURES": "false", "START_TEMPORAL_WORKER": "false"})
    eventually(healthy(story, "disabled"), timeout=120)
    refused = asked(story, graph("a>b", a=approval()))
    assert (refused.status, refused.body["code"]) == (422, "approval_needs_engine")
    echo = call(f"{outside(story)}/echo", method="POST")
    name = asked(story, graph("a>b", a=echo)).body["execution_id"]
    eventually(lambda: status(story, name)["status"] == "completed", timeout=60)


def test_health_names_what_is_away(make_stack: MakeStack) -> None:
    stack = make_stack("web")
    story = Story(stack)
    away = {"connected": True, "worker": False, "task_queue": "flov7-workflow-task-queue"}
    eventually(lambda: health(story) == (503, {"status": "unhealthy", **away}), timeout=60)
    temporal = stack.private.temporal
    assert temporal is not None
    stack.private.freeze(temporal)
    try:
        assert health(story) == (503, {"status": "unhealthy", **away, "connected": False})
    finally:
        stack.private.thaw(temporal)
