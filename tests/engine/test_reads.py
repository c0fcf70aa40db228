import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from temporalio.client import Client

from apps.engine import reads
from tests.engine.conftest import Background, Outbox, RunningRelay, settled
from tests.support import eventually, within


@pytest.fixture(autouse=True)
def fresh_reader() -> Iterator[None]:
    """The reader keeps its client; a test may point the settings elsewhere."""
    reads.shared_client.reset()
    yield
    reads.shared_client.reset()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_finished_workflow_is_described_with_its_timeline(
    start_relay: Callable[..., RunningRelay],
    outbox: Outbox,
    worker: str,
    background: Background,
    engine: Client,
) -> None:
    start_relay()
    settled(outbox.start("a", signals=1))
    settled(outbox.signal("a"))
    background.run(engine.get_workflow_handle(outbox.workflow_id("a")).result())
    found = reads.describe(outbox.workflow_id("a"))
    assert (found.available, found.found, found.status) == (True, True, "completed")
    assert found.workflow_type == "CollectingWorkflow"
    history = reads.history_events(outbox.workflow_id("a"))
    kinds = [event.kind for event in history.events]
    assert (kinds[0], kinds[-1]) == (
        "workflow_execution_started",
        "workflow_execution_completed",
    )
    assert "poke" in [event.detail for event in history.events]
    assert not history.truncated
    newest = reads.history_events(outbox.workflow_id("a"), limit=2)
    assert newest.truncated
    assert [event.id for event in newest.events] == [event.id for event in history.events[-2:]]


def test_a_queue_shows_its_workers_and_its_backlog(
    start_relay: Callable[..., RunningRelay], outbox: Outbox, worker: str
) -> None:
    start_relay()
    nobody = f"{outbox.queue}-nobody"
    settled(outbox.start("waits", queue=nobody))
    served = eventually(lambda: (s := reads.queue_state(worker)).pollers and s)
    assert "workflows" in served.pollers[0].kinds
    waiting = eventually(lambda: (s := reads.queue_state(nobody)).workflow_backlog and s)
    assert (waiting.workflow_backlog, waiting.pollers) == (1, ())


def test_an_unknown_workflow_is_an_answer_and_not_an_error() -> None:
    found = reads.describe("there-is-none")
    assert (found.available, found.found) == (True, False)
    assert reads.history_events("there-is-none") == reads.History(found=False)


@pytest.mark.parametrize(
    "question",
    [
        lambda: reads.describe("w"),
        lambda: reads.history_events("w"),
        lambda: reads.queue_state("q"),
    ],
)
def test_a_server_that_hangs_costs_a_page_one_second(
    settings: Any, silent_server: str, question: Callable[[], reads.Answer]
) -> None:
    settings.TEMPORAL_ADDRESS = silent_server
    with within(1.5):
        answer = question()
    assert not answer.available
    assert answer.error


def test_a_server_that_is_down_is_an_answer_too(settings: Any) -> None:
    settings.TEMPORAL_ADDRESS = "127.0.0.1:9"
    assert not reads.describe("w").available
