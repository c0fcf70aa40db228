"""A simulated OpenAI-compatible server: answers that follow from the question alone, and a count of
the calls by idempotency key.

`POST /ai/v1/chat/completions`. A question is answered with its words backwards; one for JSON with
`{"question": …, "words": N}`; a question that begins with `Say: ` with what comes after. The same
idempotency key has one effect, however often it is sent. `GET /ai/effects?key=` counts, without
`key` for every key; `/ai/behaviour` tells and is told the faults.
"""

import asyncio
import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from apps.simulators.behaviour import Behaviour
from apps.simulators.counted import Counted
from apps.simulators.http import Answer, Refusal, Request

SAY = "Say: "


@dataclass(frozen=True)
class AiBehaviour(Behaviour):
    """`down`: every call answers 503. `senseless`: answers are no completions. `fenced`: JSON is
    answered with the fence that models like to put around it. `key`: the Bearer that is wanted."""

    down: bool = False
    senseless: bool = False
    fenced: bool = False
    key: str = ""


class AiSink:
    """Answers and counts. With a file, counts survive a kill of the process."""

    def __init__(self, *, file: Path | None = None) -> None:
        self.behaviour = AiBehaviour()
        self.counted = Counted(file)
        self._failures = 0

    async def answer(self, request: Request) -> Answer:
        """Route a request below /ai."""
        match request.method, request.parts:
            case "GET", ["effects"]:
                return Answer(200, self.counted.told(request.query.get("key")))
            case "GET", ["behaviour"]:
                return Answer(200, asdict(self.behaviour))
            case "POST", ["behaviour"]:
                self.behaviour = AiBehaviour.parse(request.json())
                self._failures = self.behaviour.fail_next
                return Answer(200, asdict(self.behaviour))
            case "POST", ["v1", "chat", "completions"]:
                return await self._complete(request)
        raise Refusal(404, "not_found", "There is no such address.")

    async def _complete(self, request: Request) -> Answer:
        behaviour, body = self.behaviour, request.json()
        if behaviour.down:
            return _error(503, "down")
        given = request.headers.get("authorization", "")
        if behaviour.key and given != f"Bearer {behaviour.key}":
            return _error(401, f"Incorrect API key provided: {given.removeprefix('Bearer ')}")
        fails = self._failures > 0
        self._failures -= fails
        key = request.headers.get("idempotency-key", "")
        self.counted.request(key)
        if fails and not behaviour.fail_after_effect:
            return _error(behaviour.fail_status, "as told")
        await asyncio.sleep(behaviour.delay_seconds)
        completion = self._completion(body)
        self.counted.effect(key)
        await asyncio.sleep(behaviour.answer_delay_seconds)
        if fails:
            return _error(behaviour.fail_status, "as told, after the effect")
        return Answer(200, {"message": "as told"} if behaviour.senseless else completion)

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        messages, model = body.get("messages"), body.get("model")
        if not isinstance(messages, list) or not messages or not isinstance(model, str):
            raise Refusal(400, "invalid_request_error", "Send a model and messages.")
        question = str(messages[-1].get("content", ""))
        wants_json = body.get("response_format") == {"type": "json_object"}
        text = answer_to(question, as_json=wants_json)
        if wants_json and self.behaviour.fenced:
            text = f"```json\n{text}\n```"
        asked, said = len(question.split()), len(text.split())
        return {
            "id": f"chatcmpl-{sha256(question.encode()).hexdigest()[:24]}",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": asked,
                "completion_tokens": said,
                "total_tokens": asked + said,
            },
        }


def answer_to(question: str, *, as_json: bool = False) -> str:
    """Return what the simulated model answers."""
    if question.startswith(SAY):
        return question.removeprefix(SAY)
    words = question.split()
    if as_json:
        return json.dumps({"question": question, "words": len(words)})
    return " ".join(reversed(words))


def _error(status: int, message: str) -> Answer:
    return Answer(status, {"error": {"message": message, "type": "error", "code": None}})
