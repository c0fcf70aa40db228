import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from apps.audit.contracts import ENGINE
from apps.engine import services
from apps.engine.contracts import CommandState
from apps.engine.models import EngineCommand, WorkflowRun
from apps.engine.relay import lag
from apps.engine.relay.session import Session, database_params
from tests.engine.conftest import (
    FAST,
    Background,
    Outbox,
    RunningRelay,
    Sub,
    Wrapped,
    giving,
    in_thread,
    settled,
)
from tests.support import LONG_ENOUGH, eventually, within

StartRelay = Callable[..., RunningRelay]


def history(background: Background, engine: Client, workflow_id: str) -> list[int]:
    async def fetch() -> list[int]:
        found = await engine.get_workflow_handle(workflow_id).fetch_history()
        return [event.event_type for event in found.events]

    return background.run(fetch())


def away() -> RPCError:
    return RPCError("cannot be reached", RPCStatusCode.UNAVAILABLE, b"")


# --- the ordinary way ---------------------------------------------------------------------------
def test_a_start_arrives_with_its_dataclass_its_timeouts_and_its_subject(
    start_relay: StartRelay,
    outbox: Outbox,
    worker: str,
    background: Background,
    engine: Client,
    subject: Sub,
) -> None:
    start_relay()
    command = outbox.start("a", execution_timeout_seconds=600, task_timeout_seconds=7)
    settled(command)
    handle = engine.get_workflow_handle(outbox.workflow_id("a"))
    assert background.run(handle.result()) == []
    started = background.run(handle.fetch_history()).events[0]
    attributes = started.workflow_execution_started_event_attributes
    assert attributes.workflow_execution_timeout.seconds == 600
    assert attributes.workflow_task_timeout.seconds == 7
    described = background.run(handle.describe())
    key = SearchAttributeKey.for_keyword("CountersignSubject")
    assert described.typed_search_attributes[key] == f"{subject.type}:a"
    run = WorkflowRun.objects.get(workflow_id=outbox.workflow_id("a"))
    assert (run.run_id, run.status) == (command.run_id, "running")
    assert (run.subject_type, run.subject_id) == (subject.type, "a")


def test_starting_what_was_started_already_counts_as_done(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client
) -> None:
    start_relay()
    first = settled(outbox.start("a"))
    second = settled(outbox.start("a", key=f"{outbox.tag}:other"))
    assert second.run_id == first.run_id
    assert (
        history(background, engine, outbox.workflow_id("a")).count(
            EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
        )
        == 1
    )


def test_only_a_failed_run_may_be_followed_by_another_and_only_when_asked_for(
    start_relay: StartRelay, outbox: Outbox, worker: str, background: Background, engine: Client
) -> None:
    start_relay()
    first = settled(outbox.start("a", fail=True))
    handle = engine.get_workflow_handle(outbox.workflow_id("a"))
    with pytest.raises(Exception, match="failed"):
        background.run(handle.result())
    plain = settled(outbox.start("a", key=f"{outbox.tag}:plain", fail=True))
    assert plain.run_id == first.run_id
    again = settled(outbox.start("a", key=f"{outbox.tag}:again", allow_duplicate_failed=True))
    assert again.run_id != first.run_id
    assert background.run(handle.result()) == []
    last = settled(outbox.start("a", key=f"{outbox.tag}:last", allow_duplicate_failed=True))
    assert last.run_id == again.run_id


def test_no_signal_is_sent_before_its_start(
    start_relay: StartRelay,
    outbox: Outbox,
    background: Background,
    engine: Client,
    wrapped: Wrapped,
) -> None:
    count = 500
    # On a busy machine too no call takes so long that it is repeated.
    patient = replace(FAST, call_seconds=LONG_ENOUGH, lease_seconds=2 * LONG_ENOUGH)
    start_relay(connect=giving(wrapped), limits=patient)
    for number in range(count):
        outbox.start(str(number), signals=1)
        outbox.signal(str(number))
    eventually(lambda: EngineCommand.objects.filter(state="sent").count() == 2 * count, timeout=60)
    for number in range(count):
        of_one = [kind for kind, wid in wrapped.calls if wid == outbox.workflow_id(str(number))]
        assert of_one == ["start", "signal"]
    # No call was refused and repeated, and the server has what it was told.
    assert EngineCommand.objects.exclude(attempts=1).count() == 0
    for number in range(0, count, 25):
        assert EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED in history(
            background, engine, outbox.workflow_id(str(number))
        )


def test_a_lost_notification_is_caught_by_the_poll(
    start_relay: StartRelay, outbox: Outbox, engine: Client
) -> None:
    relay = start_relay(notify=False)
    eventually(lambda: relay.leading)
    settled(outbox.start("a"), timeout=5)


def test_a_notification_wakes_the_relay_long_before_the_poll(
    start_relay: StartRelay, outbox: Outbox, engine: Client
) -> None:
    relay = start_relay(limits=replace(FAST, poll_seconds=60))
    eventually(lambda: relay.leading)
    settled(outbox.start("warm"), timeout=5)
    settled(outbox.start("a"), timeout=5)


async def test_a_notification_that_came_with_an_answer_is_not_slept_over(
    transactional_db: None,
) -> None:
    session = await Session.open(database_params(), name="t", listen=True)
    try:
        await session.connection.execute("SELECT pg_notify(%s, '')", [EngineCommand.CHANNEL])
        async with asyncio.timeout(LONG_ENOUGH):
            await session.wait(asyncio.Event(), 10 * LONG_ENOUGH)
        assert session.take_notified()
    finally:
        await session.close()


# --- order and queues ---------------------------------------------------------------------------
def test_a_parked_command_holds_back_its_own_workflow_only(
    start_relay: StartRelay, outbox: Outbox, engine: Client
) -> None:
    start = outbox.start("a")
    EngineCommand.objects.filter(pk=start.pk).update(state="parked")
    signal = outbox.signal("a")
    start_relay()
    settled(outbox.start("other"))
    signal.refresh_from_db()
    assert (signal.state, signal.attempts) == ("pending", 0)
    services.command_retry(command_id=start.pk, by=ENGINE, via="page", reason="repaired")
    settled(start)
    settled(signal)


def test_a_queue_without_workers_does_not_slow_another(
    start_relay: StartRelay, outbox: Outbox, worker: str, background: Background, engine: Client
) -> None:
    for number in range(100):
        outbox.start(f"nobody{number}", queue=f"{outbox.queue}-nobody")
    start_relay()
    settled(outbox.start("a"))
    assert background.run(engine.get_workflow_handle(outbox.workflow_id("a")).result()) == []


def test_a_queue_whose_calls_hang_does_not_hold_the_places_of_another(
    start_relay: StartRelay, outbox: Outbox, wrapped: Wrapped
) -> None:
    sick = f"{outbox.queue}-sick"
    wrapped.hanging.add(sick)
    stuck = [outbox.start(f"stuck{number}", queue=sick) for number in range(60)]
    relay = start_relay(connect=giving(wrapped))
    eventually(lambda: len(wrapped.calls) >= FAST.per_queue)
    with within(FAST.call_seconds + 3):
        for number in range(40):
            settled(outbox.start(f"well{number}"), timeout=2)
    # Its calls time out, its places shrink to one that probes.
    eventually(lambda: relay.relay._limiter.left().get(sick, 9) <= 1, timeout=15)
    wrapped.hanging.clear()
    for command in stuck:
        settled(command, timeout=20)
    assert max(command.strikes for command in stuck) == 0


# --- failures -----------------------------------------------------------------------------------
def test_arguments_that_the_server_refuses_park_at_once_with_an_alert(
    start_relay: StartRelay, outbox: Outbox, engine: Client, caplog: pytest.LogCaptureFixture
) -> None:
    command = outbox.start("big", args=["x" * 3_000_000])
    with caplog.at_level(logging.ERROR):
        start_relay()
        settled(command, "parked")
        eventually(lambda: "command parked" in caplog.text)
    # Not tries: where three megabytes take longer than a call may, the first one has no answer.
    assert command.strikes <= 1
    assert "Blob data size exceeds limit" in command.error
    assert lag().parked == 1
    assert lag().oldest_seconds == 0


def test_a_message_too_large_for_the_wire_parks_and_is_not_taken_for_a_busy_server(
    start_relay: StartRelay, outbox: Outbox, engine: Client
) -> None:
    command = outbox.start("huge", args=["x" * 5_000_000])
    start_relay()
    assert settled(command, "parked").strikes <= 1


def test_a_server_that_is_away_never_parks_a_command_and_is_caught_up_with_at_once(
    start_relay: StartRelay, outbox: Outbox, wrapped: Wrapped
) -> None:
    wrapped.failing[outbox.queue] = away()
    command = outbox.start("a")
    EngineCommand.objects.update(attempts=50)
    start_relay(connect=giving(wrapped))
    eventually(lambda: "cannot be reached" in refreshed(command).error)
    # By now the next try is many seconds away, for this one and for others that failed with it.
    waiting = timezone.now() + timedelta(seconds=5)
    assert refreshed(command).next_try_at > waiting
    assert (command.state, command.strikes) == (CommandState.PENDING, 0)
    wrapped.failing.clear()
    settled(outbox.start("b"))
    settled(command, timeout=3)


def test_other_errors_park_after_so_many_of_them(
    start_relay: StartRelay, outbox: Outbox, wrapped: Wrapped
) -> None:
    wrapped.failing[outbox.queue] = RPCError("strange", RPCStatusCode.DATA_LOSS, b"")
    command = outbox.start("a")
    start_relay(connect=giving(wrapped))
    assert settled(command, "parked").strikes == FAST.max_attempts


def test_an_exception_in_one_command_does_not_stop_the_others(
    start_relay: StartRelay, outbox: Outbox, wrapped: Wrapped
) -> None:
    bad = f"{outbox.queue}-bad"
    wrapped.failing[bad] = KeyError("a bug")
    broken = outbox.start("broken", queue=bad)
    start_relay(connect=giving(wrapped))
    settled(outbox.start("a"))
    settled(broken, "parked")


def test_a_row_that_somebody_holds_does_not_stop_the_others(
    start_relay: StartRelay, outbox: Outbox, engine: Client
) -> None:
    held = outbox.start("held")
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 FROM engine_enginecommand WHERE id = %s FOR UPDATE", [held.pk])
        start_relay()
        other = in_thread(lambda: settled(outbox.start("a")))
        assert other.state == "sent"
        cursor.execute("ROLLBACK")
    settled(held)


# --- undeliverable ------------------------------------------------------------------------------
def test_a_signal_to_a_terminated_workflow_is_undeliverable_and_its_subject_told_once(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client, subject: Sub
) -> None:
    start_relay()
    settled(outbox.start("a", signals=1))
    background.run(engine.get_workflow_handle(outbox.workflow_id("a")).terminate())
    signal = outbox.signal("a")
    settled(signal, "undeliverable")
    settled(outbox.start("later"))
    assert subject.undeliverable == [signal.key]
    assert signal.settled_at is not None
    assert "terminated" in signal.error


def test_a_signal_to_a_workflow_that_never_was_is_undeliverable(
    start_relay: StartRelay, outbox: Outbox, engine: Client, subject: Sub
) -> None:
    start_relay()
    signal = settled(outbox.signal("nobody"), "undeliverable")
    assert subject.undeliverable == [signal.key]


def test_a_subject_that_cannot_take_it_now_is_told_again(
    start_relay: StartRelay, outbox: Outbox, engine: Client, subject: Sub
) -> None:
    subject.failures = 2
    start_relay()
    signal = settled(outbox.signal("nobody"), "undeliverable")
    assert subject.undeliverable == [signal.key]
    assert signal.attempts == 3


def test_an_unknown_namespace_does_not_make_commands_undeliverable(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client, subject: Sub
) -> None:
    config = engine.config()
    config["namespace"] = "not-registered"
    start_relay(connect=giving(Client(**config)))
    signal = outbox.signal("nobody")
    eventually(lambda: "not-registered" in refreshed(signal).error)
    assert signal.state == CommandState.PENDING
    assert subject.undeliverable == []


def refreshed(command: EngineCommand) -> EngineCommand:
    command.refresh_from_db()
    return command
