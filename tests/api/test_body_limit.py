"""A body without a Content-Length is counted as it comes in, by the ASGI application itself."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.conf import settings

from config.asgi import application
from config.body_limit import limited

MOST = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


async def _send(app: Any, chunks: AsyncIterator[bytes]) -> tuple[int, dict[str, str], bytes]:
    """POST the chunks; status, headers and body of the answer."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/api/v1/interventions",
        "raw_path": b"/api/v1/interventions",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [
            (b"host", b"testserver"),
            (b"content-type", b"application/json"),
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


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_other_protocols_pass_untouched(kind: str) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([receive, send])

    async def nothing(*_: Any) -> dict[str, Any]:
        return {}

    await limited(app, most=2)({"type": kind}, nothing, nothing)
    assert seen == [nothing, nothing]
