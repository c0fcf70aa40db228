"""The activity of bulk decisions: it works through one chunk of items, with heartbeats."""

from collections.abc import Callable
from typing import Any

from temporalio import activity

from apps.approvals import services
from apps.approvals.contracts import BulkChunk, BulkProgress
from apps.engine.heartbeats import heartbeating


# The loop checks for cancellation between two items. An exception raised in the thread could
# interrupt an item halfway.
@activity.defn(name="decide_items", no_thread_cancel_exception=True)
def decide_items(input: BulkChunk) -> BulkProgress:
    return heartbeating(
        services.bulk_run,
        bulk_id=input.bulk_id,
        workflow_id=activity.info().workflow_id or "",
        limit=input.limit,
        seconds=input.seconds,
        interrupted=_interrupted,
    )


ACTIVITIES: list[Callable[..., Any]] = [decide_items]


def _interrupted() -> bool:
    return activity.is_cancelled() or activity.is_worker_shutdown()
