"""HTTP client of the inference service, which scores events.

`POST {INFERENCE_SERVICE_URL}/fraud/score` → {fraud_score, risk_level}; `/retry/strategy` → {action,
delay_seconds, max_attempts, reason}; `/churn/predict` → {churn_score, churn_risk_level,
days_to_churn_estimate}. The body is the event; the header `Idempotency-Key` is `event_id:step`, and
the same key has one effect. `apps.outbound.calls` distinguishes refusals from outages.

Many at once, each address with `:batch`: `{"items": [{"idempotency_key", "event"}]}` → `{"items":
[{…} | {"error": {"code", "message"}}]}`, in their order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

from django.conf import settings

from apps.common.canonical_json import canonical_json
from apps.outbound.calls import Caller
from apps.payments.contracts import ChurnPrediction, FraudScore, RetryStrategy

#: A year: a later retry is none.
LONGEST_DELAY = 366 * 86_400
#: Of one call for many, and the bytes of their events; a larger event goes alone.
MOST_ITEMS, MOST_BYTES = 500, 768 * 1024
#: Of an answer, with room for the reasons of so many.
MOST_ANSWER = 2 * 1024 * 1024


class Senseless(Exception):
    """The service answered what cannot be a score."""


class ItemRefused(Exception):
    """The service does not score this one of many, for now or for good."""


@dataclass(frozen=True)
class Step:
    """A kind of score: its address, and what an answer says. `parse` raises Senseless."""

    name: str
    path: str
    parse: Callable[[Mapping[str, Any]], Any]


def ask(step: Step, event_id: str, event: Mapping[str, Any]) -> Any:
    """Return the step's score of the event. Raises calls.Refused, Unavailable
    `inference_unavailable`, Senseless."""
    answer = caller().post(step.path, key=f"{event_id}:{step.name}", body=dict(event))
    return step.parse(answer)


@dataclass(frozen=True)
class Asked:
    """An event to be scored among others. `size`: its bytes."""

    event_id: str
    event: Mapping[str, Any]
    size: int


def ask_many(step: Step, asked: Sequence[Asked]) -> list[Any]:
    """Return the step's score of each event, in one call; of one that the service does not score
    Senseless or ItemRefused, as a value. Raises as `ask`: then nothing is known of any."""
    keys = [f"{one.event_id}:{step.name}" for one in asked]
    items = [
        {"idempotency_key": key, "event": dict(one.event)}
        for key, one in zip(keys, asked, strict=True)
    ]
    whole = sha256(canonical_json(keys).encode()).hexdigest()
    answer = caller().post(f"{step.path}:batch", key=f"batch:{whole}", body={"items": items})
    found = answer.get("items")
    if not isinstance(found, list) or len(found) != len(asked):
        raise Senseless(f"items is not a list of {len(asked)}")
    return [_item(step, one) for one in found]


def in_calls(asked: Sequence[Asked]) -> Iterator[Sequence[Asked]]:
    """Yield the events in as few calls as the limits allow."""
    begin = size = 0
    for number, one in enumerate(asked):
        if number > begin and (number - begin >= MOST_ITEMS or size + one.size > MOST_BYTES):
            yield asked[begin:number]
            begin, size = number, 0
        size += one.size
    if begin < len(asked):
        yield asked[begin:]


def caller() -> Caller:
    """Return the caller of the service that the settings name, one per process."""
    return _caller(settings.INFERENCE_SERVICE_URL, settings.INFERENCE_TIMEOUT_SECONDS)


@cache
def _caller(base: str, seconds: float) -> Caller:
    return Caller(
        "inference service",
        base,
        seconds=seconds,
        code="inference_unavailable",
        most_bytes=MOST_ANSWER,
    )


# --- answers --------------------------------------------------------------------------------------
def _item(step: Step, answer: Any) -> Any:
    if not isinstance(answer, dict):
        return Senseless("an item is not an object")
    if "error" in answer:
        return ItemRefused(str(answer["error"])[:300])
    try:
        return step.parse(answer)
    except Senseless as senseless:
        return senseless


def _share(answer: Mapping[str, Any], name: str) -> float:
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Senseless(f"{name} is not a number from 0 to 1")
    return float(value)


def _whole(answer: Mapping[str, Any], name: str, most: int) -> int:
    value = answer.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise Senseless(f"{name} is not a whole number from 0 to {most}")
    return value


def _text(answer: Mapping[str, Any], name: str, longest: int) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
        raise Senseless(f"{name} is not a text of 1 to {longest} characters")
    return value


def _fraud(answer: Mapping[str, Any]) -> FraudScore:
    return FraudScore(_share(answer, "fraud_score"), _text(answer, "risk_level", 20))


def _retry(answer: Mapping[str, Any]) -> RetryStrategy:
    return RetryStrategy(
        action=_text(answer, "action", 40),
        delay_seconds=_whole(answer, "delay_seconds", LONGEST_DELAY),
        max_attempts=_whole(answer, "max_attempts", 1000),
        reason=_text(answer, "reason", 500),
    )


def _churn(answer: Mapping[str, Any]) -> ChurnPrediction:
    return ChurnPrediction(
        churn_score=_share(answer, "churn_score"),
        churn_risk_level=_text(answer, "churn_risk_level", 20),
        days_to_churn_estimate=_whole(answer, "days_to_churn_estimate", 36_600),
    )


FRAUD = Step("fraud", "/fraud/score", _fraud)
RETRY = Step("retry", "/retry/strategy", _retry)
CHURN = Step("churn", "/churn/predict", _churn)
STEPS = (FRAUD, RETRY, CHURN)
