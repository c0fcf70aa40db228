"""A body without a Content-Length is counted as it comes in, by the ASGI application itself."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.conf import settings

from apps.approvals.registration.shell import EVIDENCE_UPLOADS
from apps.common.uploads import ENVELOPE_BYTES
from config.asgi import application
from config.body_limit import limited

MOST = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


async def _send(
    app: Any,
    chunks: AsyncIterator[bytes],
    *,
    path: str = "/api/v1/interventions",
    kind: str = "application/json",
    method: str = "POST",
) -> tuple[int, dict[str, str], bytes]:
    """POST the chunks; status, headers and body of the answer."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [
            (b"host", b"testserver"),
            (b"content-type", kind.encode()),
            (b"transfer-encoding", b"chunked"),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        async for chunk in chunks:
            return {"type": "http.request", "body": chunk, "more_body": True}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:])


async def test_an_endless_body_is_refused_as_soon_as_it_is_too_large() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 65536
            yield b"x" * 65536

    status, headers, body = await _send(application, endless())
    assert status == 413
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["code"] == "too_large"
    assert taken <= MOST + 2 * 65536


async def test_a_body_within_the_limit_reaches_the_application() -> None:
    async def whole() -> AsyncIterator[bytes]:
        yield b"{}"

    received: list[dict[str, Any]] = []

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        received.append(await receive())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    status, _, _ = await _send(limited(echo, most=2), whole())
    assert status == 204
    assert received[0]["body"] == b"{}"


async def test_an_answer_that_has_begun_is_not_followed_by_a_second_one() -> None:
    async def much() -> AsyncIterator[bytes]:
        yield b"xxx"

    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
        await receive()

    status, _, body = await _send(limited(hasty, most=2), much())
    assert (status, body) == (200, b"ok")


REQUEST = "0192f3a4-7c1e-7b6a-9d55-3f2b8a10c9de"
PLACES = [f"/requests/{REQUEST}/evidence/", f"/api/v1/approvals/{REQUEST}/evidence"]
FORM = "multipart/form-data; boundary=x"
ROOM = settings.EVIDENCE_MAX_BYTES + ENVELOPE_BYTES


async def _much(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65536):
        yield b"x" * 65536


def _counting(taken: list[int]) -> Any:
    """An application that reads all there is."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            taken.append(len(message["body"]))
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return limited(application, most=MOST, roomier=[EVIDENCE_UPLOADS])


@pytest.mark.parametrize("path", PLACES)
async def test_evidence_has_room_for_the_largest_file_and_no_more(path: str) -> None:
    taken: list[int] = []
    status, _, _ = await _send(
        _counting(taken), _much(settings.EVIDENCE_MAX_BYTES), path=path, kind=FORM
    )
    assert (status, sum(taken)) == (204, settings.EVIDENCE_MAX_BYTES)
    taken.clear()
    status, headers, body = await _send(
        _counting(taken), _much(11 * 1024 * 1024), path=path, kind=FORM
    )
    assert status == 413
    assert sum(taken) <= ROOM
    if path.startswith("/api/"):
        assert json.loads(body)["code"] == "too_large"
    else:
        assert headers["content-type"].startswith("text/html")
        assert b"Nothing was kept" in body


@pytest.mark.parametrize(
    ("path", "kind", "method"),
    [
        (PLACES[0], "application/json", "POST"),
        (PLACES[0], FORM, "PUT"),
        (PLACES[0] + REQUEST + "/erase/", FORM, "POST"),
        (PLACES[1] + "/", FORM, "POST"),
        (PLACES[0].replace(REQUEST, "x" * 36), FORM, "POST"),
        ("/nowhere" + PLACES[0], FORM, "POST"),
        (f"/requests/{REQUEST}/comments/", FORM, "POST"),
        (f"/requests/{REQUEST}/", FORM, "POST"),
        ("/login/", FORM, "POST"),
        ("/admin/", FORM, "POST"),
    ],
)
async def test_nothing_else_has_more_room_than_before(path: str, kind: str, method: str) -> None:
    taken: list[int] = []
    status, _, _ = await _send(
        _counting(taken), _much(3 * 1024 * 1024), path=path, kind=kind, method=method
    )
    assert status == 413
    assert sum(taken) <= MOST


async def test_a_body_without_an_end_is_not_read_for_ever_even_where_there_is_room() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 65536
            yield b"x" * 65536

    status, _, _ = await _send(_counting([]), endless(), path=PLACES[0], kind=FORM)
    assert status == 413
    assert taken <= ROOM * 7


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_other_protocols_pass_untouched(kind: str) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([receive, send])

    async def nothing(*_: Any) -> dict[str, Any]:
        return {}

    await limited(app, most=2)({"type": kind}, nothing, nothing)
    assert seen == [nothing, nothing]
