"""Where webhooks may not go, whatever the name says and whenever it says it."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from apps.common.errors import Invalid
from apps.notifications import safe_http
from apps.notifications.safe_http import Undelivered, post
from apps.outbound.addresses import resolve, url_checked
from tests.outbound.serving import answering, connecting

PRIVATE = [
    "127.0.0.1",
    "10.0.0.8",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]


@contextmanager
def answering_raw(content: bytes) -> Iterator[int]:
    """A server that answers these bytes to everybody; its port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(content)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_to_a_private_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    answering(monkeypatch, address)
    connected = connecting(monkeypatch)
    with pytest.raises(Undelivered, match="not public"):
        post("https://innocent.example/", body=b"", headers={}, seconds=60)
    assert connected == []


def test_a_public_address_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "93.184.216.34")
    assert resolve("example.org", 443) == ["93.184.216.34"]


def test_what_is_no_http_is_said_in_words_that_can_be_stored(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_HOSTS = {"127.0.0.1", "localhost"}
    with (
        answering_raw(b"HTTP/1.1 \x00\x07\x1b[31m\r\nno\r\n\r\n") as port,
        pytest.raises(Undelivered, match="RemoteProtocolError") as caught,
    ):
        post(f"http://127.0.0.1:{port}/", body=b"", headers={}, seconds=2)
    assert str(caught.value).isprintable()


def test_a_name_that_answers_differently_the_second_time_is_asked_only_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: public for the check, private for the connection."""
    asked = answering(monkeypatch, "93.184.216.34", "127.0.0.1")
    connected = connecting(monkeypatch)
    with pytest.raises(Undelivered, match="ConnectError"):
        post("https://rebind.example/", body=b"", headers={}, seconds=60)
    assert (asked, connected) == (["rebind.example"], [("93.184.216.34", 443)])


@pytest.mark.parametrize(
    "url",
    [
        *(f"https://{f'[{a}]' if ':' in a else a}/" for a in PRIVATE),
        "https://localhost/",
        "https://a.localhost/",
        "https://db.internal/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
    ],
)
def test_an_address_that_is_visibly_private_is_refused_when_it_is_entered(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        url_checked(url)
    assert refused.value.code in {"private_address", "bad_url"}


def test_without_tls_only_where_settings_allow_it(settings: Any) -> None:
    with pytest.raises(Invalid):
        url_checked("http://example.org/")
    settings.OUTBOUND_ALLOWED_HOSTS = {"127.0.0.1", "localhost"}
    assert url_checked("http://127.0.0.1:8002/webhooks/sink")


def test_a_proxy_of_the_environment_is_not_used(
    monkeypatch: pytest.MonkeyPatch, receiver: Any
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert safe_http.post(receiver.url(), body=b"{}", headers={}, seconds=2).status == 200


def test_tls_is_verified_against_the_name(settings: Any) -> None:
    import ssl
    import threading

    import trustme

    settings.OUTBOUND_ALLOWED_HOSTS = {"127.0.0.1", "localhost"}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        link, _ = listener.accept()
        with link:
            try:
                context.wrap_socket(link, server_side=True)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    url = f"https://localhost:{listener.getsockname()[1]}/"
    with pytest.raises(Undelivered, match="CERTIFICATE_VERIFY_FAILED"):
        post(url, body=b"", headers={}, seconds=2)
    listener.close()
