"""Payment events: checked, scored, kept. A workflow's id is the event's."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from apps.engine.contracts import Timings
    from apps.payments import activities
    from apps.payments.contracts import (
        EVENT_WORKFLOW,
        ChurnPrediction,
        EndInput,
        EventResult,
        FraudScore,
        Persisted,
        PersistInput,
        RetryStrategy,
        ScoreInput,
        Scoring,
        Validated,
        ValidateInput,
    )
    from workers.steps import WITHOUT_END, local_step, remote_step

R = TypeVar("R")


@workflow.defn(name=EVENT_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class PaymentEventWorkflow:
    """Checks the event against the rules, asks for its scores side by side, and keeps it.

    `{"event_id": …}` carries an event that was taken in. Started by hand with a whole event, under
    its id, it takes the event in first. An event that fails a rule, or that the inference service
    refuses, is in the quarantine before the workflow fails.
    """

    def __init__(self) -> None:
        self._timings = Timings()
        self._status = "validating"
        self._fraud: FraudScore | None = None
        self._retry: RetryStrategy | None = None
        self._churn: ChurnPrediction | None = None

    @workflow.run
    async def run(self, event: dict[str, Any]) -> EventResult:
        event_id = workflow.info().workflow_id
        try:
            return await self._run(event_id, event)
        except BaseException:
            self._status = "failed"
            raise

    @workflow.query
    def get_status(self) -> str:
        """`validating`, `scoring`, `persisting`, `completed`, or `failed`."""
        return self._status

    @workflow.query
    def get_fraud_score(self) -> FraudScore | None:
        """The fraud score, once it is known."""
        return self._fraud

    @workflow.query
    def get_retry_strategy(self) -> RetryStrategy | None:
        """The retry strategy, once it is known."""
        return self._retry

    @workflow.query
    def get_churn_score(self) -> ChurnPrediction | None:
        """The churn prediction, once it is known."""
        return self._churn

    async def _run(self, event_id: str, event: dict[str, Any]) -> EventResult:
        whole = event if set(event) != {"event_id"} else None
        valid: Validated = await local_step(
            activities.validate_business_rules, ValidateInput(event_id, whole)
        )
        self._timings = valid.timings
        if not valid.stored:
            self._status = "scoring"
            await self._score(event_id, valid.scoring)
            self._status = "persisting"
            await self._persist(event_id)
        self._status = "completed"
        return EventResult(event_id, self._status)

    async def _score(self, event_id: str, scoring: str) -> None:
        asked: list[Any] = [self._ask_churn(event_id)]
        if scoring == Scoring.FRAUD:
            asked.append(self._ask_fraud(event_id))
        elif scoring == Scoring.RETRY:
            asked.append(self._ask_retry(event_id))
        try:
            await asyncio.gather(*asked)
        except ApplicationError as refused:
            code = refused.type or "inference_refused"
            await local_step(
                activities.quarantine_payment_event,
                EndInput(event_id, code, refused.message),
                timings=self._timings,
            )
            raise

    async def _ask_fraud(self, event_id: str) -> None:
        self._fraud = await self._asked(activities.get_fraud_score, event_id)

    async def _ask_retry(self, event_id: str) -> None:
        self._retry = await self._asked(activities.get_retry_strategy, event_id)

    async def _ask_churn(self, event_id: str) -> None:
        self._churn = await self._asked(activities.get_churn_prediction, event_id)

    async def _persist(self, event_id: str) -> Persisted:
        run_id = workflow.info().run_id
        return await local_step(
            activities.persist_to_postgres,
            PersistInput(event_id, self._fraud, self._retry, self._churn, run_id),
            timings=self._timings,
        )

    async def _asked(self, fn: Callable[[ScoreInput], R], event_id: str) -> R:
        return await remote_step(fn, ScoreInput(event_id), timings=self._timings, retry=WITHOUT_END)
