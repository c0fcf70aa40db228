"""Works through a bulk decision, item by item.

Every item is a transaction of its own. It locks the subject's row, the request's row, the item's
row, and last the bulk decision's counters: signature, item and count commit together or not at all.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.contracts import SUBJECT_TYPE, BulkProgress
from apps.approvals.models import ApprovalRequest, BulkItem
from apps.approvals.services.bulk_rows import RUN
from apps.approvals.services.deciding import decision_sign
from apps.audit.contracts import Outcome
from apps.audit.services import entry_record
from apps.common.errors import DomainError
from apps.engine import runs


def bulk_run(
    *,
    bulk_id: UUID | str,
    workflow_id: str,
    limit: int,
    seconds: float,
    interrupted: Callable[[], bool] = lambda: False,
) -> BulkProgress:
    """Work through at most `limit` waiting items; start none after `seconds` or when interrupted.

    Safe to repeat at any point, and to run twice at once. Raises what `runs.work_through` raises.
    """
    bulk = runs.work_through(
        RUN,
        bulk_id,
        workflow_id=workflow_id,
        limit=limit,
        seconds=seconds,
        do=lambda pk: item_decide(item_id=pk, as_of=timezone.now()),
        interrupted=interrupted,
    )
    return BulkProgress(
        bulk_id=str(bulk.pk),
        status=bulk.status,
        total=bulk.total,
        done=bulk.done,
        failed=bulk.failed,
        # Resumed under another workflow: this one has nothing left to do.
        ended=not bulk.runs or bulk.workflow_id != workflow_id,
    )


def item_decide(*, item_id: int, as_of: datetime) -> str:
    """Sign one waiting item in the name of who started the bulk decision; return its new status.

    A refusal is audited as for any decision. The guarantees of `runs.item_do` apply.
    """
    rows = BulkItem.objects.select_related("bulk__requested_by", "asked_authority", "request")
    item = rows.get(pk=item_id)
    bulk = item.bulk

    def sign() -> dict[str, object]:
        signed = decision_sign(
            request_id=item.request_id,
            by=bulk.requested_by,
            verdict=bulk.verdict,
            reason=bulk.reason,
            payload_hash=item.payload_hash,
            via="bulk",
            as_of=as_of,
            # If the user asked for their own authority, never replace it by a delegated one.
            on_behalf_of=item.asked_authority,
            tier=item.tier,
            reason_code=bulk.reason_codes.get(item.request.kind, ""),
        )
        return {"authority_id": _authority_of(signed, bulk.requested_by)}

    def refused(refusal: DomainError) -> None:
        entry_record(
            action="approval.decide",
            subject_type=SUBJECT_TYPE,
            subject_id=str(item.request_id),
            by=bulk.requested_by,
            via="bulk",
            outcome=Outcome.REFUSED,
            code=refusal.code,
            body={**refusal.extra, "detail": refusal.detail},
        )

    return runs.item_do(RUN, item, sign, refused=refused, as_of=as_of)


def _authority_of(signed: ApprovalRequest, actor: User) -> int:
    """Return the authority of the signature that the actor just gave."""
    signatures = [s for s in signed.signatures.all() if s.actor_id == actor.pk]
    return max(signatures, key=lambda signature: signature.pk).authority_id
