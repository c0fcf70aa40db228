"""One call to an address that a person gave: its limits, what ends it, and what is told."""

import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trustme

from apps.common.errors import DomainError, Invalid, Unavailable
from apps.outbound import sockets, transport
from apps.outbound.sending import Answer, send
from tests.outbound.serving import answering, connecting, http_answer, server, silent
from tests.support import LONG_ENOUGH, pause, within

MANY = 3_000_000


@pytest.fixture(autouse=True)
def _here(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_HOSTS = {"127.0.0.1", "localhost"}


def get(port: int, *, scheme: str = "http", **options: Any) -> Answer:
    options = {"seconds": LONG_ENOUGH, "headers": {}, "stopped": lambda: False, **options}
    return send(options.pop("method", "GET"), f"{scheme}://127.0.0.1:{port}/", **options)


def refusal(call: Callable[[], Any]) -> tuple[type, str]:
    with pytest.raises(DomainError) as refused:
        call()
    # Nothing that was sent or answered hangs on to it.
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None
    return type(refused.value), refused.value.code


def after(seconds: float) -> Callable[[], bool]:
    """Says that the call is to end, from so many seconds on."""
    over = threading.Event()
    timer = threading.Timer(seconds, over.set)
    timer.daemon = True
    timer.start()
    return over.is_set


def test_the_answer_is_told_whatever_its_status() -> None:
    more = b"X-A: 1\r\nX-A: 2\r\nX-U: \xc3\xbc\r\nX-L: \xfc\r\n"
    with server(http_answer(b'{"a": 1}', b"302 Found", more=more)) as port:
        answer = get(port)
    assert (answer.status, answer.body) == (302, b'{"a": 1}')
    assert [value for name, value in answer.headers if name.startswith("x-")] == [
        "1",
        "2",
        "ü",
        "ü",
    ]
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-none") == ""


def test_an_answer_that_is_too_large_is_final() -> None:
    with server(http_answer(b"x" * 2000)) as port:
        assert refusal(lambda: get(port, most_bytes=1999)) == (Invalid, "output_too_large")
        assert len(get(port, most_bytes=2000).body) == 2000
        assert get(port, most_bytes=10, whole=False).body == b"x" * 10


def test_what_came_compressed_without_being_asked_for_is_read_within_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < 60_000
    for coding, body, said in [
        (b"gzip", gzip.compress(b"hello"), b"hello"),
        (b"deflate", zlib.compress(b"hello"), b"hello"),
        (b"gzip", bomb, "output_too_large"),
        (b"gzip", gzip.compress(b"hello" * 99)[:20], "answer_compressed"),
        (b"br", b"hello", "answer_compressed"),
    ]:
        more = b"Content-Encoding: %s\r\n" % coding
        with server(http_answer(body, more=more)) as port:
            if isinstance(said, bytes):
                assert get(port).body == said
            else:
                assert refusal(lambda port=port: get(port)) == (Invalid, said)


def test_what_the_other_side_says_instead_of_http_is_not_told() -> None:
    with server(b"HTTP/1.1 token-0123456789\r\n\r\n") as port, pytest.raises(Unavailable) as told:
        get(port)
    assert told.value.code == "not_reachable"
    assert "token" not in told.value.detail


def test_nobody_there_may_be_there_later() -> None:
    with server() as port:
        pass
    assert refusal(lambda: get(port)) == (Unavailable, "not_reachable")


def test_an_unknown_name_may_be_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = refusal(lambda: send("GET", "https://gone.example/", seconds=60, headers={}))
    assert said == (Unavailable, "not_reachable")


@pytest.mark.parametrize("address", ["10.0.0.8", "::ffff:7f00:1", "169.254.169.254", "::"])
def test_a_name_that_leads_to_a_private_address_is_not_called(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    answering(monkeypatch, address)
    connected = connecting(monkeypatch)
    said = refusal(lambda: send("GET", "https://innocent.example/", seconds=60, headers={}))
    assert (said, connected) == ((Invalid, "address_not_allowed"), [])


def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: public for the check, private for the connection."""
    asked = answering(monkeypatch, "93.184.216.34", "127.0.0.1")
    connected = connecting(monkeypatch)
    refusal(lambda: send("GET", "https://rebind.example/", seconds=60, headers={}))
    assert (asked, connected) == (["rebind.example"], [("93.184.216.34", 443)])


# --- what ends a call -----------------------------------------------------------------------------
def test_a_drip_ends_with_the_time_of_the_call() -> None:
    drip = [b"%c" % byte for byte in http_answer(b"x" * 500)]
    with server(*drip, pause=0.05) as port, within(3):
        assert refusal(lambda: get(port, seconds=0.5)) == (Unavailable, "timed_out")


def test_a_drip_is_cut_off() -> None:
    drip = [b"%c" % byte for byte in http_answer(b"x" * 500)]
    with server(*drip, pause=0.05) as port, within(2):
        assert refusal(lambda: get(port, stopped=after(0.3))) == (Unavailable, "cut_off")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_says_nothing_is_cut_off(scheme: str) -> None:
    """Also in the middle of the handshake of TLS."""
    with silent() as state, within(2):
        said = refusal(lambda: get(state.port, scheme=scheme, stopped=after(0.3)))
    assert said == (Unavailable, "cut_off")


def test_a_server_that_reads_nothing_is_cut_off() -> None:
    with silent() as state, within(2):
        said = refusal(
            lambda: get(state.port, method="POST", body=b"x" * 30_000_000, stopped=after(0.3))
        )
    assert said == (Unavailable, "cut_off")


def test_a_connection_that_does_not_come_about_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    with full() as port, within(2):
        said = refusal(lambda: get(port, stopped=after(0.3)))
    assert said == (Unavailable, "cut_off")


def test_a_connection_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "CONNECT_SECONDS", 0.3)
    with full() as port, within(3):
        assert refusal(lambda: get(port)) == (Unavailable, "timed_out")


@contextmanager
def full() -> Iterator[int]:
    """A port whose queue of connections is full: further ones neither come about nor fail."""
    listener = socket.socket()
    waiting = []
    try:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            link = socket.socket()
            link.setblocking(False)
            link.connect_ex(listener.getsockname())
            waiting.append(link)
        yield listener.getsockname()[1]
    finally:
        for link in [listener, *waiting]:
            link.close()


@pytest.mark.parametrize("how", ["cut_off", "timed_out"])
def test_a_name_that_nobody_looks_up_ends_the_call(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        let_go.wait(LONG_ENOUGH)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    limits: dict[str, Any] = {"seconds": 0.5} if how == "timed_out" else {"seconds": LONG_ENOUGH}
    if how == "cut_off":
        limits["stopped"] = after(0.3)
    try:
        with within(3):
            said = refusal(lambda: send("GET", "https://slow.example/", headers={}, **limits))
    finally:
        let_go.set()
    assert said == (Unavailable, how)


# --- TLS ------------------------------------------------------------------------------------------
@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Clients trust the certificate of this server's context."""
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    monkeypatch.setattr(transport, "_trusted", lambda: ours)
    return theirs


def test_over_tls_much_goes_both_ways_with_pauses_in_between(trusted: ssl.SSLContext) -> None:
    """A pause interrupts what reads and writes; it goes on where it was."""
    listener = socket.create_server(("127.0.0.1", 0))
    sent = bytes(range(256)) * (MANY // 256)
    heard = b""

    def serve() -> None:
        nonlocal heard
        link, _ = listener.accept()
        pause(2 * sockets.LOOK_SECONDS)
        with trusted.wrap_socket(link, server_side=True) as secure:
            pause(3 * sockets.LOOK_SECONDS)
            while len(heard.partition(b"\r\n\r\n")[2]) < len(sent) and (
                part := secure.recv(1_000_000)
            ):
                heard += part
            answer = http_answer(sent, kind=b"application/octet-stream")
            secure.sendall(answer[: MANY // 2])
            pause(3 * sockets.LOOK_SECONDS)
            secure.sendall(answer[MANY // 2 :])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        answer = get(
            listener.getsockname()[1], scheme="https", method="PUT", body=sent, most_bytes=MANY
        )
    finally:
        listener.close()
    thread.join(LONG_ENOUGH)
    assert heard.partition(b"\r\n\r\n")[2] == sent
    assert answer.body == sent


def test_a_certificate_of_another_name_is_refused(trusted: ssl.SSLContext) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        link, _ = listener.accept()
        with link:
            try:
                trusted.wrap_socket(link, server_side=True)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    url = f"https://localhost:{listener.getsockname()[1]}/"
    with listener, pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        send("GET", url, seconds=LONG_ENOUGH, headers={}, stopped=lambda: False)
