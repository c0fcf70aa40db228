"""Activities of payment events: fetch the input, call the service, return a contract."""

from collections.abc import Callable
from typing import Any

from temporalio import activity

from apps.engine.heartbeats import heartbeating
from apps.payments import inference
from apps.payments.contracts import (
    BatchPersist,
    BatchRef,
    BatchResult,
    BatchScore,
    BatchScored,
    BatchValidated,
    ChurnPrediction,
    EndInput,
    FraudScore,
    Persisted,
    PersistInput,
    ReplayFacts,
    ReplayStep,
    RetryStrategy,
    ReviewFacts,
    ReviewLook,
    ScoreInput,
    Stage,
    Validated,
    ValidateInput,
)
from apps.payments.services import (
    batch_carrying,
    batch_scoring,
    carrying,
    replay_pacing,
    reviews,
    scoring,
)


@activity.defn(name="validate_business_rules")
def validate_business_rules(input: ValidateInput) -> Validated:
    """Check the event against the rules; one that fails goes to the quarantine."""
    return carrying.event_validate(event_id=input.event_id, document=input.document)


@activity.defn(name="get_fraud_score", no_thread_cancel_exception=True)
def get_fraud_score(input: ScoreInput) -> FraudScore:
    """Ask the inference service how likely the payment is a fraud."""
    found: FraudScore = heartbeating(scoring.score, inference.FRAUD, event_id=input.event_id)
    return found


@activity.defn(name="get_retry_strategy", no_thread_cancel_exception=True)
def get_retry_strategy(input: ScoreInput) -> RetryStrategy:
    """Ask the inference service whether and when to try the payment again."""
    found: RetryStrategy = heartbeating(scoring.score, inference.RETRY, event_id=input.event_id)
    return found


@activity.defn(name="get_churn_prediction", no_thread_cancel_exception=True)
def get_churn_prediction(input: ScoreInput) -> ChurnPrediction:
    """Ask the inference service how likely the customer leaves."""
    found: ChurnPrediction = heartbeating(scoring.score, inference.CHURN, event_id=input.event_id)
    return found


@activity.defn(name="persist_to_postgres")
def persist_to_postgres(input: PersistInput) -> Persisted:
    """Keep the event with its scores, once."""
    return carrying.event_persist(input)


@activity.defn(name="quarantine_payment_event")
def quarantine_payment_event(input: EndInput) -> None:
    """End an event that gets no score in the quarantine."""
    carrying.event_quarantine(
        event_id=input.event_id, stage=Stage.INFERENCE, code=input.code, detail=input.detail
    )


@activity.defn(name="validate_payment_batch")
def validate_payment_batch(input: BatchRef) -> BatchValidated:
    """Check a batch's events against the rules; those that fail go to the quarantine."""
    return batch_carrying.batch_validate(batch_id=input.batch_id)


# The loop checks for cancellation between two calls.
@activity.defn(name="score_payment_batch", no_thread_cancel_exception=True)
def score_payment_batch(input: BatchScore) -> BatchScored:
    """Ask the inference service for one kind of score of a batch's events."""
    waiting = heartbeating(
        batch_scoring.batch_score,
        batch_id=input.batch_id,
        step=input.step,
        seconds=input.seconds,
        attempt=activity.info().attempt,
        interrupted=_interrupted,
    )
    return BatchScored(waiting)


@activity.defn(name="persist_payment_batch")
def persist_payment_batch(input: BatchPersist) -> BatchResult:
    """Keep a batch's events with their scores, once."""
    return batch_carrying.batch_persist(batch_id=input.batch_id, run_id=input.run_id)


@activity.defn(name="advance_replay")
def advance_replay(input: ReplayStep) -> ReplayFacts:
    """Begin as many events of a replay as its pace allows now."""
    return replay_pacing.replay_advance(run_id=input.run_id, workflow_id=input.workflow_id)


@activity.defn(name="look_at_quarantined_event")
def look_at_quarantined_event(input: ReviewLook) -> ReviewFacts:
    """Read whether an event of the quarantine still waits for a person."""
    return reviews.review_facts(quarantine_id=input.quarantine_id, workflow_id=input.workflow_id)


ACTIVITIES: list[Callable[..., Any]] = [
    validate_business_rules,
    get_fraud_score,
    get_retry_strategy,
    get_churn_prediction,
    persist_to_postgres,
    quarantine_payment_event,
    validate_payment_batch,
    score_payment_batch,
    persist_payment_batch,
    advance_replay,
    look_at_quarantined_event,
]


def _interrupted() -> bool:
    return activity.is_cancelled() or activity.is_worker_shutdown()
