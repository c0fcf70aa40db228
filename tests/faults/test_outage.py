"""PostgreSQL away for a while under many open sagas."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from temporalio.client import Client

from tests.faults.story import Story
from tests.stack import MakeStack
from tests.support import FULL_SIZE, eventually, pause

pytestmark = [pytest.mark.faults, pytest.mark.timeout(420)]

SAGAS = 200 if FULL_SIZE else 30
OUTAGE_SECONDS = 20.0 if FULL_SIZE else 6.0
#: Of a stack of its own, at full size. Nothing is killed here: the short timeouts of the other
#: fault tests would only make a worker with two hundred sagas at once repeat its work.
CONTRACT_TIMEOUTS = {
    "ACTIVITY_TIMEOUT_SECONDS": "300",
    "ACTIVITY_HEARTBEAT_SECONDS": "30",
    "WORKFLOW_TASK_TIMEOUT_SECONDS": "10",
}


if FULL_SIZE:

    @pytest.fixture
    def busy_story(make_stack: MakeStack) -> Iterator[Story]:
        """The story on a stack that can carry so many sagas at once."""
        one = Story(make_stack(env=CONTRACT_TIMEOUTS))
        yield one
        one.prove_audit()

else:

    @pytest.fixture
    def busy_story(story: Story) -> Story:
        """The story of all fault tests."""
        story.stack.wait_ready()
        story.quiet()
        return story


async def _ping(story: Story) -> float:
    """Seconds that an empty workflow of another queue takes."""
    temporal = story.stack.private.temporal
    assert temporal is not None
    client = await Client.connect(temporal.address)
    began = time.monotonic()
    await asyncio.wait_for(
        client.execute_workflow(
            "PingWorkflow", id=f"ping-{time.monotonic_ns()}", task_queue="diagnostics"
        ),
        timeout=OUTAGE_SECONDS,
    )
    return time.monotonic() - began


def test_an_outage_of_postgresql_stops_no_other_queue_and_loses_no_saga(
    busy_story: Story,
) -> None:
    story = busy_story
    before = story.budget()
    story.behave(delay_seconds=2)
    with ThreadPoolExecutor(8) as pool:
        asked = list(
            pool.map(
                lambda n: story.ask("100.00", key=f"outage-{n}", target=f"Ward {n}"), range(SAGAS)
            )
        )
    assert len(set(asked)) == SAGAS
    eventually(lambda: story.budget()["reserved"] >= 8 * 100, timeout=30)

    postgres = story.stack.private.postgres
    assert postgres is not None
    postgres.stop()
    stopped = time.monotonic()
    story.behave(delay_seconds=0)
    waits = []
    while time.monotonic() - stopped < OUTAGE_SECONDS:
        waits.append(asyncio.run(_ping(story)))
        pause(1)
    postgres.start()

    assert max(waits) < 5, waits
    assert len(waits) >= OUTAGE_SECONDS / 4

    def open_sagas() -> int:
        rows = story.stack.sql(
            "SELECT count(*) FROM interventions_intervention"
            " WHERE settled_at IS NULL AND idempotency_key LIKE 'outage-%%'"
        )
        return int(rows[0][0])

    eventually(lambda: open_sagas() == 0, timeout=240, every=0.5)
    statuses = story.stack.sql(
        "SELECT status, count(*) FROM interventions_intervention"
        " WHERE idempotency_key LIKE 'outage-%%' GROUP BY 1"
    )
    assert statuses == [("executed", SAGAS)]
    assert story.budget()["spent"] == before["spent"] + Decimal(100) * SAGAS
    assert story.budget()["reserved"] == before["reserved"]
    for intervention in asked[::20]:
        assert story.effects(f"{intervention}:execute") == 1
    story.prove_ledger()
