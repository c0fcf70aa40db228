"""kill -9 of each process, and the end of every database session, once each in mid-saga."""

import pytest

from tests.faults.story import Story
from tests.support import eventually

pytestmark = pytest.mark.faults

EXECUTE = "execute_intervention"


def _mid_saga(story: Story) -> str:
    """An approved intervention whose money is reserved and whose execution is under way."""
    story.behave(delay_seconds=1.5)
    intervention = story.ask()
    story.approve(intervention)
    eventually(lambda: story.step(intervention, EXECUTE) == "running", timeout=20)
    return intervention


@pytest.mark.parametrize("victim", ["worker", "web", "relay", "temporal", "valkey"])
def test_a_saga_survives_the_kill_of(story: Story, victim: str) -> None:
    before = story.budget()
    intervention = _mid_saga(story)

    story.stack.kill9(victim)
    story.stack.restart(victim)

    assert story.ended(intervention)["status"] == "executed"
    story.prove(intervention)
    assert story.budget()["spent"] == before["spent"] + 25_000
    story.stack.wait_ready()


def test_a_saga_survives_the_end_of_every_database_session(story: Story) -> None:
    intervention = _mid_saga(story)

    story.stack.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    story.ended(intervention)
    story.prove(intervention)
    story.stack.wait_ready()


def test_a_decision_made_while_no_relay_lives_is_delivered_by_the_next_one(story: Story) -> None:
    """The worker stands by as a relay as well: both are away when the reviewer signs."""
    intervention = story.ask()
    request = story.request_of(intervention)
    story.stack.kill9("relay")
    story.stack.kill9("worker")

    assert story.decide(request, verdict="approve").status == 200
    assert story.state(intervention)["status"] in {"awaiting_approval", "approved"}

    story.stack.restart("relay")
    story.stack.restart("worker")
    story.ended(intervention)
    story.prove(intervention)
    story.stack.wait_ready()


def test_a_request_made_while_temporal_is_down_is_kept_and_carried_out(story: Story) -> None:
    story.stack.kill9("temporal")
    intervention = story.ask("900.00", key="asked-while-temporal-was-down")
    again = story.ask("900.00", key="asked-while-temporal-was-down")
    assert again == intervention
    assert story.state(intervention)["status"] == "pending"

    story.stack.restart("temporal")
    story.ended(intervention)
    story.prove(intervention)
    story.stack.wait_ready()
