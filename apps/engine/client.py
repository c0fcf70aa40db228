"""Makes Temporal clients: address, namespace, TLS and API key from the settings."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from temporalio.client import Client, Interceptor
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter
from temporalio.runtime import Runtime
from temporalio.service import KeepAliveConfig, RetryConfig, TLSConfig

from apps.common.background import LoopThread
from apps.engine.headers import CorrelationInterceptor

#: For callers with their own retries: by default the SDK would retry for ten more seconds.
ONE_TRY = RetryConfig(max_retries=0)

R = TypeVar("R")


class _PayloadConverter(PydanticPayloadConverter):
    """One for the process. The SDK makes a converter for every activity and every run, and each
    would build the adapters of its types anew, which takes longer than the conversion."""

    _only: ClassVar["_PayloadConverter | None"] = None

    def __new__(cls) -> "_PayloadConverter":
        if cls._only is None:
            made = super().__new__(cls)
            PydanticPayloadConverter.__init__(made)
            cls._only = made
        return cls._only

    def __init__(self) -> None:
        """Leave the one as it is."""


DATA_CONVERTER = DataConverter(payload_converter_class=_PayloadConverter)


async def connect(
    *,
    interceptors: Sequence[Interceptor] = (),
    identity: str | None = None,
    lazy: bool = False,
    runtime: Runtime | None = None,
    retry_config: RetryConfig | None = None,
) -> Client:
    """Return a client for the configured namespace; `lazy` connects at the first call.

    Raises RuntimeError when the server cannot be reached, ImproperlyConfigured for files of
    certificates that cannot be read or a certificate without its key.
    """
    return await Client.connect(
        settings.TEMPORAL_ADDRESS,
        namespace=settings.TEMPORAL_NAMESPACE,
        api_key=settings.TEMPORAL_API_KEY or None,
        tls=tls_config(),
        data_converter=DATA_CONVERTER,
        interceptors=[CorrelationInterceptor(), *interceptors],
        identity=identity,
        lazy=lazy,
        runtime=runtime,
        retry_config=retry_config,
        # Notices within seconds when a server vanished without closing the connection.
        keep_alive_config=KeepAliveConfig(interval_millis=10_000, timeout_millis=5_000),
    )


class SharedClient:
    """One client on its own event loop, for all threads of the process that make blocking calls."""

    def __init__(self) -> None:
        self._thread = LoopThread("engine-client")
        self.reset()
        os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """Drop the client; the next call makes a new one."""
        self._client: Client | None = None

    def ask(self, question: Callable[[Client], Coroutine[Any, Any, R]], *, seconds: float) -> R:
        """Return the answer. Blocks: call it from a thread, never from an event loop.

        Raises TimeoutError after `seconds`, RPCError and RuntimeError as the client raises them.
        Never retries: pages and probes have no time for it.
        """
        future = self._thread.submit(self._ask(question, seconds))
        try:
            # A little longer than the inner timeout, which cancels the call itself.
            return future.result(seconds + 0.1)
        except TimeoutError:
            future.cancel()
            raise

    async def _ask(self, question: Callable[[Client], Coroutine[Any, Any, R]], seconds: float) -> R:
        async with asyncio.timeout(seconds):
            if self._client is None:
                # Lazy: the client connects at the first call, and again if that failed.
                self._client = await connect(lazy=True, identity="web", retry_config=ONE_TRY)
            return await question(self._client)


shared_client = SharedClient()


def tls_config() -> TLSConfig | bool:
    """Return the TLS configuration; any of the TEMPORAL_TLS_* variables switches TLS on.

    With certificate and key the client authenticates itself (mTLS). An API key switches TLS on too,
    because it must not be sent in the clear.
    """
    ca = _read("TEMPORAL_TLS_CA_FILE")
    certificate = _read("TEMPORAL_TLS_CERT_FILE")
    key = _read("TEMPORAL_TLS_KEY_FILE")
    if (certificate is None) != (key is None):
        raise ImproperlyConfigured(
            "TEMPORAL_TLS_CERT_FILE and TEMPORAL_TLS_KEY_FILE must be set together"
        )
    server_name = settings.TEMPORAL_TLS_SERVER_NAME
    switches = (settings.TEMPORAL_TLS, settings.TEMPORAL_API_KEY, ca, certificate, server_name)
    if not any(switches):
        return False
    return TLSConfig(
        server_root_ca_cert=ca,
        domain=server_name or None,
        client_cert=certificate,
        client_private_key=key,
    )


def _read(setting: str) -> bytes | None:
    path = getattr(settings, setting)
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImproperlyConfigured(f"{setting} {path!r} cannot be read: {error}") from error
