"""A loop in a thread for relays and workers, so that tests use the ORM directly."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from django.db import connection, connections, transaction
from temporalio.client import Client
from temporalio.worker import Worker

from apps.common.identifiers import new_id
from apps.engine import client as engine_client
from apps.engine import namespace, services, subjects
from apps.engine.models import EngineCommand, WorkflowRun
from apps.engine.relay import Limits, Relay
from apps.engine.relay.session import LEADER_LOCK
from tests.engine.workflows import CollectingWorkflow, Work
from tests.support import LONG_ENOUGH, eventually, patient
from workers.options import worker_options

if TYPE_CHECKING:
    from tests.engine.unsteady import Unsteady

T = TypeVar("T")

#: Short, so that a test that waits for one of them does not take long.
FAST = Limits(
    max_in_flight=20,
    per_queue=10,
    call_seconds=2.0,
    lease_seconds=3.0,
    poll_seconds=0.2,
    max_attempts=3,
    standby_seconds=0.2,
    beat_seconds=0.2,
)


class Background:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 30) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(patient(timeout))

    def begin(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Future[Any]":
        async def create() -> asyncio.Task[Any]:
            return asyncio.create_task(work)

        return self.run(create())

    def close(self) -> None:
        async def cancel() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self.loop.shutdown_default_executor()

        self.run(cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(30)
        assert not self._thread.is_alive()


class RunningRelay:
    """A relay in the background loop."""

    def __init__(self, background: Background, **options: Any) -> None:
        self._background = background
        self.relay = Relay(**{"limits": FAST, "leader_duties": [], **options})
        self._stop = asyncio.Event()
        self._task = background.begin(self.relay.run(self._stop))

    @property
    def leading(self) -> bool:
        return self.relay.leading

    def stop(self) -> None:
        """In order: finishes what is in flight."""
        self._background.loop.call_soon_threadsafe(self._stop.set)
        self._background.run(self._ended())

    def crash(self) -> None:
        """Without any goodbye: nothing is settled any more."""
        self._background.loop.call_soon_threadsafe(self._task.cancel)
        self._background.run(self._ended())

    async def _ended(self) -> None:
        with suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture
def background() -> Iterator[Background]:
    one = Background()
    yield one
    one.close()


@pytest.fixture
def start_relay(
    transactional_db: None, background: Background
) -> Iterator[Callable[..., RunningRelay]]:
    """`start_relay(limits=…)`; stopped at the end of the test."""
    made: list[RunningRelay] = []

    def start(**options: Any) -> RunningRelay:
        made.append(RunningRelay(background, **options))
        return made[-1]

    yield start
    for relay in made:
        relay.stop()
    # A duty that was cut off may have a thread in its last transaction. The flush that follows
    # would wait for it, and it for the flush.
    eventually(lambda: not _open_transactions(), timeout=15)


def _open_transactions() -> int:
    """Of other sessions in this test's database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
            " AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


@pytest.fixture
def engine(background: Background) -> Client:
    """A client of the background loop; the server knows our search attributes."""
    client = background.run(engine_client.connect(retry_config=engine_client.ONE_TRY))
    background.run(namespace.engine_ensure(client))
    return client


@pytest.fixture
def worker(background: Background, engine: Client, task_queue: str) -> Iterator[str]:
    """Serves the test's queue; its name."""
    one = Worker(
        engine,
        task_queue=task_queue,
        workflows=[CollectingWorkflow],
        **worker_options(sandboxed=False),
    )
    task = background.begin(one.run())
    yield task_queue

    async def end() -> None:
        await one.shutdown()
        await task

    background.run(end())


@dataclass
class Sub:
    """A subject that notes what it is told."""

    type: str
    undeliverable: list[str] = field(default_factory=list)
    closed: list[tuple[str, str]] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    stranded: list[str] = field(default_factory=list)
    failures: int = 0

    def on_undeliverable(self, command: EngineCommand) -> None:
        self._maybe_fail()
        self.undeliverable.append(command.key)

    def on_closed(self, identifier: str, run: WorkflowRun) -> None:
        self._maybe_fail()
        self.closed.append((identifier, run.status))

    def _maybe_fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the domain cannot take it now")


@pytest.fixture
def subject() -> Iterator[Sub]:
    """A registered subject of the test's own."""
    sub = Sub(type=f"test{new_id().hex[-10:]}")
    subjects.register(
        subjects.EngineSubject(
            type=sub.type,
            title="Test",
            restart=sub.restarted.append,
            on_undeliverable=sub.on_undeliverable,
            on_closed=sub.on_closed,
            url=lambda identifier: f"/test/{identifier}",
            stranded=lambda: sub.stranded,
        )
    )
    yield sub
    subjects._subjects.pop(sub.type)


@dataclass
class Outbox:
    """Writes commands, each in a transaction of its own."""

    queue: str
    subject: str = "test"
    tag: str = field(default_factory=lambda: new_id().hex[-10:])

    def workflow_id(self, name: str) -> str:
        return f"{self.tag}-{name}"

    def start(self, name: str, *, key: str = "", queue: str = "", **options: Any) -> EngineCommand:
        work = Work(name, signals=options.pop("signals", 0), fail=options.pop("fail", False))
        values: dict[str, Any] = {
            "key": key or f"{self.tag}:{name}:start",
            "workflow_id": self.workflow_id(name),
            "workflow_type": "CollectingWorkflow",
            "task_queue": queue or self.queue,
            "args": [work],
            "subject_type": self.subject,
            "subject_id": name,
        }
        with transaction.atomic():
            return services.workflow_start(**{**values, **options})

    def signal(self, name: str, *, key: str = "", queue: str = "") -> EngineCommand:
        with transaction.atomic():
            return services.workflow_signal(
                key=key or f"{self.tag}:{name}:signal",
                workflow_id=self.workflow_id(name),
                task_queue=queue or self.queue,
                name="poke",
                subject_type=self.subject,
                subject_id=name,
            )


@pytest.fixture
def outbox(transactional_db: None, task_queue: str, subject: Sub) -> Outbox:
    return Outbox(task_queue, subject.type)


def settled(
    command: EngineCommand, state: str = "sent", timeout: float = LONG_ENOUGH
) -> EngineCommand:
    """Wait until the command is in the state."""

    def look() -> EngineCommand | None:
        command.refresh_from_db()
        return command if command.state == state else None

    found = eventually(look, timeout=timeout)
    assert found is not None
    return found


def leader_sessions() -> list[int]:
    """Backend pids that hold the leader's lock of this test's database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE locktype = 'advisory' AND granted AND d.datname = current_database() "
            "AND (classid::bigint << 32 | objid::bigint) = %s",
            [LEADER_LOCK],
        )
        return [row[0] for row in cursor.fetchall()]


def terminate(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])


def in_thread(fn: Callable[[], T]) -> T:
    """The function's result, run in a thread with a database connection of its own."""
    box: list[Any] = []

    def call() -> None:
        try:
            box.append((fn(), None))
        except BaseException as error:
            box.append((None, error))
        finally:
            connections.close_all()

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(30)
    result, error = box[0]
    if error is not None:
        raise error
    return result


class Wrapped:
    """A client that behaves as told for some queues and otherwise is the real one."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.hanging: set[str] = set()
        self.failing: dict[str, Exception] = {}
        self.calls: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def start_workflow(self, workflow: str, **options: Any) -> Any:
        self.calls.append(("start", options["id"]))
        if options["task_queue"] in self.hanging:
            await asyncio.Event().wait()
        if error := self.failing.get(options["task_queue"]):
            raise error
        return await self._client.start_workflow(workflow, **options)

    def get_workflow_handle(self, workflow_id: str, **options: Any) -> Any:
        return _Handle(self, self._client.get_workflow_handle(workflow_id, **options))


class _Handle:
    def __init__(self, client: Wrapped, handle: Any) -> None:
        self._client, self._handle = client, handle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    async def signal(self, name: str, **options: Any) -> None:
        self._client.calls.append(("signal", self._handle.id))
        await self._handle.signal(name, **options)


@pytest.fixture
def wrapped(background: Background, engine: Client) -> Wrapped:
    return Wrapped(engine)


def giving(client: Any) -> Callable[[], Coroutine[Any, Any, Any]]:
    """A `connect` for Relay that gives this client."""

    async def connect() -> Any:
        return client

    return connect


@pytest.fixture
def unsteady(engine: Client) -> "Unsteady":
    """A client whose calls fail as the test says."""
    from tests.engine.unsteady import Unsteady

    return Unsteady(engine)
