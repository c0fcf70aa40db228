"""The limits of a call to another program: where it goes, how long it takes, how much it reads."""

import socket
import time
from typing import Any

import httpx2
import pytest

from apps.common.errors import Unavailable
from apps.outbound.addresses import Forbidden, allowed, resolve
from apps.outbound.calls import Caller, Refused
from apps.outbound.transport import guarded_client
from tests.outbound.serving import HEAD, http_answer, server


def caller(port: int, seconds: float = 5.0) -> Caller:
    return Caller("ledger", f"http://127.0.0.1:{port}/", seconds=seconds, code="ledger_unavailable")


def test_a_host_that_is_not_allowed_is_not_called() -> None:
    with (
        server(http_answer(b"{}")) as port,
        guarded_client(2) as client,
        pytest.raises(httpx2.ConnectError, match="not public"),
    ):
        client.post(f"http://127.0.0.1:{port}/")


def test_an_exception_for_one_port_is_none_for_another(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_HOSTS = {"127.0.0.1:8000"}
    assert resolve("127.0.0.1", 8000) == ["127.0.0.1"]
    with pytest.raises(Forbidden):
        resolve("127.0.0.1", 8001)


def test_the_answer_is_the_others_object() -> None:
    with server(http_answer(b'{"receipt": "R-1"}')) as port:
        assert caller(port).post("/x", key="k", body={}) == {"receipt": "R-1"}


def test_a_no_needs_a_code_of_its_own() -> None:
    with server(http_answer(b'{"code": "no_funds"}', b"409 Conflict")) as port:
        with pytest.raises(Refused) as no:
            caller(port).post("/x", key="k", body={})
        assert (no.value.status, no.value.code) == (409, "no_funds")
        assert str(no.value) == "The ledger refused: no_funds"
    with server(http_answer(b"<html>", b"404 Not Found")) as port, pytest.raises(Unavailable):
        caller(port).post("/x", key="k", body={})


def test_what_became_of_an_effect_can_be_looked_at() -> None:
    with server(http_answer(b'{"state": "paid"}')) as port:
        assert caller(port).get("/x") == {"state": "paid"}
    with server(http_answer(b'{"code": "unknown"}', b"404 Not Found")) as port:
        with pytest.raises(Refused) as no:
            caller(port).get("/x")
        assert no.value.status == 404


@pytest.mark.parametrize("status", [b"408 T", b"425 T", b"429 T", b"500 T", b"302 T"])
def test_later_is_not_no_and_a_redirect_is_not_followed(status: bytes) -> None:
    answer = http_answer(b'{"code": "busy"}', status)
    with server(answer) as port, pytest.raises(Unavailable) as error:
        caller(port).post("/x", key="k", body={})
    assert error.value.code == "ledger_unavailable"


def test_a_drip_does_not_hold_a_call() -> None:
    """Each byte comes in time; the whole answer does not."""
    drip = [b"%c" % byte for byte in HEAD * 40]
    with server(*drip, pause=0.05) as port:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="ReadTimeout"):
            caller(port, seconds=0.5).post("/x", key="k", body={})
        # The limit is half a second; a minute and more is what the server would take.
        assert time.monotonic() - began < 20


def test_a_body_without_end_is_cut() -> None:
    parts = [HEAD + b"Content-Length: 100000000\r\n\r\n", *[b"x" * 65536] * 20]
    with server(*parts) as port, pytest.raises(Unavailable, match="more than"):
        caller(port).post("/x", key="k", body={})


def test_nobody_there_is_an_outage() -> None:
    with server() as port:
        pass
    with pytest.raises(Unavailable, match="cannot be reached"):
        caller(port).post("/x", key="k", body={})


def test_all_addresses_of_an_allowed_name_are_tried(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name may lead to IPv6 first, where nobody listens."""
    with server(http_answer(b'{"ok": true}')) as port:
        found = [(0, 0, 0, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert Caller("ledger", f"http://ledger:{port}", seconds=5, code="x").post(
            "/", key="k", body={}
        ) == {"ok": True}


def test_ipv6_is_allowed_in_brackets(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_HOSTS = {"[::1]:8000"}
    assert allowed("::1", 8000)
    assert not allowed("::1", 8001)


def test_nested_without_end_is_nonsense() -> None:
    with server(http_answer(b"[" * 60_000)) as port:
        assert caller(port).post("/x", key="k", body={}) == {}
