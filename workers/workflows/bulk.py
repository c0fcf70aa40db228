"""Bulk decisions: chunk after chunk until no item waits, or until stopped.

The rows have the state of all items; the workflow only keeps an activity working.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from apps.approvals.activities import bulk as activities
    from apps.approvals.contracts import BULK_WORKFLOW, BulkChunk, BulkProgress, BulkRef
    from workers.steps import remote_step

#: A chunk ends well before the activity's timeout, so that the last item has time too.
SHARE_OF_THE_TIME = 0.4
#: The pause after a chunk that was cut short, e.g. by a worker that shuts down.
PAUSE = timedelta(seconds=1)


@workflow.defn(name=BULK_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class BulkDecideWorkflow:
    """Runs an activity for each chunk, whatever the outcomes, so that the history stays small."""

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
