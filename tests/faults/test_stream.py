"""Payment events from a real stream to their table: nothing lost and nothing twice, whoever is
killed; and nothing fails while the inference service is away."""

import asyncio
import json
import statistics
import time
import urllib.request
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client

from apps.simulators.inference import KINDS as STEPS
from tests.faults.conftest import SHORT
from tests.faults.harness import Harness
from tests.faults.stream import KILLS, Kill, StreamRun, survive
from tests.faults.stream_brokers import Broker, KafkaBroker, RedisBroker, Topics
from tests.faults.stream_sent import GOOD, good, hostile, messages, of
from tests.stack import Stack
from tests.support import FULL_SIZE, eventually, patience, pause

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600 if FULL_SIZE else 420)]

Record = Callable[[str, object], None]
MakeBroker = Callable[..., Broker]

SIZE = 2000 if FULL_SIZE else 120
#: Of few messages more are bad, so that every kind is among them.
SHARES = {"bad_share": 0.05, "twin_share": 0.05} if FULL_SIZE else {"bad_share": 0.25}
FEW_KILLS: list[Kill] = [(0.7, "worker"), (0.3, "temporal")]
#: Calls at once: the threads that a worker of a stack has.
IN_FLIGHT = 32
#: Events that wait while the inference service is away, and for how long it is.
WAITING, OUTAGE_SECONDS = (5000, 300.0) if FULL_SIZE else (100, 8.0)
MOST_OPEN = int(SHORT["PAYMENTS_MAX_OPEN"])
PATIENCE = 3000.0 if FULL_SIZE else 240.0


@pytest.fixture
def redis_broker(stack: Stack) -> Broker:
    """Streams of the test's own in the stack's Valkey."""
    return RedisBroker(stack.env["REDIS_URL"], Topics.of(uuid4().hex[:10]))


@pytest.fixture(params=["redis", "kafka"])
def make_broker(request: pytest.FixtureRequest) -> MakeBroker:
    """`make_broker(partitions=1)`: topics of the test's own; a stream of Redis is one partition."""

    def build(**options: int) -> Broker:
        if request.param == "redis":
            found: Broker = request.getfixturevalue("redis_broker")
            return found
        topics = Topics.of(uuid4().hex[:10])
        return KafkaBroker(request.getfixturevalue("kafka"), topics, **options)

    return build


def run_of(broker: Broker) -> str:
    return broker.topics.events.removeprefix("events-")


def prove(run: StreamRun, record_property: Record, title: str) -> None:
    lines = run.table(in_flight=IN_FLIGHT)
    for line in lines:
        cell = f"{line.found} of {line.wanted}" + ("" if line.holds else " WRONG")
        record_property("table", ["Streams", line.what, title, cell])
    wrong = [str(line) for line in lines if not line.holds]
    assert wrong == []


def test_what_is_sent_is_counted_whoever_is_killed(
    harness: Harness, make_broker: MakeBroker, record_property: Record
) -> None:
    broker = make_broker()
    run = StreamRun(harness.stack, harness.points, broker)
    with run.consuming():
        eventually(run.ready)
        sent = messages(run_of(broker), SIZE, **SHARES)
        survive(run, sent, KILLS if FULL_SIZE else FEW_KILLS, seconds=PATIENCE)
        prove(run, record_property, f"{SIZE} by {broker.env['PAYMENTS_SOURCE']}, killed")
    assert set(run.kills) == {"consumer", "worker", "temporal"}
    harness.stack.wait_ready()


@pytest.mark.skipif(not FULL_SIZE, reason="tests/payments/test_hostile.py has it without workflows")
def test_hostile_messages_end_in_the_quarantine_and_the_partition_moves_on(
    harness: Harness, make_broker: MakeBroker, record_property: Record
) -> None:
    broker = make_broker(partitions=1)
    run = StreamRun(harness.stack, harness.points, broker)
    mixed, later = hostile(run_of(broker), 500, 100)
    with run.consuming():
        run.send(mixed)
        run.send(later)
        run.settle(seconds=PATIENCE)
        prove(run, record_property, f"hostile by {broker.env['PAYMENTS_SOURCE']}")


def test_while_the_inference_service_is_away_events_wait_and_other_queues_do_not(
    harness: Harness, redis_broker: Broker
) -> None:
    run = StreamRun(harness.stack, harness.points, redis_broker)
    sent = [good(run_of(redis_broker), number) for number in range(WAITING)]
    harness.story.quiet()
    idle = statistics.median(pings(harness.stack, seconds=OUTAGE_SECONDS / 2))
    before = patience()
    tell(harness.stack, down=True)
    try:
        with run.consuming():
            run.send(sent)
            eventually(lambda: run.open() == WAITING, timeout=PATIENCE)
            eventually(lambda: breaker_is_open(harness.stack), timeout=60)
            most: list[int] = []
            waits = pings(
                harness.stack,
                seconds=OUTAGE_SECONDS,
                each=lambda: most.append(max(admitted(run), run.running())),
            )
            # Nobody was quarantined or given up, and no more were begun than may be.
            assert run.open() == WAITING
            assert 0 < max(most) <= MOST_OPEN, most
            slower = max(1.0, patience() / before)
            assert statistics.median(waits) <= 2 * idle * slower, (idle, waits)
            tell(harness.stack, down=False)
            run.settle(seconds=PATIENCE)
            done = [*run.rows(), *run.quarantine(), *list(run.calls(IN_FLIGHT))[:2]]
            assert [str(line) for line in done if not line.holds] == []
            assert len(of(run.sent, GOOD)) == WAITING
    finally:
        tell(harness.stack, down=False)


def pings(
    stack: Stack, *, seconds: float, each: Callable[[], object] = lambda: None
) -> list[float]:
    """Seconds that empty workflows of another queue take, one after the other, for so long."""

    async def run() -> list[float]:
        temporal = stack.private.temporal
        assert temporal is not None
        client = await Client.connect(temporal.address)
        taken: list[float] = []
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            one = time.monotonic()
            await client.execute_workflow(
                "PingWorkflow", id=f"ping-{time.monotonic_ns()}", task_queue="diagnostics"
            )
            taken.append(time.monotonic() - one)
            await asyncio.to_thread(each)
            await asyncio.to_thread(pause, 0.2)
        # The first one is somebody's who has to connect.
        return taken[1:]

    return asyncio.run(run())


def tell(stack: Stack, **behaviour: Any) -> None:
    """Tell the inference service how to behave, at every step."""
    for step in STEPS:
        request = urllib.request.Request(
            f"http://127.0.0.1:{stack.ports['INFERENCE_PORT']}/{step}/behaviour",
            method="POST",
            data=json.dumps(behaviour).encode(),
        )
        with urllib.request.urlopen(request, timeout=30):
            pass


def breaker_is_open(stack: Stack) -> bool:
    query = "SELECT 1 FROM payments_inference_breaker WHERE open_until IS NOT NULL"
    return bool(stack.sql(query))


def admitted(run: StreamRun) -> int:
    """Events whose workflow was ordered and has not ended."""
    query = (
        "SELECT count(*) FROM payments_intake"
        " WHERE topic = %s AND admitted_at IS NOT NULL AND done_at IS NULL"
    )
    return int(run.stack.sql(query, run.topics.events)[0][0])
