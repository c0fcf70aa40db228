"""Working through a bulk decision, item by item.

Every item is a transaction of its own. It locks the subject's row, the request's row, the item's
row, and the bulk decision's counters last: signature, item and count commit together or not at all.
"""

import time
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.contracts import SUBJECT_TYPE, BulkProgress, BulkStatus, ItemStatus
from apps.approvals.models import ApprovalRequest, BulkDecision, BulkItem
from apps.approvals.services.bulk_rows import BULK, announce, get, id_of, lock, record
from apps.approvals.services.deciding import decision_sign
from apps.audit.contracts import ENGINE, Outcome
from apps.audit.services import entry_record
from apps.common import correlation
from apps.common.errors import Conflict, DomainError
from apps.engine import process

logger = correlation.get_logger(__name__)

#: Open pages are told about progress at most this often.
ANNOUNCE_SECONDS = 0.2
_DETAIL_LENGTH = 500


def bulk_run(
    *,
    bulk_id: UUID | str,
    workflow_id: str,
    limit: int,
    seconds: float,
    interrupted: Callable[[], bool] = lambda: False,
) -> BulkProgress:
    """Work through at most `limit` waiting items; begins none after `seconds` or when interrupted.

    Safe to run again at any point, and twice at once: an item has one outcome. The last item ends
    the bulk decision. Raises NotFound, Conflict `not_its_workflow` for another workflow than the
    newest, and the database's error when nothing but items in trouble is left (try again later).
    """
    deadline = time.monotonic() + seconds
    begun = BulkDecision.objects.filter(pk=id_of(bulk_id), status=BulkStatus.PENDING)
    begun.filter(workflow_id=workflow_id).update(
        status=BulkStatus.RUNNING, version=F("version") + 1
    )
    bulk = get(bulk_id)
    if bulk.workflow_id != workflow_id:
        raise Conflict(f"{workflow_id} does not carry it any more.", code="not_its_workflow")
    told = time.monotonic()
    announce(bulk)
    settled = 0
    trouble: OperationalError | None = None
    waiting = bulk.items.filter(status=ItemStatus.WAITING).order_by("number")
    for item_id in list(waiting.values_list("pk", flat=True)[:limit]):
        if interrupted() or (settled and time.monotonic() >= deadline):
            break
        try:
            # Asked again for each: it may have been stopped, or resumed under another workflow.
            if not _carried_by(bulk, workflow_id):
                break
            item_decide(item_id=item_id, as_of=timezone.now())
            settled += 1
        except OperationalError as error:
            # A deadlock or a lock that is held is this item's trouble, and its turn comes again.
            if connection.connection is None or not connection.is_usable():
                raise
            trouble = error
        if time.monotonic() - told >= ANNOUNCE_SECONDS:
            told = time.monotonic()
            announce(get(bulk_id))
    if trouble is not None and not settled:
        raise trouble
    return _progress(_finish(bulk_id, workflow_id), workflow_id)


def item_decide(*, item_id: int, as_of: datetime) -> str:
    """Sign one waiting item, in the name of who began it; its status afterwards.

    Signature and item commit together. A refusal is audited as for any decision, and kept on the
    item with code and detail. An item that has its outcome keeps it. Raises only what the
    database's connection raises.
    """
    item = BulkItem.objects.select_related("bulk__by", "asked_authority", "request").get(pk=item_id)
    if item.status != ItemStatus.WAITING:
        return item.status
    bulk = item.bulk
    try:
        with transaction.atomic(durable=True):
            signed = decision_sign(
                request_id=item.request_id,
                by=bulk.by,
                verdict=bulk.verdict,
                reason=bulk.reason,
                payload_hash=item.payload_hash,
                via="bulk",
                as_of=as_of,
                # One's own, where that was asked for, never becomes a delegated one meanwhile.
                on_behalf_of=item.asked_authority,
                tier=item.tier,
                reason_code=bulk.reason_codes.get(item.request.kind, ""),
            )
            authority_id = _authority_of(signed, bulk.by)
            _settle(item, ItemStatus.DONE, as_of=as_of, authority_id=authority_id)
            return ItemStatus.DONE
    except _HasItsOutcome:
        return _status_of(item)
    except (OperationalError, InterfaceError):
        raise
    except DomainError as error:
        refusal = error
    except Exception:
        # A fault of ours in one item must not keep the others waiting.
        logger.exception("a bulk item failed", bulk=str(bulk.pk), request=str(item.request_id))
        refusal = Conflict("It failed for a reason of ours.", code="internal_error")
    return _refuse(item, refusal, as_of=as_of)


# --- helpers ------------------------------------------------------------------------------------
class _HasItsOutcome(Exception):
    """The item is no longer waiting: a twin was first, or it was stopped. Undoes the signature."""


def _settle(
    item: BulkItem,
    status: ItemStatus,
    *,
    as_of: datetime,
    code: str = "",
    detail: str = "",
    authority_id: int | None = None,
) -> None:
    changed = BulkItem.objects.filter(pk=item.pk, status=ItemStatus.WAITING).update(
        status=status,
        code=code[:60],
        detail=detail[:_DETAIL_LENGTH],
        decided_at=as_of,
        authority_id=authority_id or item.authority_id,
    )
    if not changed:
        raise _HasItsOutcome
    counter = "done" if status == ItemStatus.DONE else "failed"
    BulkDecision.objects.filter(pk=item.bulk_id).update(
        **{counter: F(counter) + 1, "version": F("version") + 1}
    )


def _refuse(item: BulkItem, refusal: DomainError, *, as_of: datetime) -> str:
    """The refusal's entry and the item commit together: a twin that was first has neither twice."""
    try:
        with transaction.atomic(durable=True):
            _settle(item, ItemStatus.FAILED, as_of=as_of, code=refusal.code, detail=refusal.detail)
            entry_record(
                action="approval.decide",
                subject_type=SUBJECT_TYPE,
                subject_id=str(item.request_id),
                by=item.bulk.by,
                via="bulk",
                outcome=Outcome.REFUSED,
                code=refusal.code,
                body={**refusal.extra, "detail": refusal.detail},
            )
    except _HasItsOutcome:
        return _status_of(item)
    return ItemStatus.FAILED


def _finish(bulk_id: UUID | str, workflow_id: str) -> BulkDecision:
    """Completed, when nothing waits any more. Pages are told how it is in any case."""
    with transaction.atomic(durable=True):
        bulk = lock(bulk_id)
        ours = bulk.runs and bulk.workflow_id == workflow_id
        if ours and not bulk.items.filter(status=ItemStatus.WAITING).exists():
            bulk.status = BulkStatus.COMPLETED
            bulk.finished_at = timezone.now()
            process.save(BULK, bulk, "status", "finished_at")
            record(bulk, "completed", by=ENGINE, via="engine")
        announce(bulk)
    return bulk


def _carried_by(bulk: BulkDecision, workflow_id: str) -> bool:
    return BulkDecision.objects.unsettled().filter(pk=bulk.pk, workflow_id=workflow_id).exists()


def _status_of(item: BulkItem) -> str:
    return BulkItem.objects.values_list("status", flat=True).get(pk=item.pk)


def _authority_of(signed: ApprovalRequest, actor: User) -> int:
    """On whose behalf the signature counts that was just given."""
    theirs = [s for s in signed.signatures.all() if s.actor_id == actor.pk]
    return max(theirs, key=lambda signature: signature.pk).authority_id


def _progress(bulk: BulkDecision, workflow_id: str) -> BulkProgress:
    return BulkProgress(
        bulk_id=str(bulk.pk),
        status=bulk.status,
        total=bulk.total,
        done=bulk.done,
        failed=bulk.failed,
        # Resumed under another workflow: this one has nothing left to do.
        ended=not bulk.runs or bulk.workflow_id != workflow_id,
    )
