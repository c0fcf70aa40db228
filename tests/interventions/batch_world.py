"""Batches to test with."""

from typing import Any

from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.approvals.signed_runs import finish
from apps.interventions.models import InterventionBatch
from apps.interventions.services import batches, batches_rows, batches_running, batches_signing
from tests.interventions.conftest import World


def payment(number: int = 1, **changes: Any) -> dict[str, Any]:
    """NGN 100.00 to somebody."""
    return {
        "amount": "100.00",
        "target": f"Household {number}",
        "justification": "Cash for food.",
    } | changes


def payments(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [payment(one, **changes) for one in range(1, number + 1)]


def asked(world: World, items: Any = 3, **changes: Any) -> InterventionBatch:
    """A new batch of so many payments, or of these."""
    wanted: dict[str, Any] = {
        "policy": "relief",
        "budget": "main",
        "currency": "NGN",
        "items": payments(items) if isinstance(items, int) else items,
        "by": world.requester,
        "via": "api",
        "as_of": timezone.now(),
    }
    batch, _ = batches.batch_request(**(wanted | changes))
    return batch


def opened(batch: InterventionBatch, **changes: Any) -> Any:
    return batches_signing.SIGNED_BATCH.open(
        batch.pk,
        **{"workflow_id": batch.workflow_id, "as_of": timezone.now()} | changes,
    )


def prepared(batch: InterventionBatch, limit: int = 10, known: Any = (), **changes: Any) -> Any:
    return batches_running.items_prepare(
        batch.pk,
        limit=limit,
        known=known,
        **{"workflow_id": batch.workflow_id, "as_of": timezone.now()} | changes,
    )


def finished(batch: InterventionBatch) -> Any:
    return finish(batches_rows.RUN, batch.pk, workflow_id=batch.workflow_id, as_of=timezone.now())


def statuses(batch: InterventionBatch) -> list[str]:
    return list(batch.items.order_by("number").values_list("status", flat=True))


def codes(batch: InterventionBatch) -> list[str]:
    return list(batch.items.order_by("number").values_list("error_code", flat=True))


def request_of(batch: InterventionBatch) -> ApprovalRequest:
    return ApprovalRequest.objects.get(subject_id=str(batch.pk))


def acting(world: World, batch: InterventionBatch, **changes: Any) -> dict[str, Any]:
    """Arguments of pause, resume and cancel."""
    return {
        "identifier": batch.pk,
        "by": world.requester,
        "via": "api",
        "as_of": timezone.now(),
    } | changes
