"""HTTP client of the inference service, which scores events.

`POST {INFERENCE_SERVICE_URL}/fraud/score` → {fraud_score, risk_level}; `/retry/strategy` → {action,
delay_seconds, max_attempts, reason}; `/churn/predict` → {churn_score, churn_risk_level,
days_to_churn_estimate}. The body is the event; the header `Idempotency-Key` is `event_id:step`, and
the same key has one effect. `apps.outbound.calls` distinguishes refusals from outages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings

from apps.outbound.calls import Caller
from apps.payments.contracts import ChurnPrediction, FraudScore, RetryStrategy

#: A year: a later retry is none.
LONGEST_DELAY = 366 * 86_400


class Senseless(Exception):
    """The service answered what cannot be a score."""


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


def caller() -> Caller:
    """Return the caller of the service that the settings name, one per process."""
    return _caller(settings.INFERENCE_SERVICE_URL, settings.INFERENCE_TIMEOUT_SECONDS)


@cache
def _caller(base: str, seconds: float) -> Caller:
    return Caller("inference service", base, seconds=seconds, code="inference_unavailable")


# --- answers --------------------------------------------------------------------------------------
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
