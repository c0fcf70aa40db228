"""Simulators of this process behind a real socket."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import uvicorn

from apps.simulators.http import Answer, Application, Handler, Request
from deploy.local.processes import free_port
from tests.support import eventually


@contextmanager
def running(handlers: Mapping[str, Handler], port: int = 0) -> Iterator[str]:
    """Serves `/<prefix>/…` of each handler; the address before the prefixes."""
    port = port or free_port()
    config = uvicorn.Config(
        Application(handlers),
        host="127.0.0.1",
        port=port,
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(5)


class Recorder:
    """A program that keeps what it is sent, and answers what it is told."""

    def __init__(self) -> None:
        self.heard: list[Request] = []
        self.says = Answer(200, {})

    async def answer(self, request: Request) -> Answer:
        self.heard.append(request)
        return self.says
