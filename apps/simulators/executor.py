"""A simulated executor: it moves no money and counts the calls that would have moved it.

It has the guarantees of the real interface (`apps.interventions.executor`): one effect and one
receipt per idempotency key, reversal by receipt or by key; a key that is reversed before its call
arrives is void for ever. `behaviour` makes it slow, refuse or fail, for tests and demonstrations.

A receipt `DEMO-<intervention>` belongs to a payment in the demo data: it counts as executed, so
that taking it back is a reversal here too.
"""

import asyncio
import json
import re
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from apps.simulators.http import Answer, Refusal, Request

LONGEST_DELAY = 3600.0
_DEMO = re.compile(r"DEMO-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(frozen=True)
class Behaviour:
    """The faults from now on. Delays in seconds.

    `delay_seconds` before the effect, `answer_delay_seconds` after it; `fail_next` executions
    answer `fail_status`, before the effect or (`fail_after_effect`) after it; `fail_reversals`
    likewise for reversals; `refuse_targets` and `refuse_reversals` refuse for good.
    """

    delay_seconds: float = 0.0
    answer_delay_seconds: float = 0.0
    fail_next: int = 0
    fail_status: int = 503
    fail_after_effect: bool = False
    fail_reversals: int = 0
    refuse_targets: tuple[str, ...] = ()
    refuse_reversals: bool = False

    @classmethod
    def parse(cls, document: dict[str, Any]) -> "Behaviour":
        """Return the behaviour in a JSON object, with defaults. Raises Refusal 422 for unknown
        fields."""
        known = asdict(cls())
        if not document.keys() <= known.keys():
            raise Refusal(422, "unknown_behaviour", f"Known are {sorted(known)}.")
        try:
            values: dict[str, Any] = {
                name: tuple(map(str, value))
                if name == "refuse_targets"
                else type(known[name])(value)
                for name, value in document.items()
            }
        except (TypeError, ValueError) as error:
            raise Refusal(422, "bad_behaviour", str(error)) from error
        chosen = cls(**values)
        delays = (chosen.delay_seconds, chosen.answer_delay_seconds)
        if not all(0 <= delay <= LONGEST_DELAY for delay in delays):
            raise Refusal(422, "bad_behaviour", "A delay is between 0 and 3600 seconds.")
        return chosen


@dataclass
class Effect:
    """The state of one idempotency key."""

    body: dict[str, Any] | None = None
    receipt: str = ""
    requests: int = 0
    executions: int = 0
    reversals: int = 0
    void: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @property
    def counts(self) -> dict[str, Any]:
        return {
            "receipt": self.receipt,
            "requests": self.requests,
            "executions": self.executions,
            "reversals": self.reversals,
            "void": self.void,
        }


class ExecutorSink:
    """The state and its four URLs. With a file, effects survive a kill of the process."""

    def __init__(self, *, file: Path | None = None) -> None:
        self.effects: dict[str, Effect] = {}
        self.behaviour = Behaviour()
        self._failures = self._reversal_failures = 0
        self._file = file
        self._read()

    async def answer(self, request: Request) -> Answer:
        """Route a request below /executor."""
        match request.method, request.parts:
            case "POST", ["executions"]:
                return await self._execute(request)
            case "POST", ["executions", name, "reversal"]:
                return await self._reverse(name, request)
            case "GET", ["effects"]:
                return self._count(request)
            case "GET", ["behaviour"]:
                return Answer(200, asdict(self.behaviour))
            case "POST", ["behaviour"]:
                self.behaviour = Behaviour.parse(request.json())
                self._failures = self.behaviour.fail_next
                self._reversal_failures = self.behaviour.fail_reversals
                return Answer(200, asdict(self.behaviour))
        raise Refusal(404, "not_found", "There is no such address.")

    async def _execute(self, request: Request) -> Answer:
        key, body = request.idempotency_key(), request.json()
        wrong = [
            name
            for name in ("intervention_id", "target", "amount", "currency")
            if not isinstance(body.get(name), str) or not body[name]
        ]
        if wrong:
            raise Refusal(422, "invalid", f"Missing: {', '.join(wrong)}.")
        effect = self.effects.setdefault(key, Effect())
        effect.requests += 1
        fails = self._failures > 0
        self._failures -= fails
        if fails and not self.behaviour.fail_after_effect:
            raise Refusal(self.behaviour.fail_status, "told_to_fail", "As told.")
        if body["target"] in self.behaviour.refuse_targets:
            raise Refusal(422, "target_refused", "This target takes no payment.")
        await asyncio.sleep(self.behaviour.delay_seconds)
        async with effect.lock:
            self._take_effect(key, effect, body)
        await asyncio.sleep(self.behaviour.answer_delay_seconds)
        if fails:
            raise Refusal(self.behaviour.fail_status, "told_to_fail", "As told, after the effect.")
        return Answer(200, {"receipt": effect.receipt})

    def _take_effect(self, key: str, effect: Effect, body: dict[str, Any]) -> None:
        if effect.void:
            raise Refusal(409, "voided", "This key was reversed before it took effect.")
        if effect.reversals:
            raise Refusal(409, "reversed", "This execution was reversed.")
        if effect.executions:
            if effect.body != body:
                raise Refusal(409, "idempotency_key_reused", "The key belongs to another body.")
            return
        effect.body = body
        effect.receipt = f"R-{sha256(key.encode()).hexdigest()[:16]}"
        effect.executions += 1
        self._write(key, effect)

    async def _reverse(self, name: str, request: Request) -> Answer:
        body = request.json()
        request.idempotency_key()
        if self._reversal_failures > 0:
            self._reversal_failures -= 1
            raise Refusal(self.behaviour.fail_status, "told_to_fail", "As told.")
        key = self._key_of(name)
        effect = self.effects.setdefault(key, Effect())
        async with effect.lock:
            if not effect.executions:
                effect.void = True
                self._write(key, effect)
                return Answer(200, {"state": "voided"})
            if not effect.reversals:
                if body.get("void_only"):
                    raise Refusal(409, "executed", "It took effect.", receipt=effect.receipt)
                if self.behaviour.refuse_reversals:
                    raise Refusal(422, "not_reversible", "Not any more.")
                effect.reversals += 1
                self._write(key, effect)
            return Answer(200, {"state": "reversed", "receipt": effect.receipt})

    def _key_of(self, name: str) -> str:
        """Return the key to which a receipt belongs; a name that is not a receipt is the key
        itself."""
        for key, effect in self.effects.items():
            if effect.receipt == name:
                return key
        if told := _DEMO.fullmatch(name):
            key = f"{told[1]}:execute"
            effect = self.effects.setdefault(key, Effect())
            if not effect.executions and not effect.void:
                effect.receipt, effect.executions = name, 1
                self._write(key, effect)
            return key
        return name

    def _count(self, request: Request) -> Answer:
        if key := request.query.get("key"):
            effect = self.effects.get(key, Effect())
            return Answer(200, {"key": key, **effect.counts})
        return Answer(200, {"effects": {key: e.counts for key, e in self.effects.items()}})

    # --- the file --------------------------------------------------------------------------------
    def _write(self, key: str, effect: Effect) -> None:
        if self._file is not None:
            line = {"key": key, "body": effect.body, **effect.counts}
            with self._file.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def _read(self) -> None:
        """Read the file: later lines of a key replace earlier ones; a line cut off by a kill is
        ignored."""
        if self._file is None or not self._file.exists():
            return
        text = self._file.read_text()
        if text and not text.endswith("\n"):
            with self._file.open("a") as file:
                file.write("\n")
        for line in text.splitlines():
            try:
                known = json.loads(line)
            except ValueError:
                continue
            key = known.pop("key")
            self.effects[key] = Effect(**known)
