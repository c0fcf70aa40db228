"""A simulated inference service: scores that follow from the event's id alone, so that a test knows
them beforehand, and a count of the calls that had an effect.

`POST /fraud/score`, `/retry/strategy`, `/churn/predict`, each with `:batch` for many (`{"items":
[{"idempotency_key", "event"}]}`). The same idempotency key has one effect, however often it is
sent. `GET /<kind>/effects?key=` counts, without `key` for every key, `GET /<kind>/totals` sums up,
`/<kind>/behaviour` tells and is told the faults of that kind.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from apps.simulators.behaviour import Behaviour
from apps.simulators.http import Answer, Handler, Refusal, Request
from apps.simulators.kept import Kept

#: Kind → the address below it.
KINDS: Mapping[str, str] = {"fraud": "score", "retry": "strategy", "churn": "predict"}
MOST_ITEMS = 500
LEVELS = ("low", "medium", "high")
ACTIONS = ("retry_now", "retry_later", "ask_for_another_method", "give_up")


@dataclass(frozen=True)
class InferenceBehaviour(Behaviour):
    """`down`: every call answers 503. `senseless`: answers are no scores. `refuse_ids`: events that
    are refused for good; `fail_ids`: events that get 503 each time; `senseless_ids`: events whose
    answers are no scores. `no_batch`: the addresses for many are not there."""

    down: bool = False
    senseless: bool = False
    refuse_ids: tuple[str, ...] = ()
    fail_ids: tuple[str, ...] = ()
    senseless_ids: tuple[str, ...] = ()
    no_batch: bool = False


def score_of(kind: str, event_id: str) -> dict[str, Any]:
    """Return the score of this kind that the service gives the event."""
    number = int.from_bytes(sha256(f"{kind}:{event_id}".encode()).digest()[:4])
    share = round(number / 2**32, 6)
    level = LEVELS[min(2, int(share * 3))]
    match kind:
        case "fraud":
            return {"fraud_score": share, "risk_level": level}
        case "retry":
            action = ACTIONS[number % len(ACTIONS)]
            return {
                "action": action,
                "delay_seconds": number % 86_400,
                "max_attempts": 1 + number % 5,
                "reason": f"as told for {action}",
            }
    return {
        "churn_score": share,
        "churn_risk_level": level,
        "days_to_churn_estimate": number % 365,
    }


class InferenceSink:
    """Scores by kind and idempotency key, and the behaviour of each kind. With a file, effects
    survive a kill of the process."""

    def __init__(self, *, file: Path | None = None) -> None:
        self.behaviour = {kind: InferenceBehaviour() for kind in KINDS}
        self._failures = dict.fromkeys(KINDS, 0)
        self.requests: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        self.effects: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self._kept = Kept(file)
        for known in self._kept.read():
            self.effects[known["kind"]].add(known["key"])

    def of(self, kind: str) -> Handler:
        """Return the handler of one kind."""

        async def answer(request: Request) -> Answer:
            return await self._answer(kind, request)

        return answer

    async def _answer(self, kind: str, request: Request) -> Answer:
        behaviour = self.behaviour[kind]
        match request.method, request.parts:
            case "GET", ["effects"]:
                if key := request.query.get("key"):
                    return Answer(200, self._counts(kind, key))
                keys = self.requests[kind].keys() | self.effects[kind]
                return Answer(200, {"effects": {one: self._counts(kind, one) for one in keys}})
            case "GET", ["totals"]:
                calls = sum(self.requests[kind].values())
                return Answer(200, {"effects": len(self.effects[kind]), "requests": calls})
            case "GET", ["behaviour"]:
                return Answer(200, asdict(behaviour))
            case "POST", ["behaviour"]:
                told = self.behaviour[kind] = InferenceBehaviour.parse(request.json())
                self._failures[kind] = told.fail_next
                return Answer(200, asdict(told))
            case "POST", [address] if address in (KINDS[kind], f"{KINDS[kind]}:batch"):
                return await self._score(kind, request, many=address.endswith(":batch"))
        raise Refusal(404, "not_found", "There is no such address.")

    async def _score(self, kind: str, request: Request, *, many: bool) -> Answer:
        behaviour = self.behaviour[kind]
        if behaviour.down:
            raise Refusal(503, "down", "As told.")
        if many and behaviour.no_batch:
            raise Refusal(404, "", "There is no such address.")
        key = request.idempotency_key()
        fails = self._failures[kind] > 0
        self._failures[kind] -= fails
        if fails and not behaviour.fail_after_effect:
            raise Refusal(behaviour.fail_status, "told_to_fail", "As told.")
        await asyncio.sleep(behaviour.delay_seconds)
        body = request.json()
        if not many:
            answer = self._one(kind, key, body)
        elif isinstance(items := body.get("items"), list) and 0 < len(items) <= MOST_ITEMS:
            answer = {"items": [self._item(kind, one) for one in items]}
        else:
            raise Refusal(422, "items_invalid", f"Send 1 to {MOST_ITEMS} items.")
        if fails:
            raise Refusal(behaviour.fail_status, "told_to_fail", "As told.")
        await asyncio.sleep(behaviour.answer_delay_seconds)
        return Answer(200, answer)

    def _item(self, kind: str, item: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._one(kind, str(item["idempotency_key"]), item["event"])
        except Refusal as refusal:
            told = refusal.answer.body
            return {"error": {"code": told["code"], "message": told["detail"]}}

    def _one(self, kind: str, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        counted = self.requests[kind]
        counted[key] = counted.get(key, 0) + 1
        event_id = str(body.get("event_id", ""))
        behaviour = self.behaviour[kind]
        if event_id in behaviour.refuse_ids:
            raise Refusal(422, "event_refused", "As told.")
        if event_id in behaviour.fail_ids:
            raise Refusal(503, "told_to_fail", "As told.")
        if behaviour.senseless or event_id in behaviour.senseless_ids:
            return {"message": "senseless, as told"}
        if key not in self.effects[kind]:
            self.effects[kind].add(key)
            self._kept.write({"kind": kind, "key": key})
        return score_of(kind, event_id)

    def _counts(self, kind: str, key: str) -> dict[str, int]:
        return {
            "requests": self.requests[kind].get(key, 0),
            "effects": int(key in self.effects[kind]),
        }
