"""Workflows that are cancelled or terminated by command, and runs that nobody looks at."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction
from temporalio.client import Client
from temporalio.worker import Worker

from apps.audit.models import AuditEntry
from apps.engine import services, subjects, sweeper
from apps.engine.db_threads import Threads
from apps.engine.leader_tasks import Duty, OwnThread
from apps.engine.models import EngineCommand, WorkflowRun
from tests.engine.conftest import (
    Background,
    Outbox,
    RunningRelay,
    Sub,
    giving,
    settled,
)
from tests.engine.unsteady import Unsteady, by_hand, waits
from tests.engine.workflows import CollectingWorkflow
from tests.support import LONG_ENOUGH, eventually
from workers.mirror import MirrorWriter
from workers.options import worker_options

StartRelay = Callable[..., RunningRelay]


# --- endings ------------------------------------------------------------------------------------
def ending(outbox: Outbox, verb: Callable[..., EngineCommand], name: str = "a") -> EngineCommand:
    with transaction.atomic():
        return verb(
            key=f"{outbox.tag}:{name}:{verb.__name__}",
            workflow_id=outbox.workflow_id(name),
            task_queue=outbox.queue,
            reason="the payment was recalled",
            subject_type=outbox.subject,
            subject_id=name,
        )


@pytest.mark.parametrize(
    ("verb", "status"),
    [(services.workflow_cancel, "CANCELED"), (services.workflow_terminate, "TERMINATED")],
)
def test_a_workflow_is_ended_once_whoever_asks_again(
    start_relay: StartRelay,
    outbox: Outbox,
    background: Background,
    engine: Client,
    worker: str,
    verb: Callable[..., EngineCommand],
    status: str,
) -> None:
    outbox.start("a", signals=1)
    end = ending(outbox, verb)
    assert ending(outbox, verb).pk == end.pk
    start_relay()
    settled(end)
    handle = engine.get_workflow_handle(outbox.workflow_id("a"))

    def ended() -> bool:
        described = background.run(handle.describe())
        return described.status is not None and described.status.name == status

    eventually(ended)
    events = background.run(handle.fetch_history()).events
    assert "the payment was recalled" in str(events)


@pytest.mark.parametrize("verb", [services.workflow_cancel, services.workflow_terminate])
def test_the_end_of_what_does_not_run_is_undeliverable(
    start_relay: StartRelay,
    outbox: Outbox,
    engine: Client,
    subject: Sub,
    verb: Callable[..., EngineCommand],
) -> None:
    end = ending(outbox, verb)
    start_relay()
    settled(end, "undeliverable")
    assert subject.undeliverable == [end.key]


@pytest.mark.parametrize("verb", [services.workflow_cancel, services.workflow_terminate])
def test_an_end_gives_up_the_second_run_that_still_waits_for_the_first(
    start_relay: StartRelay,
    outbox: Outbox,
    background: Background,
    engine: Client,
    worker: str,
    verb: Callable[..., EngineCommand],
) -> None:
    start_relay()
    first = settled(outbox.start("a", signals=1))
    second = outbox.start("a", key=f"{outbox.tag}:2", allow_duplicate_failed=True)
    waits(second)
    end = ending(outbox, verb)
    settled(second, "discarded", timeout=20)
    settled(end)
    assert end.key in second.error
    entry = AuditEntry.objects.get(action="engine.command_discard")
    assert (entry.subject_id, entry.actor_id) == ("a", "system:engine")
    handle = engine.get_workflow_handle(outbox.workflow_id("a"))
    with pytest.raises(Exception, match="Workflow execution"):
        background.run(handle.result())
    assert background.run(handle.describe()).run_id == first.run_id


# --- runs that nobody looks at ------------------------------------------------------------------
def test_an_unmirrored_run_is_delivered_once_and_leaves_no_trace_in_the_mirror(
    start_relay: StartRelay,
    outbox: Outbox,
    background: Background,
    engine: Client,
    unsteady: Unsteady,
    subject: Sub,
    mirrored_worker: str,
) -> None:
    unsteady.answers_lost = 1
    start_relay(connect=giving(unsteady))
    start = settled(outbox.start("a", unmirrored=True))
    twin = settled(outbox.start("a", key=f"{outbox.tag}:twin", unmirrored=True))
    other = outbox.start("a", key=f"{outbox.tag}:b", subject_id="b", unmirrored=True)
    settled(other, "parked")
    assert twin.run_id == start.run_id
    handle = engine.get_workflow_handle(outbox.workflow_id("a"))
    assert background.run(handle.result()) == []
    described = background.run(handle.describe())
    names = [pair.key.name for pair in described.typed_search_attributes]
    assert not [name for name in names if name.startswith("Countersign")]
    # Its worker has noticed another run, which came later, and the sweeper lists them by type.
    settled(outbox.start("seen"))
    eventually(lambda: WorkflowRun.objects.filter(status="completed").exists())
    known: Any = subjects.get(subject.type)
    watched = vars(known) | {"workflow_types": ("CollectingWorkflow",)}
    subjects._subjects[subject.type] = subjects.EngineSubject(**watched)
    by_hand(background, engine, outbox, "stranger")

    def listed() -> bool:
        background.run(sweeper.sweep(engine, threads=threads))
        return WorkflowRun.objects.filter(workflow_id=outbox.workflow_id("stranger")).exists()

    threads = Threads("test", most=2)
    eventually(listed, timeout=20)
    threads.close()
    assert not WorkflowRun.objects.filter(workflow_id=outbox.workflow_id("a")).exists()
    assert subject.closed == [("seen", "completed")]


@pytest.fixture
def mirrored_worker(
    background: Background, engine: Client, task_queue: str, transactional_db: None
) -> Iterator[str]:
    """A worker whose runs are noticed as those of ours are."""
    mirror = MirrorWriter()
    mirror.start()
    one = Worker(
        engine,
        task_queue=task_queue,
        workflows=[CollectingWorkflow],
        **worker_options(listeners=[mirror.tell], sandboxed=False),
    )
    task = background.begin(one.run())
    yield task_queue

    async def end() -> None:
        await one.shutdown()
        await task

    background.run(end())
    mirror.stop()


# --- the end of the process ---------------------------------------------------------------------
def test_duties_let_go_of_other_servers_before_the_relay_is_gone(start_relay: StartRelay) -> None:
    """After what they are at: who closes a producer under a send loses what is on its way."""
    said: list[str] = []
    begun, hold = threading.Event(), threading.Event()

    def turn() -> int:
        begun.set()
        hold.wait(LONG_ENOUGH)
        said.append("sent")
        return 0

    own = OwnThread("sending", turn)

    async def close() -> None:
        hold.set()
        await own.close(lambda: said.append("closed"))

    def broken() -> None:
        raise RuntimeError("the broker hangs up")

    other = OwnThread("other", lambda: 0)
    duties = [
        Duty("sending", 60, own, close=close),
        Duty("other", 60, other, close=lambda: other.close(broken)),
        Duty("without", 60, OwnThread("without", lambda: 0)),
    ]
    relay = start_relay(leader_duties=duties)
    assert begun.wait(LONG_ENOUGH)
    relay.stop()
    assert said == ["sent", "closed"]
