"""A simulated executor: it moves no money and counts the calls that would have moved it.

It has the guarantees of the real interface (`apps.interventions.executor`): those of
`apps.simulators.effects`. `behaviour` makes it slow, refuse or fail, for tests and demonstrations.

A receipt `DEMO-<intervention>` belongs to a payment in the demo data: it counts as executed, so
that taking it back is a reversal here too.
"""

import re

from apps.simulators.effects import Effect, EffectSink, texts_missing
from apps.simulators.http import Answer, Refusal, Request

_DEMO = re.compile(r"DEMO-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class ExecutorSink(EffectSink[Effect]):
    """POST /executor/executions and …/executions/<receipt or key>/reversal; GET /executor/effects
    counts, /executor/behaviour tells and is told the faults."""

    kind = Effect

    async def route(self, request: Request) -> Answer:
        """Answer a request of the executor's interface."""
        match request.method, request.parts:
            case "POST", ["executions"]:
                request.idempotency_key()
                body = request.json()
                texts_missing(body, "intervention_id", "target", "amount", "currency")
                return await self.execute(request, body, target=body["target"])
            case "POST", ["executions", name, "reversal"]:
                return await self.reverse(name, request)
        raise Refusal(404, "not_found", "There is no such address.")

    def key_of(self, name: str) -> str:
        """Return the key, also for a receipt of the demo data."""
        key = super().key_of(name)
        if key == name and (told := _DEMO.fullmatch(name)):
            key = f"{told[1]}:execute"
            effect = self.effects.setdefault(key, Effect())
            if not effect.executions and not effect.void:
                effect.receipt, effect.executions = name, 1
                self.keep(key, effect)
        return key
