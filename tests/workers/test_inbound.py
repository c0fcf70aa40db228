"""Whatever is sent from outside: no workflow hangs on it, and the audit trail has it."""

import asyncio
import dataclasses
import types
import typing
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connections
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import RawValue, VersioningBehavior
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker
from temporalio.workflow import _Definition

from apps.audit.models import AuditEntry
from apps.common.identifiers import new_id
from apps.engine import refusals as engine_refusals
from apps.engine.contracts import Between, RefusedInput, SignalEnvelope
from apps.engine.namespace import engine_ensure
from tests.histories import replay
from tests.stage import orm
from tests.support import eventually, eventually_async
from tests.workers.conftest import MakeWorker
from workers import refusals
from workers.inputs import signature_of
from workers.options import worker_options
from workers.refusals import RefusalWriter
from workers.registry import QUEUES

WORKFLOWS = [w for spec in QUEUES.values() for w in spec.workflows]
DEFINITIONS: list[_Definition] = [_Definition.must_from_class(w) for w in WORKFLOWS]


def raw(data: str) -> RawValue:
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=data.encode()))


def fitting(hint: Any) -> Any:
    """An input of this type, as small as it may be."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return fitting(typing.get_args(hint)[0])
    if typing.get_origin(bare(hint)) is dict:
        return {}
    if typing.get_origin(hint) is typing.Annotated:
        return int(max(1, hint.__metadata__[0].least)) * "x" if bare(hint) is str else 1
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        missing = dataclasses.MISSING
        return {
            field.name: fitting(hints[field.name])
            for field in dataclasses.fields(hint)
            if field.default is missing and field.default_factory is missing
        }
    return {str: str(new_id()), int: 1, float: 1.0, bool: True, Any: 1}[hint]


def bare(hint: Any) -> Any:
    """The type without its limits."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def sized(text: str, hint: Any, least: Any) -> Any:
    """The text as long as the type has it; `least` where it is no text."""
    if bare(hint) is not str:
        return least
    limits = hint.__metadata__[0] if hint is not str else Between(0, len(text))
    return text.ljust(int(limits.least), "x")[: int(limits.most)]


def unfitting(fn: Any, *, method: bool = True) -> dict[str, list[Any]]:
    """What a handler cannot be called with, by a word for it."""
    signature = signature_of(fn, method=method)
    hints = signature.hints
    good = [fitting(hint) for hint in hints]
    sent: dict[str, list[Any]] = {
        "nothing": [],
        "two": [*good, *(good or [1]), 1],
        "null": [raw("null")],
        "number": [7],
        "text": ["x"],
        "list": [[1, "x"]],
        "strangers": [{"stranger": 1}],
        "nan": [raw("NaN")],
        "huge": [raw(40 * "9")],
        "nul": [raw('"\\u0000"')],
        "binary": [RawValue(Payload(metadata={"encoding": b"binary/plain"}, data=b"x"))],
        "no json": [raw("{")],
        "1.9 MB": [{"stranger": 1_900_000 * "x"}],
    }
    if not signature.least:
        del sent["nothing"]
    if hints and bare(hints[0]) is str:
        del sent["text"]
    if hints and typing.get_origin(bare(hints[0])) is dict:
        # Any object fits: the first step says whether it is what the workflow is for.
        del sent["strangers"], sent["1.9 MB"]
    if hints and hints[0] is Any:
        # Whatever can be decoded fits where nobody reads it.
        return {name: sent[name] for name in ("two", "no json", "1.9 MB")}
    for name in good[0] if good and isinstance(good[0], dict) else ():
        sent[f"{name} of another type"] = [good[0] | {name: [1]}]
        sent[f"{name} too long"] = [good[0] | {name: 3_000 * "x"}]
        sent[f"{name} with NUL"] = [good[0] | {name: "\0"}]
    return sent


@dataclasses.dataclass
class Door:
    """A worker that runs every registered workflow; their activities take for ever."""

    client: Client
    queue: str

    async def start(self, name: str, *args: Any) -> WorkflowHandle[Any, Any]:
        return await self.client.start_workflow(
            name, args=args, id=f"door-{new_id()}", task_queue=self.queue
        )

    async def waiting(self, defn: _Definition) -> WorkflowHandle[Any, Any]:
        """A run that waits in its first step."""
        assert defn.name
        hints = signature_of(defn.run_fn, method=True).hints
        return await self.start(defn.name, *map(fitting, hints))


@asynccontextmanager
async def served(
    client: Client, queue: str, workflows: Iterable[type] = WORKFLOWS, **options: Any
) -> AsyncIterator[Door]:
    """With a writer of refusals beside the worker."""
    writer = RefusalWriter()
    writer.start()
    async with Worker(
        client,
        task_queue=queue,
        workflows=list(workflows),
        activities=list(endless()),
        **worker_options(refused=writer.tell, **options),
    ):
        yield Door(client, queue)
        await asyncio.to_thread(writer.stop)
    # Not in the worker's way: it would wait for what takes for ever.


def endless() -> Iterator[Callable[..., Any]]:
    """In the place of every registered activity one that does not end by itself."""
    for name in {_name(one) for spec in QUEUES.values() for one in spec.activities}:

        @activity.defn(name=name)
        async def wait(argument: Any) -> None:
            while True:
                activity.heartbeat()
                await asyncio.sleep(1)

        yield wait


def _name(fn: Any) -> str:
    from temporalio.activity import _Definition

    return str(_Definition.must_from_callable(fn).name)


@pytest.fixture(params=[True, False], ids=["sandbox", "no sandbox"])
async def door(
    request: pytest.FixtureRequest, transactional_db: None, temporal_client: Client, task_queue: str
) -> AsyncIterator[Door]:
    await engine_ensure(temporal_client)
    async with served(temporal_client, task_queue, sandboxed=request.param) as one:
        yield one


async def side_by_side(calls: Iterable[Coroutine[Any, Any, None]], most: int = 25) -> None:
    gate = asyncio.Semaphore(most)

    async def one(call: Coroutine[Any, Any, None]) -> None:
        async with gate:
            await call

    await asyncio.gather(*(one(call) for call in calls))


async def unharmed(handle: WorkflowHandle[Any, Any]) -> None:
    """It waits, none of its workflow tasks has failed, and it still answers."""
    await handle.query("__stack_trace")
    history = await handle.fetch_history()
    assert not failed_tasks(history)
    assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
    await handle.terminate()


def failed_tasks(history: Any) -> list[str]:
    return [
        event.workflow_task_failed_event_attributes.failure.message
        for event in history.events
        if event.HasField("workflow_task_failed_event_attributes")
    ]


def audited(handle: WorkflowHandle[Any, Any]) -> list[AuditEntry]:
    entries = AuditEntry.objects.filter(action="engine.input_refused")
    return list(entries.filter(body__workflow_id=handle.id).order_by("id"))


def kinds_audited(handle: WorkflowHandle[Any, Any]) -> bool:
    """Whether an update, a query and a signal are in the trail, and nothing else."""
    return {one.body["what"] for one in audited(handle)} == {"update", "query", "signal"}


# --- every handler there is ----------------------------------------------------------------------
async def test_every_start_that_does_not_fit_fails_with_its_code(door: Door) -> None:
    async def refused(defn: _Definition, args: list[Any]) -> None:
        handle = await door.start(str(defn.name), *args)
        with pytest.raises(WorkflowFailureError) as error:
            await asyncio.wait_for(handle.result(), 30)
        cause = error.value.cause
        assert isinstance(cause, ApplicationError)
        assert (cause.type, cause.non_retryable) == ("input_invalid", True)
        assert not failed_tasks(await handle.fetch_history())
        entries = await eventually_async(partial(orm, audited, handle))
        assert [(one.code, one.outcome, one.body["what"]) for one in entries] == [
            ("input_invalid", "refused", "start")
        ]
        assert len(str(entries[0].body)) < 1_000

    await side_by_side(
        refused(defn, args) for defn in DEFINITIONS for args in unfitting(defn.run_fn).values()
    )


async def test_every_signal_that_does_not_fit_changes_nothing(door: Door) -> None:
    async def refused(defn: _Definition, name: str) -> None:
        handle = await door.waiting(defn)
        sent = list(unfitting(defn.signals[name].fn).values())
        for args in sent:
            await handle.signal(name, args=args)
        await handle.signal("nobody_knows_this", 1)
        entries = await all_audited(handle, len(sent) + 1)
        assert {one.body["name"] for one in entries[:-1]} == {name}
        assert {one.code for one in entries[:-1]} == {"input_invalid"}
        assert entries[-1].code == "handler_unknown"
        # One that fits is taken by the same run.
        hints = signature_of(defn.signals[name].fn, method=True).hints
        enveloped = hints[0] in (SignalEnvelope, Any)
        await handle.signal(name, SignalEnvelope("by-hand") if enveloped else fitting(hints[0]))
        await unharmed(handle)

    await side_by_side(refused(defn, str(name)) for defn in DEFINITIONS for name in defn.signals)


async def all_audited(handle: WorkflowHandle[Any, Any], number: int) -> list[AuditEntry]:
    async def look() -> list[AuditEntry]:
        entries = await orm(audited, handle)
        return entries if len(entries) >= number else []

    entries = await eventually_async(look, timeout=30)
    assert len(entries) == number
    return entries


async def test_every_query_that_does_not_fit_is_refused(door: Door) -> None:
    async def refused(defn: _Definition, name: str) -> None:
        handle = await door.waiting(defn)
        fn = defn.queries[name].fn
        for args in unfitting(fn).values():
            with pytest.raises(WorkflowQueryFailedError, match=f"query {name}: "):
                await handle.query(name, args=args)
        with pytest.raises(WorkflowQueryFailedError, match="nobody here handles"):
            await handle.query("nobody_knows_this")
        entries = await eventually_async(partial(orm, audited, handle))
        assert {one.body["what"] for one in entries} == {"query"}
        await handle.query(
            name, args=[fitting(hint) for hint in signature_of(fn, method=True).hints]
        )
        await unharmed(handle)

    queries = [(defn, str(name)) for defn in DEFINITIONS for name in defn.queries]
    assert queries
    await side_by_side(refused(defn, name) for defn, name in queries)


@pytest.mark.parametrize("door", [False], indirect=True, ids=["no sandbox"])
async def test_what_the_server_itself_refuses(door: Door) -> None:
    defn = next(one for one in DEFINITIONS if one.signals)
    handle = await door.waiting(defn)
    large = {"stranger": 2 * 1024 * 1024 * "x"}
    signal = next(str(name) for name in defn.signals)
    for call in (door.start(str(defn.name), large), handle.signal(signal, large)):
        with pytest.raises(RPCError, match="size exceeds limit") as error:
            await call
        assert error.value.status == RPCStatusCode.INVALID_ARGUMENT
    await unharmed(handle)


@pytest.mark.parametrize("door", [False], indirect=True, ids=["no sandbox"])
async def test_ids_that_are_texts_and_no_more_hang_nothing(door: Door) -> None:
    """Of the declared type, but nobody's."""
    defns = [one for one in DEFINITIONS if signature_of(one.run_fn, method=True).hints]

    async def waits(defn: _Definition, text: str) -> None:
        hint = signature_of(defn.run_fn, method=True).hints[0]
        least = fitting(hint)
        given: Any = text
        if isinstance(least, dict):
            hints = typing.get_type_hints(hint, include_extras=True) if least else {}
            given = {name: sized(text, hints[name], value) for name, value in least.items()}
        handle = await door.start(str(defn.name), given)
        await unharmed(handle)

    await side_by_side(waits(one, text) for one in defns for text in ("", "x", 70 * "\U0001f600"))


# --- the same for what there is not yet ----------------------------------------------------------
@workflow.defn(versioning_behavior=VersioningBehavior.PINNED, sandboxed=False)
class Updated:
    """A workflow with an update."""

    def __init__(self) -> None:
        self.value = 0

    @workflow.run
    async def run(self, wanted: int) -> int:
        await workflow.wait_condition(lambda: self.value >= wanted)
        return self.value

    @workflow.update
    async def put(self, value: int) -> int:
        self.value = value
        return value

    @workflow.signal
    async def add(self, value: int) -> None:
        self.value += value

    @workflow.query
    def times(self, factor: int) -> int:
        return self.value * factor


async def test_an_update_that_does_not_fit_is_refused(
    transactional_db: None, temporal_client: Client, task_queue: str
) -> None:
    async with served(temporal_client, task_queue, [Updated]) as door:
        handle = await door.start("Updated", 5)
        for args in ([], ["1"], [1, 2], [None]):
            with pytest.raises(WorkflowUpdateFailedError) as error:
                await handle.execute_update("put", args=args)
            assert isinstance(error.value.cause, ApplicationError)
            assert error.value.cause.type == "input_invalid"
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("nobody_knows_this")
        with pytest.raises(WorkflowQueryFailedError):
            await handle.query("times", "2")
        await handle.signal("add", "2")
        assert await handle.execute_update("put", 3) == 3
        assert await handle.query("times", 2) == 6
        await handle.signal("add", 2)
        assert await handle.result() == 5
        history = await handle.fetch_history()
        assert not failed_tasks(history)
        # They are written beside the work.
        await eventually_async(partial(orm, kinds_audited, handle))
    assert await replay.replay(history, [Updated]) is None


@workflow.defn
class Loose:
    """A workflow whose signal takes anything."""

    @workflow.run
    async def run(self) -> None: ...

    @workflow.signal
    def loose(self, anything) -> None: ...  # type: ignore[no-untyped-def]


async def test_a_worker_does_not_start_with_a_handler_that_cannot_be_checked(
    temporal_client: Client, task_queue: str
) -> None:
    with pytest.raises(RuntimeError, match="Failed validating workflow Loose") as error:
        Worker(temporal_client, task_queue=task_queue, workflows=[Loose], **worker_options())
    assert str(error.value.__cause__) == "Loose.loose: anything has no type hint"


# --- the audit trail ------------------------------------------------------------------------------
async def test_a_flood_of_signals_is_audited_up_to_a_number_and_once(
    transactional_db: None, temporal_client: Client, task_queue: str
) -> None:
    most = engine_refusals.MOST_OF_A_RUN
    async with served(temporal_client, task_queue, [Updated]) as door:
        handle = await door.start("Updated", 1)
        for _ in range(most + 10):
            await handle.signal("add", "x")
        entries = await all_audited(handle, most)
        assert "further" in entries[-1].body
        assert "further" not in entries[-2].body
    # Another process, which knows nothing, runs it again from its history.
    async with served(temporal_client, task_queue, [Updated]):
        await handle.signal("add", "y")
        await handle.signal("add", 1)
        assert await handle.result() == 1
        history = await handle.fetch_history()
        assert not failed_tasks(history)
    assert len(await orm(audited, handle)) == most
    assert await replay.replay(history, [Updated]) is None


async def test_a_replay_tells_again_and_writes_nothing_twice(
    transactional_db: None, temporal_client: Client, task_queue: str
) -> None:
    async with served(temporal_client, task_queue, [Updated]) as door:
        handle = await door.start("Updated", 1)
        await handle.signal("add", "x")
        (first,) = await all_audited(handle, 1)
    async with served(temporal_client, task_queue, [Updated]):
        await handle.signal("add", [])
        entries = await all_audited(handle, 2)
        assert entries[0].pk == first.pk
        assert [one.body["detail"] for one in entries] == 2 * ["argument 1 is not a whole number"]
        await handle.signal("add", 1)
        await handle.result()
        # The closed run once more, for a query.
        assert await handle.query("times", 3) == 3
    assert len(await orm(audited, handle)) == 2


async def test_a_worker_process_writes_what_it_refused_before_it_ends(
    make_worker: MakeWorker, test_database: str, temporal_client: Client, task_queue: str
) -> None:
    process = make_worker(DATABASE_URL=test_database)
    await asyncio.to_thread(process.wait_ready)
    handle = await temporal_client.start_workflow(
        "Waits", 1, id=f"door-{new_id()}", task_queue=task_queue
    )
    await handle.signal("nudge", "x")
    await asyncio.to_thread(process.hear, "workflow.input_refused")
    process.popen.terminate()
    assert await asyncio.to_thread(process.popen.wait, 15) == 0
    told = process.said("workflow.input_refused")
    assert told is not None
    (entry,) = await orm(audited, handle)
    assert (entry.body["name"], entry.body["event"]) == ("nudge", told["event_id"])
    await handle.terminate()


def told(number: int, run_id: str = "") -> RefusedInput:
    return RefusedInput(
        *("no-id", run_id or str(new_id()), "Updated", "signal", "add", number),
        *("input_invalid", "argument 1 is not a whole number"),
    )


def test_while_postgresql_is_away_refusals_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []
    connections.close_all()

    def write(refused: RefusedInput) -> bool:
        tries.append(refused.event)
        if len(tries) < 3:
            raise OperationalError("away")
        return True

    monkeypatch.setattr(refusals, "input_refused", write)
    monkeypatch.setattr(refusals, "FIRST_PAUSE", 0.01)
    writer = RefusalWriter()
    writer.start()
    run_id = str(new_id())
    for number in (1, 2, 1):
        writer.tell(told(number, run_id))
    eventually(lambda: len(tries) == 4)
    assert tries == [1, 1, 1, 2]
    writer.stop()


def test_more_than_a_worker_may_write_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MOST_IN_A_WINDOW", 3)
    written: list[int] = []
    monkeypatch.setattr(refusals, "input_refused", lambda refused: written.append(refused.event))
    writer = RefusalWriter()
    for number in range(5):
        writer.tell(told(number))
    writer.start()
    writer.stop()
    assert written == [0, 1, 2]
