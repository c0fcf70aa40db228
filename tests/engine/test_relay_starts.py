"""Starts that meet a run under their workflow id: their own, a stranger's, or one still closing."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from apps.audit.contracts import ENGINE
from apps.audit.models import AuditEntry
from apps.console import home
from apps.engine import services, subjects, sweeper
from apps.engine.db_threads import Threads
from apps.engine.models import EngineCommand, WorkflowRun
from apps.engine.relay import lag
from tests.engine.conftest import (
    Background,
    Outbox,
    RunningRelay,
    Sub,
    Wrapped,
    giving,
    settled,
)
from tests.engine.workflows import CollectingWorkflow, Work
from tests.support import eventually
from workers import liveness, metrics
from workers.mirror import MirrorWriter
from workers.run_observer import ObservedRunner

StartRelay = Callable[..., RunningRelay]


class Unsteady(Wrapped):
    """Loses the answers of so many starts that arrived, and fails so many descriptions."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.answers_lost = 0
        self.descriptions_failed = 0
        #: Awaited after a start whose answer is lost.
        self.meanwhile: Callable[[Any], Any] | None = None

    async def start_workflow(self, workflow: str, **options: Any) -> Any:
        handle = await super().start_workflow(workflow, **options)
        if self.answers_lost:
            self.answers_lost -= 1
            if self.meanwhile:
                await self.meanwhile(handle)
            raise away()
        return handle

    def get_workflow_handle(self, workflow_id: str, **options: Any) -> Any:
        return _UnsteadyHandle(self, super().get_workflow_handle(workflow_id, **options))


class _UnsteadyHandle:
    def __init__(self, client: Unsteady, handle: Any) -> None:
        self._client, self._handle = client, handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    async def describe(self, **options: Any) -> Any:
        if self._client.descriptions_failed:
            self._client.descriptions_failed -= 1
            raise away()
        return await self._handle.describe(**options)


@pytest.fixture
def unsteady(engine: Client) -> Unsteady:
    return Unsteady(engine)


def away() -> RPCError:
    return RPCError("cannot be reached", RPCStatusCode.UNAVAILABLE, b"")


def by_hand(
    background: Background, engine: Client, outbox: Outbox, name: str, **changes: Any
) -> str:
    """Somebody else starts a run under the id, without our attributes; its run id."""
    options = {
        "workflow": "CollectingWorkflow",
        "arg": Work(name),
        "id": outbox.workflow_id(name),
        "task_queue": f"{outbox.queue}-elsewhere",
    }

    async def start() -> str:
        handle = await engine.start_workflow(**(options | changes))
        return handle.result_run_id or ""

    return background.run(start())


def refreshed(command: EngineCommand) -> EngineCommand:
    command.refresh_from_db()
    return command


def waits(command: EngineCommand) -> None:
    """It was tried, and waits for the end of the run that it met."""
    eventually(lambda: "still runs" in refreshed(command).error)
    assert (command.state in {"pending", "leased"}, command.strikes) == (True, 0)


# --- strangers under the id ---------------------------------------------------------------------
def test_a_run_of_another_type_is_not_taken_for_ours(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client, subject: Sub
) -> None:
    by_hand(background, engine, outbox, "a", workflow="SomethingElse")
    start = outbox.start("a")
    signal = outbox.signal("a")
    start_relay()
    settled(start, "parked")
    assert "SomethingElse" in start.error and start.attempts == 1
    assert start.run_id == ""
    # What comes after it must not reach the stranger.
    settled(outbox.start("other"))
    assert (refreshed(signal).state, signal.attempts) == ("pending", 0)
    entry = AuditEntry.objects.get(action="engine.command_park")
    assert (entry.outcome, entry.code) == ("refused", "workflow_id_taken")
    assert (entry.subject_type, entry.subject_id) == (subject.type, "a")
    assert entry.body["key"] == start.key
    # Nobody was told yet: the operator may make room. Giving it up tells the subject.
    assert subject.undeliverable == []
    services.command_discard(command_id=start.pk, by=ENGINE, via="admin", reason="taken")
    assert subject.undeliverable == [start.key]


def test_a_run_of_another_subject_is_not_taken_for_ours(
    start_relay: StartRelay, outbox: Outbox, engine: Client
) -> None:
    start_relay()
    settled(outbox.start("a"))
    other = settled(outbox.start("a", key=f"{outbox.tag}:b", subject_id="b"), "parked")
    assert other.error.count(f"{outbox.subject}:") == 2


def test_a_second_run_is_not_started_behind_a_stranger(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client
) -> None:
    by_hand(background, engine, outbox, "a", workflow="SomethingElse")
    start_relay()
    settled(outbox.start("a", allow_duplicate_failed=True), "parked")


def test_a_parked_start_arrives_when_the_stranger_is_out_of_the_way(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client, worker: str
) -> None:
    run_id = by_hand(background, engine, outbox, "a", workflow="SomethingElse")
    start_relay()
    start = settled(outbox.start("a", allow_duplicate_failed=True), "parked")
    background.run(engine.get_workflow_handle(outbox.workflow_id("a")).terminate())
    services.command_retry(command_id=start.pk, by=ENGINE, via="admin", reason="terminated")
    assert settled(start).run_id not in {"", run_id}


def test_a_run_without_attributes_is_known_by_its_type_and_input(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client
) -> None:
    same = by_hand(background, engine, outbox, "a")
    by_hand(background, engine, outbox, "b", arg=Work("b", signals=3))
    start_relay()
    assert settled(outbox.start("a")).run_id == same
    assert "without a subject" in settled(outbox.start("b"), "parked").error


def test_a_description_that_does_not_come_decides_nothing(
    start_relay: StartRelay,
    outbox: Outbox,
    background: Background,
    engine: Client,
    unsteady: Unsteady,
) -> None:
    by_hand(background, engine, outbox, "a", workflow="SomethingElse")
    unsteady.descriptions_failed = 2
    start_relay(connect=giving(unsteady))
    start = settled(outbox.start("a"), "parked")
    assert (start.attempts, start.strikes) == (3, 1)


# --- lost answers -------------------------------------------------------------------------------
def test_a_start_whose_answer_was_lost_is_known_as_our_own(
    start_relay: StartRelay,
    outbox: Outbox,
    background: Background,
    engine: Client,
    unsteady: Unsteady,
) -> None:
    unsteady.answers_lost = 1
    start_relay(connect=giving(unsteady))
    start = settled(outbox.start("a", signals=1))
    assert (start.attempts, start.run_id != "") == (2, True)


def test_a_second_run_whose_answer_was_lost_does_not_wait_for_itself(
    start_relay: StartRelay,
    outbox: Outbox,
    background: Background,
    engine: Client,
    unsteady: Unsteady,
    worker: str,
) -> None:
    first = failed(start_relay(connect=giving(unsteady)), outbox, background, engine)
    unsteady.answers_lost = 1
    second = settled(
        outbox.start("a", key=f"{outbox.tag}:2", signals=1, allow_duplicate_failed=True)
    )
    assert second.attempts == 2
    assert second.run_id not in {"", first.run_id}


def test_a_second_run_that_failed_before_its_lost_answer_is_not_followed_by_a_third(
    start_relay: StartRelay,
    outbox: Outbox,
    background: Background,
    engine: Client,
    unsteady: Unsteady,
    worker: str,
) -> None:
    failed(start_relay(connect=giving(unsteady)), outbox, background, engine)
    ended: list[str] = []

    async def end(handle: Any) -> None:
        await handle.terminate()
        ended.append(handle.result_run_id)

    unsteady.answers_lost, unsteady.meanwhile = 1, end
    second = settled(
        outbox.start("a", key=f"{outbox.tag}:2", signals=1, allow_duplicate_failed=True)
    )
    assert [second.run_id] == ended


def test_a_relay_killed_between_the_call_and_its_note_starts_once(
    start_relay: StartRelay,
    outbox: Outbox,
    background: Background,
    engine: Client,
    unsteady: Unsteady,
    worker: str,
) -> None:
    relay = start_relay(connect=giving(unsteady))
    failed(relay, outbox, background, engine)
    sent: list[str] = []

    async def hang(handle: Any) -> None:
        sent.append(handle.result_run_id)
        unsteady.meanwhile = None
        await asyncio.Event().wait()

    unsteady.answers_lost, unsteady.meanwhile = 1, hang
    second = outbox.start("a", key=f"{outbox.tag}:2", signals=1, allow_duplicate_failed=True)
    eventually(lambda: sent)
    relay.crash()
    start_relay()
    assert [settled(second, timeout=15).run_id] == sent


def failed(
    relay: RunningRelay, outbox: Outbox, background: Background, engine: Client
) -> EngineCommand:
    """A first run that has failed."""
    first = settled(outbox.start("a", fail=True))
    with pytest.raises(Exception, match="failed"):
        background.run(engine.get_workflow_handle(outbox.workflow_id("a")).result())
    return first


# --- the old run is still closing ---------------------------------------------------------------
def test_a_second_run_waits_until_the_old_one_has_closed(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client
) -> None:
    start_relay()
    first = settled(outbox.start("a", signals=1))
    second = outbox.start("a", key=f"{outbox.tag}:2", signals=1, allow_duplicate_failed=True)
    waits(second)
    # It waits for nothing that the relay could do: it is not behind.
    assert lag().oldest_seconds == 0
    background.run(engine.get_workflow_handle(outbox.workflow_id("a")).terminate())
    assert settled(second, timeout=20).run_id not in {"", first.run_id}


def test_a_second_run_that_waits_survives_its_relay(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client
) -> None:
    relay = start_relay()
    first = settled(outbox.start("a", signals=1))
    second = outbox.start("a", key=f"{outbox.tag}:2", signals=1, allow_duplicate_failed=True)
    waits(second)
    relay.crash()
    background.run(engine.get_workflow_handle(outbox.workflow_id("a")).terminate())
    start_relay()
    assert settled(second, timeout=20).run_id not in {"", first.run_id}


def test_a_second_run_is_done_when_the_old_one_completes_after_all(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client, worker: str
) -> None:
    """Its signals are not held back behind it: the run could wait for one of them."""
    start_relay()
    first = settled(outbox.start("a", signals=1))
    second = outbox.start("a", key=f"{outbox.tag}:2", allow_duplicate_failed=True)
    waits(second)
    signal = settled(outbox.signal("a"))
    assert background.run(engine.get_workflow_handle(outbox.workflow_id("a")).result()) == [
        signal.key
    ]
    assert settled(second, timeout=20).run_id == first.run_id


def test_a_signal_that_finds_the_old_run_closed_reaches_the_second(
    start_relay: StartRelay,
    outbox: Outbox,
    background: Background,
    engine: Client,
    worker: str,
    subject: Sub,
) -> None:
    start_relay()
    settled(outbox.start("a", signals=1))
    second = outbox.start("a", key=f"{outbox.tag}:2", signals=1, allow_duplicate_failed=True)
    waits(second)
    # Its next try is far away; the signal that finds the old run closed calls it.
    eventually(lambda: EngineCommand.objects.filter(pk=second.pk, state="pending").exists())
    handle = engine.get_workflow_handle(outbox.workflow_id("a"))
    background.run(handle.terminate())
    signal = outbox.signal("a")
    settled(second, timeout=20)
    settled(signal)
    assert background.run(handle.result()) == [signal.key]
    assert subject.undeliverable == []


def test_two_second_runs_are_one_after_the_other(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client
) -> None:
    start_relay()
    settled(outbox.start("a", signals=1))
    handle = engine.get_workflow_handle(outbox.workflow_id("a"))
    two = outbox.start("a", key=f"{outbox.tag}:2", signals=1, allow_duplicate_failed=True)
    three = outbox.start("a", key=f"{outbox.tag}:3", signals=1, allow_duplicate_failed=True)
    waits(two)
    assert refreshed(three).attempts == 0
    background.run(handle.terminate())
    settled(two, timeout=20)
    waits(three)
    background.run(handle.terminate())
    assert settled(three, timeout=20).run_id not in {"", two.run_id}


def test_a_second_run_that_waits_is_no_lag_anywhere(outbox: Outbox) -> None:
    hour = timezone.now() - timedelta(hours=1)
    outbox.start("a", allow_duplicate_failed=True)

    def told() -> tuple[bool, bool, str]:
        liveness._measure(timezone.now())
        seconds = metrics.RELAY_LAG._value.get()
        return lag().oldest_seconds > 0, seconds > 0, home._outbox(timezone.now()).tone

    EngineCommand.objects.update(created_at=hour, next_try_at=hour)
    assert told() == (True, True, "warn")
    EngineCommand.objects.update(behind_run="run-1")
    assert told() == (False, False, "good")


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
        workflow_runner=ObservedRunner(listeners=[mirror.tell], sandboxed=False),
    )
    task = background.begin(one.run())
    yield task_queue

    async def end() -> None:
        await one.shutdown()
        await task

    background.run(end())
    mirror.stop()
