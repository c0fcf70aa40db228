"""The simulated directory behind gRPC, as the bridge offers the real one."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from apps.pix.bridge import directory_pb2_grpc as services
from apps.simulators.directory import (
    claims,
    control_pb2_grpc,
    entries,
    infractions,
    strangers,
    sync,
)
from apps.simulators.directory.control import Control
from apps.simulators.directory.faults import Fault, Faults
from apps.simulators.directory.limits import Limits
from apps.simulators.directory.refusals import Refused, end, with_status
from apps.simulators.directory.store import Store

#: Calls at a time: some may be told to wait.
_THREADS = 24
_MOST_BYTES = 8 * 1024 * 1024


class Door:
    """What every call goes through: faults, buckets, strangers, one transaction."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.faults = Faults()
        self.limits = Limits()
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def answer(
        self, operation: str, fn: Callable[[Store, Any], Any], request: Any, context: Any
    ) -> Any:
        """Return the answer of `fn`, or end the call with its refusal."""
        fault = self._begin(operation)
        try:
            if fault.status:
                raise with_status(fault.status, fault.retry_after)
            with self.store.transaction():
                self._check(operation, request)
                strangers.settle(self.store)
                answer = fn(self.store, request)
                # What they answer at once is there for the next call.
                strangers.settle(self.store)
        except Refused as refused:
            self._end(operation, request, refused.problem.status)
            end(context, refused)
        self._end(operation, request, 200)
        if fault.lose_answer:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
        return answer

    def stream(
        self, operation: str, fn: Callable[[Store, Any], Iterator[Any]], request: Any, context: Any
    ) -> Iterator[Any]:
        """Yield the answers of `fn`; with a lost answer only the first arrives."""
        fault = self._begin(operation)
        try:
            if fault.status:
                raise with_status(fault.status, fault.retry_after)
            with self.store.transaction():
                self._check(operation, request)
            for answer in fn(self.store, request):
                yield answer
                if fault.lose_answer:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
        except Refused as refused:
            end(context, refused)

    def _begin(self, operation: str) -> Fault:
        with self._lock:
            self.calls[operation] += 1
        fault = self.faults.draw(operation)
        if fault.delay_seconds:
            time.sleep(fault.delay_seconds)
        return fault

    def _check(self, operation: str, request: Any) -> None:
        if self.store.behaviour(request.participant) is None:
            raise Refused("ParticipantInvalid", "There is no such participant.")
        self.limits.check(operation, request.participant, getattr(request, "role", ""))

    def _end(self, operation: str, request: Any, status: int) -> None:
        role = getattr(request, "role", "")
        self.limits.answered(operation, request.participant, role, status)


def _unary(operation: str, fn: Callable[[Store, Any], Any]) -> Any:
    def method(self: Any, request: Any, context: Any) -> Any:
        return self.door.answer(operation, fn, request, context)

    return method


class _Behind:
    def __init__(self, door: Door) -> None:
        self.door = door


class Entries(_Behind, services.EntriesServicer):
    """Section 1 of the rules."""

    Create = _unary("Entries.Create", entries.create)
    Get = _unary("Entries.Get", entries.get)
    Update = _unary("Entries.Update", entries.update)
    Delete = _unary("Entries.Delete", entries.delete)


class Claims(_Behind, services.ClaimsServicer):
    """Section 2."""

    Create = _unary("Claims.Create", claims.create)
    Get = _unary("Claims.Get", claims.get)
    List = _unary("Claims.List", claims.page)
    Acknowledge = _unary("Claims.Acknowledge", claims.acknowledge)
    Confirm = _unary("Claims.Confirm", claims.confirm)
    Cancel = _unary("Claims.Cancel", claims.cancel)
    Complete = _unary("Claims.Complete", claims.complete)


class Infractions(_Behind, services.InfractionsServicer):
    """Section 3."""

    Create = _unary("Infractions.Create", infractions.create)
    Get = _unary("Infractions.Get", infractions.get)
    List = _unary("Infractions.List", infractions.page)
    Acknowledge = _unary("Infractions.Acknowledge", infractions.acknowledge)
    Close = _unary("Infractions.Close", infractions.close)
    Cancel = _unary("Infractions.Cancel", infractions.cancel)


class Sync(_Behind, services.SyncServicer):
    """Section 4."""

    Verify = _unary("Sync.Verify", sync.verify)
    ListEvents = _unary("Sync.ListEvents", sync.events)
    CreateFile = _unary("Sync.CreateFile", sync.create_file)
    GetFile = _unary("Sync.GetFile", sync.get_file)
    GetEntryByCid = _unary("Sync.GetEntryByCid", sync.entry_by_cid)

    def DownloadFile(self, request: Any, context: Any) -> Iterator[Any]:
        """Chunk by chunk."""
        return self.door.stream("Sync.DownloadFile", sync.download, request, context)


class Directory:
    """The server on `port` (0: a free one; see `port`), with its data in `file`. Raises OSError
    when the port is taken."""

    def __init__(self, file: Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.store = Store(file)
        self.door = Door(self.store)
        with self.store.transaction():
            strangers.seed(self.store)
        self._server = grpc.server(
            ThreadPoolExecutor(_THREADS, thread_name_prefix="directory"),
            options=[
                ("grpc.max_receive_message_length", _MOST_BYTES),
                ("grpc.max_send_message_length", _MOST_BYTES),
                # A second simulator would share the port in silence.
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ],
        )
        services.add_EntriesServicer_to_server(Entries(self.door), self._server)
        services.add_ClaimsServicer_to_server(Claims(self.door), self._server)
        services.add_InfractionsServicer_to_server(Infractions(self.door), self._server)
        services.add_SyncServicer_to_server(Sync(self.door), self._server)
        control_pb2_grpc.add_ControlServicer_to_server(Control(self.door), self._server)
        healthy = health.HealthServicer()
        healthy.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(healthy, self._server)
        try:
            self.port = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            self.store.close()
            raise OSError(f"port {port} is taken") from error

    def start(self) -> None:
        """Serve, in threads of its own."""
        self._server.start()

    def stop(self) -> None:
        """End what runs and close the file."""
        self._server.stop(grace=1.0).wait()
        self.store.close()
