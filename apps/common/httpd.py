"""A minimal HTTP server in its own threads, which answers whatever the event loop does."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class PortTaken(Exception):
    """The port is in use; the text names its setting."""


@dataclass(frozen=True)
class Answer:
    """Status, content type and body."""

    status: int
    content_type: str
    body: bytes


class Server:
    """Serves GET and HEAD of `routes` from `start` to `stop`. Port 0 takes a free one, see `port`.
    Binds the port in the constructor, so that PortTaken comes before anything has started."""

    def __init__(
        self, *, host: str, port: int, setting: str, routes: Mapping[str, Callable[[], Answer]]
    ) -> None:
        handler = type("Handler", (_Handler,), {"routes": dict(routes)})
        try:
            self._server = _Threading((host, port), handler)
        except OSError as error:
            raise PortTaken(f"{setting} {port} on {host}: {error.strerror or error}") from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.name = setting.lower()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; responses being written finish."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(2)
        self._server.server_close()


class _Threading(ThreadingHTTPServer):
    daemon_threads = True
    # A restarted worker takes its port again at once, and probes come in bursts.
    allow_reuse_address = True
    request_queue_size = 64


class _Handler(BaseHTTPRequestHandler):
    routes: Mapping[str, Callable[[], Answer]] = {}
    server_version = "countersign"
    sys_version = ""
    #: Seconds; a client that sends nothing does not keep its thread.
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        route = self.routes.get(path.rstrip("/") or "/")
        if route is None:
            answer = Answer(404, "text/plain", b"not found\n")
        else:
            try:
                answer = route()
            except Exception as error:
                answer = Answer(500, "text/plain", f"{type(error).__name__}\n".encode())
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Do not log: probes come every few seconds."""
