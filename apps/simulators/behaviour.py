"""What a simulator is told to do wrong from now on."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from apps.simulators.http import Refusal

LONGEST_DELAY = 3600.0


@dataclass(frozen=True)
class Behaviour:
    """The faults from now on. Delays in seconds.

    `delay_seconds` before the effect, `answer_delay_seconds` after it; `fail_next` calls that have
    an effect answer `fail_status`, before the effect or (`fail_after_effect`) after it.
    """

    delay_seconds: float = 0.0
    answer_delay_seconds: float = 0.0
    fail_next: int = 0
    fail_status: int = 503
    fail_after_effect: bool = False

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Self:
        """Return the behaviour in a JSON object, with defaults. Raises Refusal 422 for unknown
        fields."""
        known = asdict(cls())
        if not document.keys() <= known.keys():
            raise Refusal(422, "unknown_behaviour", f"Known are {sorted(known)}.")
        try:
            values: dict[str, Any] = {
                name: tuple(map(str, value))
                if isinstance(known[name], tuple)
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


@dataclass(frozen=True)
class EffectBehaviour(Behaviour):
    """Of a simulator whose effects are reversed: `fail_reversals` calls that take back answer
    `fail_status`; `refuse_targets` and `refuse_reversals` refuse for good; `down`: no call is
    answered but with 503, and none has an effect."""

    fail_reversals: int = 0
    refuse_targets: tuple[str, ...] = ()
    refuse_reversals: bool = False
    down: bool = False
