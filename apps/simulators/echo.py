"""A program that answers what it was sent: for calls whose address somebody chooses.

Any method at `/echo/<anything>`, answered with `{method, path, query, headers, body, json}`. In the
query: `delay`, seconds before the answer; `status`, of the answer, and `times`, how many first
calls of an idempotency key get it (all, if not said); `size`, an answer of so many bytes instead;
`location`, that header's value. An answer below 300 is the effect of its key.
`GET /echo-counts?key=` counts, without `key` for every key.
"""

import asyncio
from pathlib import Path

from apps.simulators.behaviour import LONGEST_DELAY
from apps.simulators.counted import Counted
from apps.simulators.http import Answer, Refusal, Request

LARGEST = 32 * 1024 * 1024


class EchoSink:
    """Answers and counts. With a file, counts survive a kill of the process."""

    def __init__(self, *, file: Path | None = None) -> None:
        self.counted = Counted(file)

    async def answer(self, request: Request) -> Answer:
        """Answer a request below /echo."""
        query = request.query
        key = request.headers.get("idempotency-key", "")
        number = self.counted.request(key)
        await asyncio.sleep(_number(query.get("delay", "0"), LONGEST_DELAY))
        status = int(_number(query.get("status", "200"), 599))
        if "times" in query and number > _number(query["times"], 10**6):
            status = 200
        if status < 300:
            self.counted.effect(key)
        headers = {"location": query["location"]} if "location" in query else {}
        if "size" in query:
            content = b"x" * int(_number(query["size"], LARGEST))
            return Answer(status, content, content_type="text/plain", headers=headers)
        return Answer(status, echo_of(request), headers=headers)

    async def counts(self, request: Request) -> Answer:
        """Answer a request below /echo-counts."""
        return Answer(200, self.counted.told(request.query.get("key")))


def echo_of(request: Request) -> dict[str, object]:
    """Return the request as its answer has it; `json` is null for a body that is no object."""
    try:
        document = request.json() if request.body else None
    except Refusal:
        document = None
    return {
        "method": request.method,
        "path": "/".join(request.parts),
        "query": dict(request.query),
        "headers": dict(request.headers),
        "body": request.body.decode("utf-8", "replace"),
        "json": document,
    }


def _number(text: str, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise Refusal(422, "bad_number", f"It is a number from 0 to {most:g}.")
    return number
