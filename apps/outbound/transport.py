"""HTTP client for all outward calls: an httpx2 transport that connects only to permitted
addresses, follows no redirects, ignores proxies of the environment, and limits the total time of a
call and the size of its answer."""

import ssl
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache

import httpcore2
import httpx2

from apps.outbound.addresses import Forbidden, Unknown
from apps.outbound.sockets import GuardedBackend, Limits, Stopped, limited

#: The most bytes of an answer's body.
MOST_BYTES = 64 * 1024


class AddressNotAllowed(httpx2.ConnectError):
    """The address may not be called, whoever asks and whenever."""


class AnswerTooLarge(httpx2.ReadError):
    """The answer's body is larger than the caller takes."""


def guarded_client(
    seconds: float,
    *,
    allowed: Collection[str] = (),
    most_bytes: int = MOST_BYTES,
    stopped: Stopped | None = None,
) -> httpx2.Client:
    """Return a client with a limit of `seconds` per call. Thread-safe; it keeps its connections.

    `allowed`: hosts (or host:port) of the operator's own configuration, in addition to
    `OUTBOUND_ALLOWED_HOSTS`. `stopped()` says whether its calls are to end. A call raises
    `httpx2.HTTPError`, also for an address that is not allowed, an answer that is too large
    (`AddressNotAllowed`, `AnswerTooLarge`), one that is not complete in time, and `CutOff`.
    """
    return httpx2.Client(
        transport=GuardedTransport(allowed=allowed, most_bytes=most_bytes, stopped=stopped),
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

    def __init__(
        self,
        *,
        allowed: Collection[str] = (),
        most_bytes: int = MOST_BYTES,
        stopped: Stopped | None = None,
    ) -> None:
        self._most_bytes, self._stopped = most_bytes, stopped
        self._pool = httpcore2.ConnectionPool(
            ssl_context=_trusted(),
            network_backend=GuardedBackend(allowed),
            max_connections=200,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        seconds = request.extensions.get("timeout", {}).get("read")
        deadline = None if seconds is None else time.monotonic() + seconds
        limits, url = Limits(deadline, self._stopped), request.url
        with limited(limits), _as_httpx():
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
            stream=_Body(answer, limits, self._most_bytes),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, answer: httpcore2.Response, limits: Limits, most_bytes: int) -> None:
        self._answer, self._limits, self._most_bytes = answer, limits, most_bytes

    def __iter__(self) -> Iterator[bytes]:
        size, parts = 0, iter(self._answer.iter_stream())
        while True:
            # Not around the `yield`: what the thread does there is not this call's.
            with limited(self._limits), _as_httpx():
                part = next(parts, None)
            if part is None:
                return
            size += len(part)
            if size > self._most_bytes:
                raise AnswerTooLarge(f"The answer has more than {self._most_bytes} bytes.")
            yield part

    def close(self) -> None:
        self._answer.close()


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
    except Unknown as error:
        raise httpx2.ConnectError(str(error)) from error
    except Forbidden as error:
        raise AddressNotAllowed(str(error)) from error
