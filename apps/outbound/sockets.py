"""Sockets of calls: only to permitted addresses, within the time of the whole call, and cut off
when the caller asks for it. Names are looked up within that time too.

The standard backend of httpcore has a limit for each operation only, so a server that sends a byte
now and then could hold a call for ever; and nobody could end a call that waits.
"""

import errno
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import httpcore2
import httpx2

from apps.outbound.addresses import Unknown, is_literal, resolve

T = TypeVar("T")
Stopped = Callable[[], bool]
SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)

#: A host that has not answered a connection for so long will not.
CONNECT_SECONDS = 10.0
#: How often a call that waits looks whether it is to be cut off.
LOOK_SECONDS = 0.25


class CutOff(httpx2.TransportError):
    """The caller wanted the call to end."""


@dataclass
class Limits:
    """Of one call: when it must be over (`time.monotonic`), and what says that it is to end."""

    deadline: float | None = None
    stopped: Stopped | None = None
    _look_at: float = 0.0

    def seconds(self, end: float | None) -> float | None:
        """Return how long an operation may take now that must be over at `end`.

        Raises TimeoutError when that is over, ReadTimeout when the time of the call is, CutOff.
        """
        now = time.monotonic()
        if self.stopped is not None and now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            if self.stopped():
                raise CutOff("The call was cut off.")
        if self.deadline is not None and now >= self.deadline:
            raise httpcore2.ReadTimeout("The time for the whole call is over.")
        if end is not None and now >= end:
            raise TimeoutError
        ends = [at - now for at in (end, self.deadline) if at is not None]
        return min([*ends, LOOK_SECONDS] if self.stopped else ends, default=None)


class _Here(threading.local):
    """The limits of this thread's call: many calls share the connections."""

    limits = Limits()


_here = _Here()


@contextmanager
def limited(limits: Limits) -> Iterator[None]:
    """Apply the limits to what this thread does with sockets meanwhile."""
    before, _here.limits = _here.limits, limits
    try:
        yield
    finally:
        _here.limits = before


class GuardedBackend(httpcore2.NetworkBackend):
    """Connects to the addresses that `resolve` returns. `allowed`: as for that."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(host.lower() for host in allowed)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.NetworkStream:
        """Resolve the name, check the address, connect to that address. TLS still checks the
        certificate against the name."""
        failure: Exception | None = None
        seconds = CONNECT_SECONDS if timeout is None else min(timeout, CONNECT_SECONDS)
        for address in self._resolved(host, port):
            try:
                return _Stream(_connected(address, port, seconds))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or Unknown(f"The name {host} is not known.")

    def _resolved(self, host: str, port: int) -> list[str]:
        """Return what `resolve` does. The system's look-up has no limit of its own: a thread waits
        for it, so that the call need not."""
        if is_literal(host):
            return resolve(host, port, self._allowed)
        found: Future[list[str]] = Future()

        def look_up() -> None:
            try:
                found.set_result(resolve(host, port, self._allowed))
            except Exception as error:
                found.set_exception(error)

        threading.Thread(target=look_up, name="look-up", daemon=True).start()
        return _within(None, found.result)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _told(httpcore2.ReadTimeout, httpcore2.ReadError):
            return self._do(timeout, partial(self._link.recv, max_bytes))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        with _told(httpcore2.WriteTimeout, httpcore2.WriteError):
            while view:
                # After a pause the same part again: TLS may have begun to send it.
                view = view[self._do(timeout, partial(self._link.send, view)) :]

    def close(self) -> None:
        self._link.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        with _told(httpcore2.ConnectTimeout, httpcore2.ConnectError):
            try:
                link = ssl_context.wrap_socket(
                    self._link, server_hostname=server_hostname, do_handshake_on_connect=False
                )
                wrapped = _Stream(link)
                wrapped._do(timeout, link.do_handshake)
            except BaseException:
                self.close()
                raise
        return wrapped

    def get_extra_info(self, info: str) -> object:
        match info:
            case "ssl_object":
                return self._link if isinstance(self._link, ssl.SSLSocket) else None
            case "socket":
                return self._link
            case "client_addr":
                return self._link.getsockname()
            case "server_addr":
                return self._link.getpeername()
            case "is_readable":
                return self._link.fileno() < 0 or _ready(self._link, select.POLLIN, 0)
        return None

    def _do(self, timeout: float | None, operate: Callable[[], T]) -> T:
        def go_on(seconds: float | None) -> T:
            self._link.settimeout(seconds)
            return operate()

        return _within(timeout, go_on)


def _within(timeout: float | None, operate: Callable[[float | None], T]) -> T:
    """Return what `operate(seconds)` does, which goes on where it was when it is called again after
    TimeoutError. Raises as `Limits.seconds`."""
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        seconds = _here.limits.seconds(end)
        try:
            return operate(seconds)
        except TimeoutError:
            continue


def _connected(address: str, port: int, timeout: float) -> socket.socket:
    link = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    with _told(httpcore2.ConnectTimeout, httpcore2.ConnectError):
        try:
            link.setblocking(False)
            code = link.connect_ex((address, port))
            if code == errno.EINPROGRESS:
                _within(timeout, partial(_wait_connected, link))
                code = link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            link.close()
            raise
    return link


def _wait_connected(link: socket.socket, seconds: float | None) -> None:
    if not _ready(link, select.POLLOUT, seconds):
        raise TimeoutError


def _ready(link: socket.socket, event: int, seconds: float | None) -> bool:
    poll = select.poll()
    poll.register(link, event)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


@contextmanager
def _told(late: type[Exception], broken: type[Exception]) -> Iterator[None]:
    """Raise httpcore's errors for those of the system."""
    try:
        yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except OSError as error:
        raise broken(str(error)) from error


def hang_up(descriptor: int) -> None:
    """End a connection that another thread waits for: its wait ends with an error."""
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        copy.shutdown(socket.SHUT_RDWR)
