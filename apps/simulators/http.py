"""A minimal ASGI application for simulators: JSON in, JSON or a page out, no framework."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope

BODY_LIMIT = 1024 * 1024


#: An e-mail's content comes from somebody else: no scripts, no forms.
NOTHING_ACTIVE = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Answer:
    """A response. `body` is JSON, or with another `content_type` a text or bytes; `policy` is what
    its page may do; `headers` are further ones."""

    status: int
    body: Any
    content_type: str = "application/json"
    policy: str = NOTHING_ACTIVE
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """An error response: {code, detail, …}."""

    def __init__(self, status: int, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.answer = Answer(status, {"code": code, "detail": detail, **extra})


@dataclass(frozen=True)
class Request:
    """A request. `parts` is the path below the simulator's own prefix, unquoted."""

    method: str
    parts: list[str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        """Return the body as an object ({} when empty). Raises Refusal 400."""
        try:
            document = json.loads(self.body or b"{}")
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Refusal(400, "malformed_json", "The body is not a JSON object.")
        return document

    def idempotency_key(self) -> str:
        """Return the header. Raises Refusal 400 without one."""
        if not (key := self.headers.get("idempotency-key", "")):
            raise Refusal(400, "idempotency_key_missing", "Send the header Idempotency-Key.")
        return key


Handler = Callable[[Request], Awaitable[Answer]]


class Application:
    """The ASGI application: `/<prefix>/…` goes to that simulator's handler, `/health` answers
    200."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = dict(handlers)

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"simulators speak HTTP, not {scope['type']}")
        try:
            answer = await self._answer(scope, receive)
        except Refusal as refusal:
            answer = refusal.answer
        is_json = answer.content_type == "application/json"
        content = answer.body
        if not isinstance(content, bytes):
            content = (json.dumps(content) if is_json else str(content)).encode()
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    (b"content-type", answer.content_type.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"content-security-policy", answer.policy.encode()),
                    (b"content-length", str(len(content)).encode()),
                    *(
                        (k.encode(), v.encode("latin-1", "replace"))
                        for k, v in answer.headers.items()
                    ),
                ],
                "trailers": False,
            }
        )
        await send({"type": "http.response.body", "body": content, "more_body": False})

    async def _answer(self, scope: Any, receive: ASGIReceiveCallable) -> Answer:
        # raw_path, because an encoded slash belongs to a part and does not end it.
        raw = (scope.get("raw_path") or scope["path"].encode()).split(b"?")[0].decode("latin-1")
        prefix, *parts = [unquote(part) for part in raw.strip("/").split("/")]
        if prefix == "health":
            return Answer(200, {"status": "healthy", "service": "simulators"})
        if (handler := self._handlers.get(prefix)) is None:
            raise Refusal(404, "not_found", "There is no such simulator.")
        return await handler(
            Request(
                method=scope["method"],
                parts=parts,
                query=dict(parse_qsl(scope["query_string"].decode("latin-1"))),
                headers={k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
                body=await _body(receive),
            )
        )


async def _body(receive: ASGIReceiveCallable) -> bytes:
    body = b""
    while True:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "gone", "The caller went away.")
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            raise Refusal(413, "too_large", "The body is too large.")
        if not message.get("more_body"):
            return body
