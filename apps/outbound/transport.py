"""HTTP client for all outward calls: an httpx2 transport that connects only to permitted addresses,
follows no redirects, ignores proxies of the environment, and limits the total time of a call
(except for name resolution) and the size of its answer."""

import ssl
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cache

import httpcore2
import httpx2

from apps.outbound.addresses import Forbidden, resolve

#: The most bytes of an answer's body.
MOST_BYTES = 64 * 1024
SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)


def guarded_client(
    seconds: float, *, allowed: Collection[str] = (), most_bytes: int = MOST_BYTES
) -> httpx2.Client:
    """Return a client with a limit of `seconds` per call. Thread-safe; it keeps its connections.

    `allowed`: hosts (or host:port) of the operator's own configuration, in addition to
    `OUTBOUND_ALLOWED_HOSTS`. A call raises `httpx2.HTTPError`, also for a forbidden address, an
    answer that is too large, and one that is not complete in time.
    """
    return httpx2.Client(
        transport=GuardedTransport(allowed=allowed, most_bytes=most_bytes),
        timeout=seconds,
        follow_redirects=False,
        trust_env=False,
    )


@cache
def _trusted() -> ssl.SSLContext:
    """One context for all clients: to read the system's certificates takes 20 ms of processor."""
    return ssl.create_default_context()


class GuardedTransport(httpx2.BaseTransport):
    """See `guarded_client`. The read timeout is the limit of the whole call."""

    def __init__(self, *, allowed: Collection[str] = (), most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._pool = httpcore2.ConnectionPool(
            ssl_context=_trusted(),
            network_backend=_GuardedBackend(allowed),
            max_connections=200,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        seconds = request.extensions.get("timeout", {}).get("read")
        deadline = None if seconds is None else time.monotonic() + seconds
        url = request.url
        with _limited(deadline), _as_httpx():
            answer = self._pool.handle_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(
                        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer, deadline, self._most_bytes),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, answer: httpcore2.Response, deadline: float | None, most_bytes: int) -> None:
        self._answer, self._deadline, self._most_bytes = answer, deadline, most_bytes

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        with _limited(self._deadline), _as_httpx():
            for part in self._answer.iter_stream():
                size += len(part)
                if size > self._most_bytes:
                    raise httpx2.ReadError(f"The answer has more than {self._most_bytes} bytes.")
                yield part

    def close(self) -> None:
        self._answer.close()


class _Call(threading.local):
    """The deadline of this thread's call: many calls share the connections."""

    deadline: float | None = None


_call = _Call()


def _left(timeout: float | None) -> float | None:
    """Return the seconds that a socket operation may take. With a limit per operation only, a
    server that sends a byte now and then could hold the call for ever."""
    if _call.deadline is None:
        return timeout
    left = _call.deadline - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("The time for the whole call is over.")
    return left if timeout is None else min(timeout, left)


@contextmanager
def _limited(deadline: float | None) -> Iterator[None]:
    before, _call.deadline = _call.deadline, deadline
    try:
        yield
    finally:
        _call.deadline = before


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Convert httpcore's errors to httpx's."""
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise httpx2.ReadTimeout(str(error) or type(error).__name__) from error
    except (
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.UnsupportedProtocol,
        httpcore2.ProxyError,
    ) as error:
        raise httpx2.TransportError(f"{type(error).__name__}: {error}") from error
    except Forbidden as error:
        raise httpx2.ConnectError(str(error)) from error


class _GuardedBackend(httpcore2.NetworkBackend):
    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(host.lower() for host in allowed)
        self._sockets = httpcore2.SyncBackend()

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
        for address in resolve(host, port, self._allowed):
            try:
                stream = self._sockets.connect_tcp(
                    address, port, _left(timeout), local_address, socket_options or ()
                )
                return _GuardedStream(stream)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or Forbidden(f"The name {host} is not known.")


class _GuardedStream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        return _GuardedStream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
