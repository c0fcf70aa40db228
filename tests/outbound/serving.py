"""Servers that say exactly what a test wants, and names that lead where it wants."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def server(*parts: bytes, pause: float = 0.0) -> Iterator[int]:
    """Answers everybody with these parts, one after the other; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(link: socket.socket) -> None:
        with link:
            try:
                link.recv(65536)
                for part in parts:
                    link.sendall(part)
                    time.sleep(pause)
            except OSError:
                return

    def serve() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(link,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def http_answer(
    body: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json", more: bytes = b""
) -> bytes:
    """A whole answer; `more` are further lines of its head, each with its end."""
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n"
    return head % (status, kind, len(body), more) + body


@dataclass
class Silent:
    """A server that takes connections and says nothing, and how many it took."""

    port: int
    links: list[socket.socket] = field(default_factory=list)


@contextmanager
def silent() -> Iterator[Silent]:
    listener = socket.create_server(("127.0.0.1", 0))
    state = Silent(listener.getsockname()[1])

    def serve() -> None:
        while True:
            try:
                state.links.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield state
    finally:
        listener.close()
        for link in state.links:
            link.close()


def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """The resolver answers with these, one call after the other; what it was asked."""
    asked: list[str] = []
    waiting = list(addresses)

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        address = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        rest = (0, 0) if ":" in address else ()
        return [(family, socket.SOCK_STREAM, 6, "", (address, port, *rest))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def connecting(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Nobody can be connected to; to which addresses somebody tried."""
    tried: list[Any] = []

    def connect_ex(link: socket.socket, address: Any) -> int:
        tried.append(address)
        return 111

    monkeypatch.setattr(socket.socket, "connect_ex", connect_ex, raising=False)
    return tried
