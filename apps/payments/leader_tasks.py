"""Tasks of the relay's leader: admit events, find events and batches that nobody carries, open the
reviews of events that wait for a person, tell of groups that grow, and delete payloads that are not
needed any more."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from apps.engine.error_policy import workflow_is_unknown
from apps.engine.leader_tasks import Duty, Leader, OwnThread, register
from apps.payments.contracts import Stage
from apps.payments.models import Intake
from apps.payments.services import (
    admission,
    alerting,
    batches,
    carrying,
    retention,
    reviews,
)

RECONCILE_SECONDS = 60.0
ALERT_SECONDS = 30.0
REVIEW_SECONDS = 5.0
FORGET_SECONDS = 600.0
MOST_STALE = 200
DESCRIBE = timedelta(seconds=5)


def duties() -> list[Duty]:
    """Return the tasks with the settings' periods."""
    admit = OwnThread("payments_admit", admission.events_admit)
    return [
        Duty("payments_admit", settings.PAYMENTS_ADMIT_SECONDS, admit),
        Duty("payments_reconcile", RECONCILE_SECONDS, reconcile),
        Duty("quarantine_alerts", ALERT_SECONDS, alert),
        Duty("quarantine_reviews", REVIEW_SECONDS, review),
        Duty("payments_forget", FORGET_SECONDS, forget),
    ]


def register_all() -> None:
    """Give the tasks to the engine."""
    register("payment_events", duties)


async def reconcile(leader: Leader) -> bool:
    """Look at admitted events that are late: one that Temporal does not know is started again; one
    whose workflow was ended from outside goes to the quarantine; one that runs is left alone.
    Batches that nobody carries let their events go."""
    await _release_batches(leader)
    stale = await leader.threads.run(admission.events_stale, now=timezone.now(), limit=MOST_STALE)
    client = await leader.client() if stale else None
    for row in stale:
        if await leader.threads.run(admission.start_is_under_way, row):
            continue
        try:
            assert client is not None
            found = await client.get_workflow_handle(row.event_id).describe(rpc_timeout=DESCRIBE)
        except RPCError as error:
            if not workflow_is_unknown(error):
                raise
            await leader.threads.run(admission.event_start_again, intake_id=row.pk)
            continue
        if found.close_time is not None:
            await leader.threads.run(_ended, row, found.status.name.lower() if found.status else "")
    return False


async def alert(leader: Leader) -> bool:
    """Tell of groups that have grown; return whether there may be more."""
    told = await leader.threads.run(alerting.groups_alert, now=timezone.now())
    return told >= alerting.MOST_GROUPS


async def review(leader: Leader) -> bool:
    """Open the reviews of events that wait; return whether there may be more."""
    opened = await leader.threads.run(reviews.reviews_open)
    return opened >= reviews.MOST_AT_ONCE


async def forget(leader: Leader) -> bool:
    """Delete a step of old payloads; return whether there may be more."""
    deleted = await leader.threads.run(retention.payloads_delete, now=timezone.now())
    return deleted >= retention.STEP


async def _release_batches(leader: Leader) -> None:
    """Let the events of late batches go whose workflow Temporal does not know, or that has ended.
    Where it has failed by itself an event may be why: then each gets a workflow of its own."""
    stale = await leader.threads.run(batches.batches_stale, now=timezone.now(), limit=MOST_STALE)
    client = await leader.client() if stale else None
    for batch in stale:
        alone = False
        try:
            assert client is not None
            handle = client.get_workflow_handle(batch.workflow_id)
            found = await handle.describe(rpc_timeout=DESCRIBE)
            if found.close_time is None:
                continue
            alone = found.status == WorkflowExecutionStatus.FAILED
        except RPCError as error:
            if not workflow_is_unknown(error):
                raise
        await leader.threads.run(batches.batch_release, batch_id=batch.pk, alone=alone)


def _ended(row: Intake, status: str) -> None:
    carrying.event_quarantine(
        event_id=row.event_id,
        stage=Stage.ENGINE,
        code="workflow_terminated",
        detail=f"Its workflow has ended in the engine ({status}) before the event was kept.",
    )
