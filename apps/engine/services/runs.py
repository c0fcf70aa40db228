"""The mirror of runs: reports of runs, and queries of ended workflows."""

from collections.abc import Iterable
from datetime import datetime

from apps.engine.contracts import RunStatus
from apps.engine.mirror import Observation, runs_observe
from apps.engine.models import WorkflowRun


def run_observe(
    *,
    workflow_id: str,
    run_id: str,
    workflow_type: str,
    task_queue: str,
    status: str,
    at: datetime,
    confirmed: bool,
) -> bool:
    """Merge a report of a run; return whether it changed the mirror. Joins the caller's
    transaction.

    `at`: when it started (running) or ended. Never goes back: a confirmed end stays, and an
    unconfirmed one is overwritten only by a later report of the server.
    """
    return bool(
        runs_observe(
            [
                Observation(
                    workflow_id=workflow_id,
                    run_id=run_id,
                    workflow_type=workflow_type,
                    task_queue=task_queue,
                    status=RunStatus(status),
                    started_at=at if status == RunStatus.RUNNING else None,
                    closed_at=None if status == RunStatus.RUNNING else at,
                    seen_at=at,
                    confirmed=confirmed,
                )
            ]
        )
    )


def workflow_is_closed(*, workflow_id: str) -> bool:
    """Return whether the mirror's newest run of the workflow has ended; False when it knows none.

    A run that continued as new goes on under another run id; one that the server has lost is
    started again from its row.
    """
    return workflow_id in workflows_closed(workflow_ids=[workflow_id])


def workflows_closed(*, workflow_ids: Iterable[str]) -> set[str]:
    """Return the workflows that have ended, as `workflow_is_closed`, in one query."""
    newest = (
        WorkflowRun.objects.filter(workflow_id__in=set(workflow_ids))
        .order_by("workflow_id", "-started_at", "-id")
        .distinct("workflow_id")
        .values_list("workflow_id", "status")
    )
    alive = {RunStatus.RUNNING, RunStatus.CONTINUED_AS_NEW, RunStatus.LOST}
    return {workflow_id for workflow_id, status in newest if status not in alive}
