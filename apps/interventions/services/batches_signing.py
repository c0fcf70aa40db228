"""The one signature of a batch: on its total, by its policy's rule, with every payment listed."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.contracts import RequestStatus
from apps.approvals.models import ApprovalRequest, PayloadVersion
from apps.approvals.services import (
    request_expire,
    request_open,
    signals_judge,
    signature_needed,
)
from apps.audit.contracts import ENGINE, Actor
from apps.audit.services import refusals
from apps.common.canonical_json import digest, plain
from apps.common.errors import Conflict
from apps.engine import process, runs
from apps.interventions.contracts import (
    BATCH_KIND,
    BATCH_SUBJECT,
    BatchFacts,
    BatchStatus,
)
from apps.interventions.models import BatchItem, Intervention, InterventionBatch
from apps.interventions.services.batches_rows import (
    BATCH,
    RUN,
    batch_facts,
    batch_lock,
    batch_request_key,
    batch_request_of,
)

#: What of an item stands in the payload, in this order.
ITEM_FIELDS = ("number", "amount", "target", "justification", "region")


def batch_open(*, batch_id: UUID | str, workflow_id: str, as_of: datetime) -> BatchFacts:
    """Ask for the signatures that the policy's rule wants for the total; without any it runs.

    Again is a look at how it stands. Raises NotFound, Conflict `not_its_workflow`, and what the
    rule refuses.
    """
    with (
        refusals(
            action=f"{BATCH_SUBJECT}.open",
            subject_type=BATCH_SUBJECT,
            subject_id=str(batch_id),
            by=ENGINE,
            via="engine",
        ),
        transaction.atomic(durable=True),
    ):
        batch = batch_lock(batch_id)
        runs.check_carrier(RUN, batch, workflow_id)
        if batch.status == BatchStatus.PENDING:
            _ask(batch, as_of=as_of)
        return batch_facts(batch)


def batch_read(*, batch_id: UUID | str, signals: Iterable[str] = ()) -> BatchFacts:
    """How it stands now. Raises NotFound.

    `signals` woke the workflow: those that find the request open and that nobody here has sent are
    audited.
    """
    batch = InterventionBatch.objects.filter(pk=process.id_of(BATCH, batch_id)).first()
    if batch is None:
        raise process.unknown(BATCH)
    facts = batch_facts(batch)
    if facts.request_id:
        signals_judge(request_id=facts.request_id, commands=signals)
    return facts


def batch_expire(*, batch_id: UUID | str, as_of: datetime) -> BatchFacts:
    """The time to sign is over at `as_of`: request and batch end together.

    No-op when somebody decided in time, and before its time.
    """
    with transaction.atomic(durable=True):
        batch = batch_lock(batch_id)
        request = batch_request_of(batch.pk)
        if request is None or batch.status != BatchStatus.PENDING:
            return batch_facts(batch)
        try:
            request = request_expire(request_id=request.pk, as_of=as_of)
        except Conflict as refusal:
            if refusal.code != "not_due":
                raise
            return batch_facts(batch)
        if request.status == RequestStatus.EXPIRED:
            _reject(batch, "expired", "Nobody signed in time.", as_of=as_of)
        return batch_facts(batch)


def batch_refuse(*, batch_id: UUID | str, code: str, detail: str, as_of: datetime) -> BatchFacts:
    """It could not even be asked for: the batch ends as rejected, with why. No-op once it ended."""
    with transaction.atomic(durable=True):
        batch = batch_lock(batch_id)
        if batch.status == BatchStatus.PENDING:
            _reject(batch, code, detail, as_of=as_of)
        return batch_facts(batch)


def batch_settled(*, request: ApprovalRequest, by: User | None, via: str, as_of: datetime) -> None:
    """The decision, on the row: signed it runs, rejected is the end of it.

    Joins the transaction of the signature; the workflow learns of it by signal and re-reads.
    Conflict `batch_differs` when what was signed is not what is in the batch: a last guard, the
    tables let neither change.
    """
    batch = batch_lock(request.subject_id)
    if batch.status != BatchStatus.PENDING:
        return
    if request.status == RequestStatus.APPROVED:
        if _signed_digest(request) != batch.items_digest:
            raise Conflict("What was signed is not this batch.", code="batch_differs")
        _run(batch, by=by or ENGINE, via=via, as_of=as_of)
    elif request.status == RequestStatus.REJECTED:
        runs.end(
            RUN,
            batch,
            BatchStatus.REJECTED,
            code="rejected",
            detail=request.settled_reason,
            by=by or ENGINE,
            via=via,
            as_of=as_of,
        )


def signed_with_batch(intervention: Intervention) -> bool:
    """Whether it is, to the cent and the letter, an item of a batch that was signed, or of one
    whose total needs no signature. Its policy's rule is not asked about the single amount."""
    item = (
        BatchItem.objects.select_related("batch")
        .filter(intervention=intervention, batch=intervention.batch_id)
        .first()
    )
    if item is None or not _is_this(item, intervention):
        return False
    request = batch_request_of(item.batch_id)
    if request is not None:
        # Of a signed one the digest was compared when it was signed; neither side can change.
        return request.status == RequestStatus.APPROVED and item.batch.started_at is not None
    return item.batch.started_at is not None and not signature_needed(
        kind=BATCH_KIND,
        scope=intervention.policy.code,
        amount=item.batch.amount,
        currency=item.batch.currency,
        requested_by=intervention.requested_by,
    )


def batch_payload(batch: InterventionBatch) -> dict[str, Any]:
    """What is signed: where all of the money goes, payment by payment, as it was asked for."""
    rows = batch.items.filter(amount__isnull=False).order_by("number").values_list(*ITEM_FIELDS)
    items = [[number, f"{amount:.2f}", *rest] for number, amount, *rest in rows.iterator()]
    payload: dict[str, Any] = plain(
        {
            "batch": batch.pk,
            "policy": batch.policy.code,
            "policy_version": batch.policy.version,
            "reversible": batch.policy.reversible,
            "budget": batch.budget.code,
            "currency": batch.currency,
            "total_amount": f"{batch.amount:.2f}",
            "count": len(items),
            "columns": list(ITEM_FIELDS),
            "items": items,
            "items_digest": batch.items_digest,
            "requested_by": batch.requested_by.audit_id,
        }
    )
    return payload


def _ask(batch: InterventionBatch, *, as_of: datetime) -> None:
    payload = batch_payload(batch)
    if digest(payload["items"]) != batch.items_digest:
        raise Conflict("The items are not those that were asked for.", code="batch_differs")
    request = request_open(
        key=batch_request_key(batch.pk),
        kind=BATCH_KIND,
        scope=batch.policy.code,
        title=f"Batch: {batch}"[:200],
        subject_type=BATCH_SUBJECT,
        subject_id=str(batch.pk),
        workflow_id=batch.workflow_id,
        requested_by=batch.requested_by,
        amount=batch.amount,
        currency=batch.currency,
        payload=payload,
        as_of=as_of,
    )
    if request is None or request.status == RequestStatus.APPROVED:
        _run(batch, by=ENGINE, via="engine", as_of=as_of, signature_needed=request is not None)
    elif request.status != RequestStatus.OPEN:
        # A restored backup may know the answer and not what followed from it.
        _reject(batch, request.status, request.settled_reason, as_of=as_of)


def _run(batch: InterventionBatch, *, by: Actor, via: str, as_of: datetime, **body: object) -> None:
    batch.status = BatchStatus.RUNNING
    batch.started_at = max(as_of, batch.created_at)
    process.save(BATCH, batch, "status", "started_at")
    RUN.record(batch, "running", by=by, via=via, **body)


def _reject(batch: InterventionBatch, code: str, detail: str, *, as_of: datetime) -> None:
    runs.end(RUN, batch, BatchStatus.REJECTED, code=code, detail=detail, as_of=as_of)


def _signed_digest(request: ApprovalRequest) -> str:
    """The digest in what was signed, without the list of payments beside it."""
    versions = PayloadVersion.objects.filter(request=request, number=request.payload_number)
    return str(versions.values_list("payload__items_digest", flat=True).get())


def _is_this(item: BatchItem, intervention: Intervention) -> bool:
    batch = item.batch
    return (
        item.amount,
        item.target,
        item.justification,
        item.region,
        batch.policy_id,
        batch.budget_id,
        batch.currency,
        batch.requested_by_id,
    ) == (
        intervention.amount,
        intervention.target,
        intervention.justification,
        intervention.region,
        intervention.policy_id,
        intervention.budget_id,
        intervention.currency,
        intervention.requested_by_id,
    )
