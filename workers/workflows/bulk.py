"""Bulk decisions: chunk after chunk until nothing waits, or until it was stopped.

The rows know what is signed and what waits; this only keeps somebody at it.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from apps.approvals.activities import bulk as activities
    from apps.approvals.contracts import BULK_WORKFLOW, BulkChunk, BulkProgress, BulkRef
    from workers.steps import remote_step

#: A chunk ends well before the activity's time is over: the last item needs time as well.
SHARE_OF_THE_TIME = 0.4
#: Between two chunks that were cut short, e.g. by a worker that ends.
PAUSE = timedelta(seconds=1)


@workflow.defn(name=BULK_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class BulkDecideWorkflow:
    """A few events for each chunk of items, whatever becomes of them: the history stays small."""

    @workflow.run
    async def run(self, ref: BulkRef) -> BulkProgress:
        chunk = BulkChunk(ref.bulk_id, ref.chunk, ref.timings.activity * SHARE_OF_THE_TIME)
        settled = 0
        while True:
            progress = await remote_step(activities.decide_items, chunk, timings=ref.timings)
            if progress.ended:
                return progress
            if progress.done + progress.failed == settled:
                await workflow.sleep(PAUSE)
            settled = progress.done + progress.failed
