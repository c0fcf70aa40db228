"""Batches of payment events: checked, scored and kept, hundreds in one run."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from apps.engine.contracts import Timings
    from apps.payments import activities
    from apps.payments.contracts import (
        BATCH_WORKFLOW,
        BatchPersist,
        BatchRef,
        BatchResult,
        BatchScore,
        BatchValidated,
    )
    from workers.steps import WITHOUT_END, local_step, remote_step

#: A step of scores ends well before the activity's timeout, so that its last calls have time too.
SHARE_OF_THE_TIME = 0.4
#: The pause after a step that was cut short, e.g. by a worker that shuts down.
PAUSE = timedelta(seconds=1)


@workflow.defn(name=BATCH_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class PaymentBatchWorkflow:
    """Checks the events of a batch against the rules, asks for their scores, one kind beside the
    other, and keeps them. The rows know the events and what is done of them; the history has
    neither."""

    def __init__(self) -> None:
        self._timings = Timings()
        self._status = "validating"

    @workflow.run
    async def run(self, ref: BatchRef) -> BatchResult:
        valid: BatchValidated = await local_step(activities.validate_payment_batch, ref)
        self._timings = valid.timings
        self._status = "scoring"
        await asyncio.gather(*(self._score(ref, step) for step in valid.steps))
        self._status = "persisting"
        result: BatchResult = await local_step(
            activities.persist_payment_batch,
            BatchPersist(ref.batch_id, workflow.info().run_id),
            timings=self._timings,
        )
        self._status = result.status
        return result

    @workflow.query
    def get_status(self) -> str:
        """`validating`, `scoring`, `persisting` or `completed`."""
        return self._status

    async def _score(self, ref: BatchRef, step: str) -> None:
        asked = BatchScore(ref.batch_id, step, self._timings.activity * SHARE_OF_THE_TIME)
        waited = 0
        while True:
            scored = await remote_step(
                activities.score_payment_batch, asked, timings=self._timings, retry=WITHOUT_END
            )
            if not scored.waiting:
                return
            if scored.waiting == waited:
                await workflow.sleep(PAUSE)
            waited = scored.waiting
