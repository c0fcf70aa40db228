"""The connection to the bridge: one a process, made at its first call."""

import os
import threading
from pathlib import Path

import grpc
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

#: Larger answers are none of the bridge's: a chunk of a file has 1 MiB.
MOST_BYTES = 8 * 1024 * 1024

_OPTIONS = [
    # A call is repeated by our own table only: UNAVAILABLE may come after the commit.
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", MOST_BYTES),
    ("grpc.max_send_message_length", MOST_BYTES),
    # Notices a bridge that vanished without closing the connection.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # The bridge stands in our own network: a proxy for the internet is not for it.
    ("grpc.enable_http_proxy", 0),
]

_lock = threading.Lock()
_channels: dict[str, grpc.Channel] = {}


def channel() -> grpc.Channel:
    """Return the channel to BRIDGE_GRPC_ADDR. Threads may share it.

    Raises ImproperlyConfigured for files of certificates that cannot be read.
    """
    address = settings.BRIDGE_GRPC_ADDR
    with _lock:
        if (made := _channels.get(address)) is None:
            made = _channels[address] = _make(address)
        return made


def close() -> None:
    """Close the connections; the next call makes a new one."""
    with _lock:
        for made in _channels.values():
            made.close()
        _channels.clear()


def _make(address: str) -> grpc.Channel:
    if not settings.BRIDGE_GRPC_TLS:
        return grpc.insecure_channel(address, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_read("BRIDGE_GRPC_TLS_CA_FILE"),
        private_key=_read("BRIDGE_GRPC_TLS_KEY_FILE"),
        certificate_chain=_read("BRIDGE_GRPC_TLS_CERT_FILE"),
    )
    return grpc.secure_channel(address, credentials, options=_OPTIONS)


def _read(variable: str) -> bytes | None:
    path = getattr(settings, variable)
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImproperlyConfigured(f"{variable} cannot be read: {error}") from error


def _forget() -> None:
    # A channel does not work in a child of the process that made it. The lock may have been held.
    global _lock
    _lock = threading.Lock()
    _channels.clear()


os.register_at_fork(after_in_child=_forget)
