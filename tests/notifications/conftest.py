"""A real mail server and a real receiver of webhooks, both with a mind of their own."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from apps.accounts.models import User
from apps.notifications import kinds
from apps.notifications.kinds import NotificationKind
from deploy.local.processes import free_port

#: Kinds of these tests: by e-mail unless switched off, and in the site only unless switched on.
LOUD, QUIET = "test.loud", "test.quiet"
kinds.register(NotificationKind(LOUD, "Loud things", email=True, decide=True))
kinds.register(NotificationKind(QUIET, "Quiet things"))


class MailServer:
    """aiosmtpd on a port of its own. What it answers can be set, message by message."""

    def __init__(self) -> None:
        self.port = free_port()
        self.taken: list[Any] = []
        self.on_rcpt: Callable[[str], str] = lambda address: "250 OK"
        self.on_data: Callable[[Any], str] = lambda envelope: "250 OK"
        self._controller: Controller | None = None

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, _: Any):
        answer = self.on_rcpt(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken.append(envelope)
        return self.on_data(envelope)


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    """Running, and where e-mails go."""
    server = MailServer()
    settings.EMAIL_ENABLED = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.EMAIL_TIMEOUT = 2.0
    settings.SITE_URL = "https://countersign.example"
    settings.DEFAULT_FROM_EMAIL = "Countersign <noreply@countersign.example>"
    server.start()
    yield server
    server.stop()


@dataclass
class Receiver:
    """An HTTP server that notes what it gets. `answer(path, headers, body)` gives status, headers,
    body; it may block to hang."""

    port: int = 0
    heard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[str], tuple[int, dict[str, str], bytes]] = lambda path: (200, {}, b"ok")
    let_go: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.OUTBOUND_ALLOWED_HOSTS = {"127.0.0.1", "localhost"}
    settings.WEBHOOK_TIMEOUT_SECONDS = 1.0
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.heard.append((self.path, headers, body))
            status, more, content = state.answer(self.path)
            try:
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield state
    state.let_go.set()
    server.shutdown()
    server.server_close()


def somebody(name: str = "ngozi", **fields: Any) -> User:
    return User.objects.create_user(
        name, email=fields.pop("email", f"{name}@example.org"), **fields
    )
