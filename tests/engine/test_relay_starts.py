"""Starts that meet a run under their workflow id: their own, a stranger's, or one still closing."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from temporalio.client import Client

from apps.audit.contracts import ENGINE
from apps.audit.models import AuditEntry
from apps.console import home
from apps.engine import services
from apps.engine.models import EngineCommand
from apps.engine.relay import lag
from tests.engine.conftest import (
    Background,
    Outbox,
    RunningRelay,
    Sub,
    giving,
    settled,
)
from tests.engine.unsteady import Unsteady, by_hand, refreshed, waits
from tests.engine.workflows import Work
from tests.support import eventually
from workers import liveness, metrics

StartRelay = Callable[..., RunningRelay]


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
        liveness._measure()
        seconds = metrics.RELAY_LAG._value.get()
        return lag().oldest_seconds > 0, seconds > 0, home._outbox(timezone.now()).tone

    EngineCommand.objects.update(created_at=hour, next_try_at=hour)
    assert told() == (True, True, "warn")
    EngineCommand.objects.update(behind_run="run-1")
    assert told() == (False, False, "good")


# --- a run after any other ----------------------------------------------------------------------
def test_another_run_follows_one_that_completed_and_joins_one_that_runs(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client, worker: str
) -> None:
    start_relay()
    first = settled(outbox.start("a"))
    handle = engine.get_workflow_handle(outbox.workflow_id("a"))
    background.run(handle.result())
    second = settled(outbox.start("a", key=f"{outbox.tag}:2", signals=1, allow_duplicate=True))
    assert second.run_id not in {"", first.run_id}
    joined = settled(outbox.start("a", key=f"{outbox.tag}:3", signals=1, allow_duplicate=True))
    assert joined.run_id == second.run_id
    signal = settled(outbox.signal("a"))
    assert background.run(handle.result()) == [signal.key]


def test_another_run_whose_answer_was_lost_is_not_followed_by_one_more(
    start_relay: StartRelay,
    outbox: Outbox,
    background: Background,
    engine: Client,
    unsteady: Unsteady,
    worker: str,
) -> None:
    start_relay(connect=giving(unsteady))
    settled(outbox.start("a"))
    handle = engine.get_workflow_handle(outbox.workflow_id("a"))
    background.run(handle.result())
    ended: list[str] = []

    async def complete(handle: Any) -> None:
        await engine.get_workflow_handle(handle.id, run_id=handle.result_run_id).result()
        ended.append(handle.result_run_id)

    unsteady.answers_lost, unsteady.meanwhile = 1, complete
    second = settled(outbox.start("a", key=f"{outbox.tag}:2", allow_duplicate=True))
    assert [second.run_id] == ended


def test_another_run_is_not_begun_behind_a_stranger(
    start_relay: StartRelay, outbox: Outbox, background: Background, engine: Client
) -> None:
    by_hand(background, engine, outbox, "a", workflow="SomethingElse")
    start_relay()
    settled(outbox.start("a", allow_duplicate=True), "parked")
