"""Refunds to cards: the payment service is asked until it answers, or a person is."""

from dataclasses import replace

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from apps.bookings.activities import bookings as activities
    from apps.bookings.contracts import (
        REFUND,
        REFUND_WORKFLOW,
        RefundInput,
        RefundRef,
        RefundResult,
    )
    from workers.attributes import mark
    from workers.saga import fail
    from workers.steps import OUTSIDE, local_step, remote_step


CALL_TIMEOUT = 60.0


@workflow.defn(name=REFUND_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class RefundWorkflow:
    """Sends one refund, by its key. Without an answer it ends as failed, and the person's decision
    starts it again."""

    @workflow.run
    async def run(self, ref: RefundRef) -> RefundResult:
        mark(REFUND, ref.refund_id)
        input = RefundInput(ref.refund_id)
        timings = replace(ref.timings, activity=CALL_TIMEOUT)
        try:
            return await remote_step(activities.send_refund, input, timings=timings, retry=OUTSIDE)
        except ApplicationError as refused:
            code, detail = refused.type or "refund_failed", refused.message
        except ActivityError as silent:
            code, detail = "refund_unanswered", str(silent.cause or silent)
        asked = replace(input, code=code, detail=detail)
        await local_step(activities.raise_refund_attention, asked, timings=ref.timings)
        fail(code, detail)
