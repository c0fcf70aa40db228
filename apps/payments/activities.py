"""Activities of payment events: fetch the input, call the service, return a contract."""

from collections.abc import Callable
from typing import Any

from temporalio import activity

from apps.engine.heartbeats import heartbeating
from apps.payments import inference
from apps.payments.contracts import (
    ChurnPrediction,
    EndInput,
    FraudScore,
    Persisted,
    PersistInput,
    ReplayFacts,
    ReplayStep,
    RetryStrategy,
    ScoreInput,
    Stage,
    Validated,
    ValidateInput,
)
from apps.payments.services import carrying, replay_pacing, scoring


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


@activity.defn(name="advance_replay")
def advance_replay(input: ReplayStep) -> ReplayFacts:
    """Begin as many events of a replay as its pace allows now."""
    return replay_pacing.replay_advance(run_id=input.run_id, workflow_id=input.workflow_id)


ACTIVITIES: list[Callable[..., Any]] = [
    validate_business_rules,
    get_fraud_score,
    get_retry_strategy,
    get_churn_prediction,
    persist_to_postgres,
    quarantine_payment_event,
    advance_replay,
]
