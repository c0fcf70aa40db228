"""Scores of a batch's events, between the call that brought them and the row that keeps them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from typing import Any

from apps.payments.contracts import ChurnPrediction, FraudScore, RetryStrategy, Scoring
from apps.payments.inference import CHURN, FRAUD, RETRY
from apps.payments.models import BatchScores, PaymentBatch

_KINDS: Mapping[str, Any] = {
    FRAUD.name: FraudScore,
    RETRY.name: RetryStrategy,
    CHURN.name: ChurnPrediction,
}
_STEPS = {
    Scoring.FRAUD: (CHURN.name, FRAUD.name),
    Scoring.RETRY: (CHURN.name, RETRY.name),
    Scoring.NEITHER: (CHURN.name,),
}


def steps_for(scorings: Iterable[Scoring]) -> tuple[str, ...]:
    """Return the names of all scores that events of these kinds need, in one order."""
    return tuple(sorted({name for scoring in scorings for name in _STEPS[scoring]}))


def scores_note(batch: PaymentBatch, step: str, answers: Mapping[int, Any]) -> None:
    """Note the step's answers by the ids of their events; None for a call without one."""
    if answers:
        scores = {pk: None if answer is None else astuple(answer) for pk, answer in answers.items()}
        BatchScores.objects.create(batch=batch, step=step, scores=scores)


def scores_of(batch: PaymentBatch) -> dict[int, dict[str, Any]]:
    """Return the scores that are known, by event and step."""
    found: dict[int, dict[str, Any]] = {}
    for row in BatchScores.objects.filter(batch=batch).order_by("pk"):
        for pk, values in row.scores.items():
            if values is not None:
                found.setdefault(int(pk), {})[row.step] = _KINDS[row.step](*values)
    return found


def scored_and_failed(batch: PaymentBatch, step: str) -> tuple[set[int], Counter[int]]:
    """Return which events have the step's score, and how often a call for others had no answer."""
    scored: set[int] = set()
    failed: Counter[int] = Counter()
    for row in BatchScores.objects.filter(batch=batch, step=step):
        for pk, values in row.scores.items():
            if values is None:
                failed[int(pk)] += 1
            else:
                scored.add(int(pk))
    return scored, failed
