"""Effects that are made once for an idempotency key, and reversed: what simulators of programs that
move money have in common.

One effect and one receipt for a key, reversal by receipt or by key; a key that is reversed before
its call arrives is void for ever.
"""

import asyncio
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from apps.simulators.behaviour import EffectBehaviour
from apps.simulators.http import Answer, Refusal, Request
from apps.simulators.kept import Kept


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


E = TypeVar("E", bound=Effect)


class EffectSink(Generic[E]):
    """The effects by key, and the behaviour. With a file, effects survive a kill of the process.

    A simulator says what an effect of its own is (`kind`), what its `receipt` is called in answers
    and which letters it begins with (`prefix`).
    """

    kind: type[E]
    receipt: ClassVar[str] = "receipt"
    prefix: ClassVar[str] = "R"

    def __init__(self, *, file: Path | None = None) -> None:
        self.effects: dict[str, E] = {}
        self.behaviour = EffectBehaviour()
        self._failures = self._reversal_failures = 0
        self._kept = Kept(file)
        # Later lines of a key replace earlier ones.
        for known in self._kept.read():
            key = known.pop("key")
            self.effects[key] = self.kind(**known)

    async def answer(self, request: Request) -> Answer:
        """Route a request below the simulator's own prefix."""
        match request.method, request.parts:
            case "GET", ["effects"]:
                return self._count(request)
            case "GET", ["behaviour"]:
                return Answer(200, asdict(self.behaviour))
            case "POST", ["behaviour"]:
                self.behaviour = EffectBehaviour.parse(request.json())
                self._failures = self.behaviour.fail_next
                self._reversal_failures = self.behaviour.fail_reversals
                return Answer(200, asdict(self.behaviour))
        if self.behaviour.down:
            raise Refusal(503, "down", "As told.")
        return await self.route(request)

    async def route(self, request: Request) -> Answer:
        """Answer a request of the interface that is simulated."""
        raise NotImplementedError

    async def execute(self, request: Request, body: dict[str, Any], *, target: str) -> Answer:
        """Take effect, once for the key of the request; `target` may be told to refuse."""
        key = request.idempotency_key()
        effect = self.effects.setdefault(key, self.kind())
        effect.requests += 1
        fails = self._failures > 0
        self._failures -= fails
        if fails and not self.behaviour.fail_after_effect:
            raise Refusal(self.behaviour.fail_status, "told_to_fail", "As told.")
        if target in self.behaviour.refuse_targets:
            raise Refusal(422, "target_refused", "This target takes no payment.")
        await asyncio.sleep(self.behaviour.delay_seconds)
        async with effect.lock:
            self._take_effect(key, effect, body)
        await asyncio.sleep(self.behaviour.answer_delay_seconds)
        if fails:
            raise Refusal(self.behaviour.fail_status, "told_to_fail", "As told, after the effect.")
        return Answer(200, {self.receipt: effect.receipt})

    def _take_effect(self, key: str, effect: E, body: dict[str, Any]) -> None:
        if effect.void:
            raise Refusal(409, "voided", "This key was reversed before it took effect.")
        if effect.reversals:
            raise Refusal(409, "reversed", "This execution was reversed.")
        if effect.executions:
            if effect.body != body:
                raise Refusal(409, "idempotency_key_reused", "The key belongs to another body.")
            return
        effect.body = body
        effect.receipt = f"{self.prefix}-{sha256(key.encode()).hexdigest()[:16]}"
        effect.executions += 1
        self.keep(key, effect)

    async def reverse(self, name: str, request: Request) -> Answer:
        """Reverse the effect of a receipt or key, or void the key."""
        body = request.json()
        request.idempotency_key()
        self.fail_taking_back()
        key = self.key_of(name)
        effect = self.effects.setdefault(key, self.kind())
        async with effect.lock:
            if not effect.executions:
                effect.void = True
                self.keep(key, effect)
                return Answer(200, {"state": "voided"})
            if not effect.reversals:
                if body.get("void_only"):
                    taken = {self.receipt: effect.receipt}
                    raise Refusal(409, "executed", "It took effect.", **taken)
                if self.behaviour.refuse_reversals:
                    raise Refusal(422, "not_reversible", "Not any more.")
                effect.reversals += 1
                self.keep(key, effect)
            return Answer(200, {"state": "reversed", self.receipt: effect.receipt})

    def fail_taking_back(self) -> None:
        """Raise as often as `fail_reversals` says."""
        if self._reversal_failures > 0:
            self._reversal_failures -= 1
            raise Refusal(self.behaviour.fail_status, "told_to_fail", "As told.")

    def key_of(self, name: str) -> str:
        """Return the key to which a receipt belongs; a name that is not a receipt is the key
        itself."""
        for key, effect in self.effects.items():
            if effect.receipt == name:
                return key
        return name

    def keep(self, key: str, effect: E) -> None:
        """Write down what became of the key."""
        self._kept.write({"key": key, "body": effect.body, **effect.counts})

    def _count(self, request: Request) -> Answer:
        if key := request.query.get("key"):
            effect = self.effects.get(key, self.kind())
            return Answer(200, {"key": key, **effect.counts})
        return Answer(200, {"effects": {key: e.counts for key, e in self.effects.items()}})


def texts_missing(body: dict[str, Any], *names: str) -> None:
    """Raise Refusal 422 unless the body has a text under every name."""
    wrong = [name for name in names if not isinstance(body.get(name), str) or not body[name]]
    if wrong:
        raise Refusal(422, "invalid", f"Missing: {', '.join(wrong)}.")
