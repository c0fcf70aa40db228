"""Transfers: money from one budget to another, moved by the signature that approves it.

There is no workflow: what an approval does is two lines and two balances, in the transaction of the
decision. Order of locks: the transfer, its request, then both budgets by their ids.
"""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.urls import reverse

from apps.accounts.models import User
from apps.approvals.contracts import RequestStatus
from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors import current_payload
from apps.approvals.services import request_cancel, request_open
from apps.audit.contracts import ENGINE, Actor
from apps.audit.services import entry_record, refusals
from apps.common.canonical_json import digest, plain
from apps.common.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.common.idempotency import asked_before, clean_key, save_or_known
from apps.common.identifiers import uuid_of
from apps.common.money import shown
from apps.common.validation import clean_amount, clean_code, clean_text
from apps.interventions.contracts import TRANSFER_KIND, TransferStatus
from apps.interventions.models import Budget, BudgetEntry, BudgetTransfer
from apps.interventions.services.balances import Move, balance_move
from apps.live.broadcast import broadcast
from apps.notifications.services import notify

REQUEST_TRANSFER = "interventions.request_budgettransfer"
#: In the audit trail, in links and in live topics.
SUBJECT = "budget_transfer"
Kind = BudgetEntry.Kind

_ENDS = {
    RequestStatus.REJECTED: TransferStatus.REJECTED,
    RequestStatus.EXPIRED: TransferStatus.EXPIRED,
    RequestStatus.CANCELLED: TransferStatus.CANCELLED,
}


def transfer_request(
    *,
    source: str,
    destination: str,
    amount: Decimal,
    reason: str,
    by: User,
    via: str,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[BudgetTransfer, bool]:
    """Ask to move `amount` (major units of both budgets' currency); the row, and whether it is new.

    Row, audit entry and the request for a signature commit together; nothing is moved or held yet.
    The same key of the same person again: the same row, also when two come at once. Raises, each
    audited: NotAllowed `permission_denied`; Invalid `amount_invalid`, `reason_invalid`,
    `invisible_characters`, `code_invalid`, `idempotency_key_invalid`, `same_budget`,
    `currency_mismatch`; NotFound `budget_not_found`; Conflict `budget_exceeded` (extra available),
    `idempotency_key_reused`.
    """
    with refusals(
        action="budget.transfer_request", subject_type=SUBJECT, subject_id="", by=by, via=via
    ):
        if not by.has_perm(REQUEST_TRANSFER):
            raise NotAllowed("You may not ask for transfers.", code="permission_denied")
        body: dict[str, Any] = {
            "source": clean_code(source),
            "destination": clean_code(destination),
            "amount": clean_amount(amount),
            "reason": clean_text(reason, field="reason", limit=2000, multiline=True),
        }
        if source == destination:
            raise Invalid("Money moves between two different budgets.", code="same_budget")
        key = clean_key(idempotency_key)
        body_digest = digest(body)
        rows = BudgetTransfer.objects.for_list()
        before = partial(asked_before, rows, by=by, key=key, digest=body_digest)
        with transaction.atomic(durable=True):
            # Before what is true today: a repeat is answered as the first was.
            if known := before():
                return known, False
            giving, taking = _budgets(source, destination)
            clean_amount(amount, giving.currency)
            _check_covered(giving, body["amount"])
            transfer = BudgetTransfer(
                source=giving,
                destination=taking,
                amount=body["amount"],
                currency=giving.currency,
                reason=body["reason"],
                requested_by=by,
                idempotency_key=key,
                request_digest=body_digest,
                created_at=as_of,
            )
            if known := save_or_known(transfer, before):
                return known, False
            _record(transfer, "requested", by=by, via=via, **body)
            request_open(
                key=_approval_key(transfer),
                kind=TRANSFER_KIND,
                scope=giving.code,
                title=_title(transfer),
                subject_type=SUBJECT,
                subject_id=str(transfer.pk),
                workflow_id="",
                requested_by=by,
                amount=transfer.amount,
                currency=transfer.currency,
                payload=transfer_payload(transfer),
                as_of=as_of,
            )
            _announce(transfer)
        return transfer, True


def transfer_settled(
    *, request: ApprovalRequest, by: User | None, via: str, as_of: datetime
) -> None:
    """The decision, on the row: approved moves the money, anything else is the end of it.

    Joins the transaction of the signature. A source that does not cover it any more, or a row that
    is not what was signed: the decision stands, the transfer has failed, and who asked is told.
    """
    transfer = transfer_lock(request.subject_id)
    if TransferStatus(transfer.status).terminal:
        return
    who = by or ENGINE
    if request.status == RequestStatus.APPROVED:
        signed = current_payload(request).payload
        _carry_out(transfer, signed, by=who, via=via, as_of=as_of)
    elif request.status in _ENDS:
        status = _ENDS[RequestStatus(request.status)]
        detail = request.settled_reason or "Nobody signed in time."
        _end(transfer, status, code=status, detail=detail, by=who, via=via, as_of=as_of)


def transfer_cancel(
    *, transfer_id: UUID | str, by: User, via: str, reason: str = "", as_of: datetime
) -> BudgetTransfer:
    """Take it back while it waits; its request is closed with it. For who asked.

    Raises, each audited: NotFound (also when the person may not see it); NotAllowed
    `permission_denied`; Conflict `already_settled` (extra status); Invalid `reason_invalid`,
    `invisible_characters`.
    """
    with refusals(
        action="budget.transfer_cancel",
        subject_type=SUBJECT,
        subject_id=str(transfer_id)[:80],
        by=by,
        via=via,
    ):
        if reason.strip():
            reason = clean_text(reason, field="reason", limit=2000, multiline=True)
        with transaction.atomic(durable=True):
            transfer = transfer_lock(transfer_id)
            if not BudgetTransfer.objects.visible_to(by).filter(pk=transfer.pk).exists():
                raise NotFound("There is no such transfer.")
            if transfer.requested_by_id != by.pk:
                raise NotAllowed("Only who asked takes it back.", code="permission_denied")
            _check_waits(transfer)
            why = reason.strip() or f"Taken back by {by}."
            if request := transfer_approval(transfer):
                request_cancel(request_id=request.pk, by=by, reason=why, as_of=as_of)
            _end(
                transfer,
                TransferStatus.CANCELLED,
                code="cancelled",
                detail=why,
                by=by,
                via=via,
                as_of=as_of,
            )
        return transfer


# --- reads that doors and the approval share ------------------------------------------------------
def transfer_lock(transfer_id: UUID | str) -> BudgetTransfer:
    """The row, locked until the end of the transaction, with its budgets and requester."""
    rows = BudgetTransfer.objects.select_for_update(of=("self",), no_key=True).select_related(
        "source", "destination", "requested_by"
    )
    pk = uuid_of(transfer_id)
    row = rows.filter(pk=pk).first() if pk else None
    if row is None:
        raise NotFound("There is no such transfer.")
    return row


def transfer_approval(transfer: BudgetTransfer) -> ApprovalRequest | None:
    """Its request for a signature."""
    return ApprovalRequest.objects.filter(key=_approval_key(transfer)).first()


def transfer_payload(transfer: BudgetTransfer) -> dict[str, Any]:
    """What is signed: everything that decides what is moved."""
    payload: dict[str, Any] = plain(
        {
            "transfer": transfer.pk,
            "source": transfer.source.code,
            "destination": transfer.destination.code,
            "amount": f"{transfer.amount:.2f}",
            "currency": transfer.currency,
            "reason": transfer.reason,
            "requested_by": transfer.requested_by.audit_id,
        }
    )
    return payload


# --- the move -------------------------------------------------------------------------------------
class _NotMoved(Exception):
    """It cannot be done as it was signed: the savepoint takes the lines back."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def _carry_out(
    transfer: BudgetTransfer, signed: dict[str, Any], *, by: Actor, via: str, as_of: datetime
) -> None:
    # By id, whichever gives: two that cross would else wait for each other.
    both = Budget.objects.filter(pk__in=[transfer.source_id, transfer.destination_id])
    list(both.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    try:
        if signed != transfer_payload(transfer):
            raise _NotMoved("not_as_signed", "The row is not what was signed.")
        with transaction.atomic():
            _move(transfer)
    except _NotMoved as trouble:
        _end(
            transfer,
            TransferStatus.FAILED,
            code=trouble.code,
            detail=trouble.detail,
            by=by,
            via=via,
            as_of=as_of,
        )
        _tell_failed(transfer)
        return
    _end(transfer, TransferStatus.DONE, by=by, via=via, as_of=as_of)


def _move(transfer: BudgetTransfer) -> None:
    amount, key = transfer.amount, f"transfer:{transfer.pk}"
    out = Move(Kind.TRANSFER_OUT, amount, f"{key}:out", transfer=transfer.pk)
    into = Move(Kind.TRANSFER_IN, amount, f"{key}:in", transfer=transfer.pk)
    if not balance_move(transfer.source, out).covered:
        source = Budget.objects.get(pk=transfer.source_id)
        raise _NotMoved(
            "budget_exceeded",
            f"The budget {source.code} has only {shown(source.available, source.currency)} left.",
        )
    if not balance_move(transfer.destination, into).covered:
        raise _NotMoved("budget_full", f"{transfer.destination.code} cannot hold so much.")


def _end(
    transfer: BudgetTransfer,
    status: TransferStatus,
    *,
    code: str = "",
    detail: str = "",
    by: Actor,
    via: str,
    as_of: datetime,
) -> None:
    transfer.status = status
    transfer.error_code = code
    transfer.error_detail = detail
    transfer.settled_at = as_of
    transfer.version += 1
    transfer.save(update_fields=["status", "error_code", "error_detail", "settled_at", "version"])
    told = {"code": code, "detail": detail} if code else {}
    figures = {"amount": transfer.amount, "currency": transfer.currency}
    names = {"source": transfer.source.code, "destination": transfer.destination.code}
    _record(transfer, status, by=by, via=via, **names, **figures, **told)
    _announce(transfer)


def _tell_failed(transfer: BudgetTransfer) -> None:
    notify(
        key=f"transfer:{transfer.pk}:failed",
        recipients=[transfer.requested_by],
        kind="budget.transfer_failed",
        title=f"Not moved: {_title(transfer)}",
        text=f"It was approved, and nothing was moved. {transfer.error_detail}",
        url=reverse("transfer", args=[transfer.pk]),
    )


# --- helpers --------------------------------------------------------------------------------------
def _budgets(source: str, destination: str) -> tuple[Budget, Budget]:
    found = {one.code: one for one in Budget.objects.filter(code__in=[source, destination])}
    for code in (source, destination):
        if code not in found:
            raise NotFound(f"There is no budget {code}.", code="budget_not_found")
    giving, taking = found[source], found[destination]
    if giving.currency != taking.currency:
        raise Invalid(
            f"{giving.code} is in {giving.currency}, {taking.code} in {taking.currency}.",
            code="currency_mismatch",
        )
    return giving, taking


def _check_covered(budget: Budget, amount: Decimal) -> None:
    if amount > budget.available:
        raise Conflict(
            f"The budget {budget.code} has {shown(budget.available, budget.currency)} left.",
            code="budget_exceeded",
            available=f"{budget.available:.2f}",
        )


def _check_waits(transfer: BudgetTransfer) -> None:
    if TransferStatus(transfer.status).terminal:
        raise Conflict(
            f"The transfer is {transfer.status} already.",
            code="already_settled",
            status=transfer.status,
        )


def _approval_key(transfer: BudgetTransfer) -> str:
    return f"{TRANSFER_KIND}:{transfer.pk}"


def _title(transfer: BudgetTransfer) -> str:
    moved = shown(transfer.amount, transfer.currency)
    return f"Move {moved} from {transfer.source.code} to {transfer.destination.code}"[:200]


def _record(transfer: BudgetTransfer, event: str, *, by: Actor, via: str, **body: object) -> None:
    entry_record(
        action=f"budget.transfer_{event}",
        subject_type=SUBJECT,
        subject_id=str(transfer.pk),
        by=by,
        via=via,
        body=body,
    )


def _announce(transfer: BudgetTransfer) -> None:
    for topic in ("transfers", f"transfer:{transfer.pk}"):
        broadcast(topic, id=str(transfer.pk), version=transfer.version)
