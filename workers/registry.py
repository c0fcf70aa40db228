"""Task queues with their workflows and activities. A new workflow or activity is one line here.

The worker's process imports this module, workflows never do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from apps.approvals.activities.bulk import ACTIVITIES as BULK_ACTIVITIES
from apps.approvals.activities.clock import ACTIVITIES as CLOCK_ACTIVITIES
from apps.approvals.contracts import TASK_QUEUE as APPROVALS
from apps.automations.activities import ACTIVITIES as AUTOMATION_ACTIVITIES
from apps.automations.contracts import TASK_QUEUE as AUTOMATIONS
from apps.bookings.activities.bookings import ACTIVITIES as BOOKING_ACTIVITIES
from apps.bookings.activities.trips import ACTIVITIES as TRIP_ACTIVITIES
from apps.bookings.contracts import TASK_QUEUE as BOOKINGS
from apps.interventions.activities import ACTIVITIES as INTERVENTION_ACTIVITIES
from apps.interventions.contracts import TASK_QUEUE as INTERVENTIONS
from apps.payments.activities import ACTIVITIES as PAYMENT_ACTIVITIES
from apps.payments.contracts import TASK_QUEUE as PAYMENTS
from apps.pix.activities.claims import ACTIVITIES as CLAIM_ACTIVITIES
from apps.pix.activities.entries import ACTIVITIES as ENTRY_ACTIVITIES
from apps.pix.activities.infractions import ACTIVITIES as INFRACTION_ACTIVITIES
from apps.pix.activities.sync import ACTIVITIES as SYNC_ACTIVITIES
from apps.pix.contracts import TASK_QUEUE as PIX
from apps.wallets.activities import ACTIVITIES as TOPUP_ACTIVITIES
from workers.workflows.approvals import ApprovalClockWorkflow
from workers.workflows.automations import WorkflowExecution, WorkflowValidation
from workers.workflows.batches import BatchInterventionWorkflow
from workers.workflows.bookings import BookRideAlias, BookRideWorkflow
from workers.workflows.bulk import BulkDecideWorkflow
from workers.workflows.claims import ClaimWorkflow
from workers.workflows.diagnostics import PingWorkflow
from workers.workflows.entries import (
    CreateEntryWorkflow,
    DeleteEntryWorkflow,
    UpdateEntryWorkflow,
)
from workers.workflows.infractions import InvestigateInfractionWorkflow
from workers.workflows.interventions import (
    ExecuteInterventionWorkflow,
    InterventionApprovalWorkflow,
    ReconcileInterventionsWorkflow,
)
from workers.workflows.payment_batches import PaymentBatchWorkflow
from workers.workflows.payments import PaymentEventWorkflow
from workers.workflows.refunds import RefundWorkflow
from workers.workflows.replays import ReplayRunWorkflow
from workers.workflows.reviews import DLQReviewWorkflow
from workers.workflows.syncs import VSyncSchedulerWorkflow, VSyncWorkflow
from workers.workflows.topups import WalletTopUpAlias, WalletTopUpWorkflow
from workers.workflows.trips import FleetAlias, FleetWorkflow, TripCancellationWorkflow


@dataclass(frozen=True)
class QueueSpec:
    """One task queue. A limit of 0 means the value of the settings (`MAX_CONCURRENT_…`). `keeps`:
    its slots were asked for by name, and are never scaled down."""

    name: str
    workflows: Sequence[type]
    activities: Sequence[Callable[..., Any]] = ()
    max_workflows: int = 0
    max_activities: int = 0
    keeps: bool = False
    #: Workflow types without a row in the mirror (`WorkflowRun`), because no person looks at them.
    unmirrored: Sequence[type] = ()


QUEUES: dict[str, QueueSpec] = {
    spec.name: spec
    for spec in (
        QueueSpec(
            name=INTERVENTIONS,
            workflows=[
                InterventionApprovalWorkflow,
                ExecuteInterventionWorkflow,
                BatchInterventionWorkflow,
                ReconcileInterventionsWorkflow,
            ],
            # The approval workflow keeps the clock of its requests (workers.approval_wait).
            activities=[*INTERVENTION_ACTIVITIES, *CLOCK_ACTIVITIES],
            # Runs every few minutes and belongs to no row.
            unmirrored=[ReconcileInterventionsWorkflow],
        ),
        QueueSpec(
            name=APPROVALS,
            workflows=[ApprovalClockWorkflow, BulkDecideWorkflow],
            activities=[*CLOCK_ACTIVITIES, *BULK_ACTIVITIES],
            # Clocks wait and bulk decisions queue, so that threads stay free for work that people
            # wait for.
            max_workflows=20,
            max_activities=10,
        ),
        QueueSpec(
            name=BOOKINGS,
            workflows=[
                BookRideWorkflow,
                BookRideAlias,
                RefundWorkflow,
                TripCancellationWorkflow,
                FleetWorkflow,
                FleetAlias,
                WalletTopUpWorkflow,
                WalletTopUpAlias,
            ],
            activities=[*BOOKING_ACTIVITIES, *TRIP_ACTIVITIES, *TOPUP_ACTIVITIES],
            max_workflows=10,
            max_activities=10,
        ),
        QueueSpec(
            name=PAYMENTS,
            workflows=[
                PaymentEventWorkflow,
                PaymentBatchWorkflow,
                DLQReviewWorkflow,
                ReplayRunWorkflow,
            ],
            activities=PAYMENT_ACTIVITIES,
            # A row has the event's story: the mirror would be a second table of the same size.
            unmirrored=[PaymentEventWorkflow, PaymentBatchWorkflow, DLQReviewWorkflow],
        ),
        QueueSpec(
            name=AUTOMATIONS,
            workflows=[WorkflowExecution, WorkflowValidation],
            activities=AUTOMATION_ACTIVITIES,
            max_workflows=settings.TEMPORAL_MAX_CONCURRENT_WORKFLOWS,
            max_activities=settings.TEMPORAL_MAX_CONCURRENT_ACTIVITIES,
            keeps=settings.TEMPORAL_MAX_CONCURRENT_ACTIVITIES_EXPLICIT,
            # Answers at once, and belongs to no row.
            unmirrored=[WorkflowValidation],
        ),
        QueueSpec(
            name=PIX,
            workflows=[
                ClaimWorkflow,
                CreateEntryWorkflow,
                UpdateEntryWorkflow,
                DeleteEntryWorkflow,
                InvestigateInfractionWorkflow,
                VSyncWorkflow,
                VSyncSchedulerWorkflow,
            ],
            # Claims, infractions and synchronisations keep the clocks of their requests.
            activities=[
                *CLAIM_ACTIVITIES,
                *ENTRY_ACTIVITIES,
                *INFRACTION_ACTIVITIES,
                *SYNC_ACTIVITIES,
                *CLOCK_ACTIVITIES,
            ],
        ),
        QueueSpec(name="diagnostics", workflows=[PingWorkflow], unmirrored=[PingWorkflow]),
    )
}


class UnknownQueue(Exception):
    """Names a queue that nothing here serves."""


def chosen(names: Sequence[str] = ()) -> list[QueueSpec]:
    """Return the queues of these names, else of TEMPORAL_TASK_QUEUE, else all. Raises
    UnknownQueue."""
    wanted = list(dict.fromkeys(names or settings.TEMPORAL_TASK_QUEUES))
    if unknown := [name for name in wanted if name not in QUEUES]:
        raise UnknownQueue(
            f"Unknown queue: {', '.join(unknown)}. Queues: {', '.join(sorted(QUEUES))}."
        )
    return [QUEUES[name] for name in wanted] or list(QUEUES.values())
