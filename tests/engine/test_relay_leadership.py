import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from django.db import connection
from temporalio.client import Client

from apps.engine import liveness
from apps.engine.models import EngineCommand
from tests.engine.conftest import (
    FAST,
    Background,
    Outbox,
    RunningRelay,
    Wrapped,
    giving,
    leader_sessions,
    settled,
    terminate,
)
from tests.support import eventually, patient, within

StartRelay = Callable[..., RunningRelay]
Spawn = Callable[[], "subprocess.Popen[bytes]"]


def one_leads(*relays: RunningRelay) -> RunningRelay:
    """Wait until exactly one leads; that one."""
    eventually(lambda: sum(relay.leading for relay in relays) == 1)
    return next(relay for relay in relays if relay.leading)


# --- in this process ----------------------------------------------------------------------------
def test_of_several_relays_one_leads(start_relay: StartRelay) -> None:
    relays = [start_relay() for _ in range(3)]
    one_leads(*relays)
    eventually(lambda: len(liveness.alive("relay")) == 3)
    assert len(leader_sessions()) == 1
    # The leader's heartbeat may be from before it led; the next one says so.
    eventually(lambda: sorted(beat.leading for beat in liveness.alive("relay")) == [0, 0, 1])


def test_a_standby_takes_over_when_the_leader_ends(start_relay: StartRelay) -> None:
    relays = [start_relay(), start_relay()]
    leader = one_leads(*relays)
    standby = next(relay for relay in relays if relay is not leader)
    leader.stop()
    eventually(lambda: standby.leading, timeout=2)
    names = [beat.name for beat in liveness.alive("relay")]
    assert names == [standby.relay.name]


def test_a_leader_whose_session_is_terminated_stops_and_another_one_sends(
    start_relay: StartRelay, outbox: Outbox, engine: Client
) -> None:
    relays = [start_relay(), start_relay(), start_relay()]
    one_leads(*relays)
    for number in range(3):
        (before,) = eventually(leader_sessions)
        terminate(before)
        with within(5):
            eventually(
                lambda before=before: (now := leader_sessions()) and now != [before], timeout=2
            )
            settled(outbox.start(str(number)), timeout=5)
    one_leads(*relays)
    assert EngineCommand.objects.exclude(attempts=1).count() == 0


def test_a_leader_without_its_session_lets_go_of_the_calls_in_flight(
    start_relay: StartRelay, outbox: Outbox, wrapped: Wrapped
) -> None:
    wrapped.hanging.add(outbox.queue)
    relay = start_relay(connect=giving(wrapped), limits=replace(FAST, call_seconds=60))
    command = outbox.start("a")
    eventually(lambda: wrapped.calls)
    (calls,) = [set(relay.relay._calls)]
    (before,) = leader_sessions()
    terminate(before)
    eventually(lambda: calls and all(task.cancelled() for task in calls), timeout=2)
    wrapped.hanging.clear()
    # Nothing is lost: when the lease is over, whoever leads then sends it.
    assert settled(command, timeout=10).attempts == 2


def test_what_a_crashed_leader_had_leased_is_sent_by_the_next_when_the_lease_is_over(
    start_relay: StartRelay, outbox: Outbox, wrapped: Wrapped, engine: Client
) -> None:
    wrapped.hanging.add(outbox.queue)
    first = start_relay(connect=giving(wrapped))
    command = outbox.start("a")
    eventually(lambda: wrapped.calls)
    first.crash()
    command.refresh_from_db()
    assert command.state == "leased"
    second = start_relay()
    eventually(lambda: second.leading, timeout=2)
    settled(command, timeout=FAST.lease_seconds + 3)
    assert command.attempts == 2
    assert command.settled_at is not None
    assert command.leased_until is None


def test_an_outcome_is_not_written_when_the_lease_has_gone_to_another(
    start_relay: StartRelay, outbox: Outbox, wrapped: Wrapped, background: Background
) -> None:
    import asyncio

    released = asyncio.Event()
    real = wrapped.start_workflow

    async def slow(workflow: str, **options: object) -> object:
        await released.wait()
        return await real(workflow, **options)

    wrapped.start_workflow = slow  # type: ignore[method-assign]
    start_relay(connect=giving(wrapped))
    command = outbox.start("a")
    eventually(lambda: EngineCommand.objects.filter(state="leased").exists())
    EngineCommand.objects.update(lease_token="00000000-0000-0000-0000-000000000001")
    background.loop.call_soon_threadsafe(released.set)
    settled(outbox.start("b", queue=f"{outbox.queue}-b"))
    command.refresh_from_db()
    assert command.state == "leased"
    # The lease ends like any other.
    settled(command, timeout=FAST.lease_seconds + 3)


def test_a_relay_that_ends_in_order_settles_what_is_in_flight(
    start_relay: StartRelay, outbox: Outbox, wrapped: Wrapped
) -> None:
    import asyncio

    real = wrapped.start_workflow

    async def slow(workflow: str, **options: object) -> object:
        await asyncio.sleep(0.5)
        return await real(workflow, **options)

    wrapped.start_workflow = slow  # type: ignore[method-assign]
    relay = start_relay(connect=giving(wrapped))
    command = outbox.start("a")
    eventually(lambda: EngineCommand.objects.filter(state="leased").exists())
    relay.stop()
    command.refresh_from_db()
    assert command.state == "sent"
    # The server lists a closed session for a moment longer.
    eventually(lambda: leader_sessions() == [])


def test_a_relay_that_starts_before_the_server_is_there_waits_for_it(
    start_relay: StartRelay, outbox: Outbox, engine: Client
) -> None:
    there: list[Client] = []

    async def connect() -> Client:
        if not there:
            raise RuntimeError("Failed client connect: connection refused")
        return there[0]

    start_relay(connect=connect)
    command = outbox.start("a")
    eventually(lambda: EngineCommand.objects.filter(error__contains="client connect").exists())
    there.append(engine)
    settled(command)
    assert command.strikes == 0


# --- as processes -------------------------------------------------------------------------------
@pytest.fixture
def spawn(transactional_db: None) -> Iterator[Spawn]:
    """`manage.py runrelay` against this test's database."""
    made: list[subprocess.Popen[bytes]] = []
    base = os.environ["DATABASE_URL"].rpartition("/")[0]
    env = os.environ | {
        "DATABASE_URL": f"{base}/{connection.settings_dict['NAME']}",
        "RELAY_LEASE_SECONDS": "2",
        "RELAY_CALL_SECONDS": "1",
        "POSTGRES_MIN_CONNS": "0",
    }

    def start() -> "subprocess.Popen[bytes]":
        made.append(subprocess.Popen([sys.executable, "manage.py", "runrelay"], env=env, stderr=-3))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.wait()


def leading_pid(*, besides: int | None = None) -> int | None:
    """Pid of a relay that said it leads within the last five seconds."""
    leading = [beat.detail["pid"] for beat in liveness.alive("relay", 5) if beat.leading]
    return next((pid for pid in leading if pid != besides), None)


def test_when_the_leading_process_is_killed_a_standby_process_goes_on(
    spawn: Spawn, outbox: Outbox, engine: Client
) -> None:
    processes = {process.pid: process for process in (spawn(), spawn())}
    eventually(lambda: len(liveness.alive("relay")) == 2, timeout=30)
    leader = eventually(leading_pid, timeout=5)
    assert leader is not None
    for number in range(40):
        outbox.start(str(number))
        outbox.signal(str(number))
        if number == 20:
            os.kill(leader, signal.SIGKILL)
            with within(4):
                eventually(lambda: leading_pid(besides=leader), timeout=4)
    processes[leader].wait()
    eventually(lambda: EngineCommand.objects.exclude(state="sent").count() == 0, timeout=15)


def test_sigterm_ends_a_relay_process_with_exit_status_0(spawn: Spawn) -> None:
    process = spawn()
    eventually(leading_pid, timeout=30)
    process.send_signal(signal.SIGTERM)
    assert process.wait(patient(10)) == 0
    # The server lists a closed session for a moment longer.
    eventually(lambda: leader_sessions() == [])
    assert liveness.alive("relay") == []
