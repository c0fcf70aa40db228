"""The one way to a Temporal client: address, namespace, TLS and API key from the settings."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from temporalio.client import Client, Interceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import Runtime
from temporalio.service import KeepAliveConfig, RetryConfig, TLSConfig

from apps.common.background import LoopThread
from apps.engine.headers import CorrelationInterceptor

#: For callers with retries of their own: the SDK would go on for ten seconds behind their back.
ONE_TRY = RetryConfig(max_retries=0)

R = TypeVar("R")


async def connect(
    *,
    interceptors: Sequence[Interceptor] = (),
    identity: str | None = None,
    lazy: bool = False,
    runtime: Runtime | None = None,
    retry_config: RetryConfig | None = None,
) -> Client:
    """A client for the configured namespace; `lazy` connects with the first call.

    Raises RuntimeError when the server cannot be reached, ImproperlyConfigured for files of
    certificates that cannot be read or a certificate without its key.
    """
    return await Client.connect(
        settings.TEMPORAL_ADDRESS,
        namespace=settings.TEMPORAL_NAMESPACE,
        api_key=settings.TEMPORAL_API_KEY or None,
        tls=tls_config(),
        data_converter=pydantic_data_converter,
        interceptors=[CorrelationInterceptor(), *interceptors],
        identity=identity,
        lazy=lazy,
        runtime=runtime,
        retry_config=retry_config,
        # A server that vanished without a goodbye is noticed within seconds.
        keep_alive_config=KeepAliveConfig(interval_millis=10_000, timeout_millis=5_000),
    )


class SharedClient:
    """One client, on a loop of its own, for all threads of the process that ask and wait."""

    def __init__(self) -> None:
        self._thread = LoopThread("engine-client")
        self.reset()
        os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """Forget the client; the next question makes a new one."""
        self._client: Client | None = None

    def ask(self, question: Callable[[Client], Coroutine[Any, Any, R]], *, seconds: float) -> R:
        """The answer. Blocks: call it from a thread, never from an event loop.

        TimeoutError after `seconds`, RPCError and RuntimeError as the client raises them. Nothing
        is tried twice: a question of a page or a probe has no time for it.
        """
        asked = self._thread.submit(self._ask(question, seconds))
        try:
            # A little more than the limit inside: that one ends the question itself.
            return asked.result(seconds + 0.1)
        except TimeoutError:
            asked.cancel()
            raise

    async def _ask(self, question: Callable[[Client], Coroutine[Any, Any, R]], seconds: float) -> R:
        async with asyncio.timeout(seconds):
            if self._client is None:
                # Lazy: it connects with the first question, and again when that failed.
                self._client = await connect(lazy=True, identity="web", retry_config=ONE_TRY)
            return await question(self._client)


shared_client = SharedClient()


def tls_config() -> TLSConfig | bool:
    """TLS as the settings ask for it: any of the TEMPORAL_TLS_* variables switches it on.

    With certificate and key the client shows who it is (mTLS). An API key switches TLS on too: it
    must not cross a network in the clear.
    """
    ca = _read("TEMPORAL_TLS_CA_FILE")
    certificate = _read("TEMPORAL_TLS_CERT_FILE")
    key = _read("TEMPORAL_TLS_KEY_FILE")
    if (certificate is None) != (key is None):
        raise ImproperlyConfigured(
            "TEMPORAL_TLS_CERT_FILE and TEMPORAL_TLS_KEY_FILE must be set together"
        )
    server_name = settings.TEMPORAL_TLS_SERVER_NAME
    wanted = (settings.TEMPORAL_TLS, settings.TEMPORAL_API_KEY, ca, certificate, server_name)
    if not any(wanted):
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
