"""Transfers: money from one budget to another, moved by the signature that approves it.

There is no workflow: an approval writes two lines and two balances, in the transaction of the
decision. Lock order: the transfer, its request, then both budgets by id.
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.contracts import Waiting
from apps.approvals.selectors import signed_payload
from apps.approvals.subject import Decided, SignedSubject, questions_close
from apps.audit.contracts import Actor
from apps.audit.services import refusals
from apps.common.canonical_json import digest, plain
from apps.common.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.common.language import filled, for_record
from apps.common.language import lazy as _
from apps.common.money import exact, shown
from apps.common.validation import clean_amount, clean_code, clean_reason, clean_text
from apps.engine import process
from apps.engine.process import SubjectRow
from apps.interventions.contracts import TRANSFER_KIND, TransferStatus
from apps.interventions.models import Budget, BudgetEntry, BudgetTransfer
from apps.interventions.services.balances import Move, balance_move
from apps.notifications.services import notify

REQUEST_TRANSFER = "interventions.request_budgettransfer"
#: The subject's type in the audit trail, in links and in live topics.
SUBJECT = "budget_transfer"
Kind = BudgetEntry.Kind

#: Relations that are fetched with the row.
RELATED = ("source", "destination", "requested_by")


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
    """Request a transfer of `amount` (major units of both budgets' currency); return the row, and
    whether it is new.

    Row, audit entry and the request for a signature commit together; nothing is moved or reserved
    yet. Repeating the key by the same person returns the same row, also for concurrent calls.
    Raises, each audited: NotAllowed `permission_denied`; Invalid `amount_invalid`,
    `reason_invalid`, `invisible_characters`, `code_invalid`, `idempotency_key_invalid`,
    `same_budget`, `currency_mismatch`; NotFound `budget_not_found`; Conflict `budget_exceeded`
    (extra available), `idempotency_key_reused`.
    """
    with refusals(
        action="budget.transfer_request", subject_type=SUBJECT, subject_id="", by=by, via=via
    ):
        if not by.has_perm(REQUEST_TRANSFER):
            raise NotAllowed(_("You may not ask for transfers."), code="permission_denied")
        body: dict[str, Any] = {
            "source": clean_code(source),
            "destination": clean_code(destination),
            "amount": clean_amount(amount),
            "reason": clean_text(reason, field="reason", limit=2000, multiline=True),
        }
        if source == destination:
            raise Invalid(_("Money moves between two different budgets."), code="same_budget")

        def columns() -> dict[str, Any]:
            giving, taking = _budgets(source, destination)
            exactly = clean_amount(amount, giving.currency)
            _check_covered(giving, exactly)
            moved = {"amount": exactly, "currency": giving.currency, "reason": body["reason"]}
            return {"source": giving, "destination": taking, **moved}

        def made(transfer: BudgetTransfer) -> None:
            _record(transfer, "requested", by=by, via=via, **body)
            SIGNED.ask(transfer, as_of=as_of)

        return process.ask_once(
            TRANSFER,
            columns,
            made=made,
            by=by,
            key=idempotency_key,
            digest=digest(body),
            related=RELATED,
            as_of=as_of,
        )


def transfer_cancel(
    *, transfer_id: UUID | str, by: User, via: str, reason: str = "", as_of: datetime
) -> BudgetTransfer:
    """Cancel a waiting transfer and close its request for a signature; only its requester may.

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
        reason = clean_reason(reason)
        with transaction.atomic(durable=True):
            transfer = process.locked(TRANSFER, transfer_id, *RELATED)
            if not BudgetTransfer.objects.visible_to(by).filter(pk=transfer.pk).exists():
                raise process.unknown(TRANSFER)
            if transfer.requested_by_id != by.pk:
                raise NotAllowed(_("Only who asked takes it back."), code="permission_denied")
            process.check_unsettled(TRANSFER, transfer)
            why = reason or for_record(filled(_("Taken back by {by}."), by=by))
            questions_close(TRANSFER, transfer, by=by, reason=why, as_of=as_of)
            _end(transfer, Decided(by, via, as_of, "cancelled", why))
        return transfer


# --- what is signed ------------------------------------------------------------------------------
def transfer_payload(transfer: BudgetTransfer) -> dict[str, Any]:
    """Return the payload to sign: everything that decides what is moved."""
    payload: dict[str, Any] = plain(
        {
            "transfer": transfer.pk,
            "source": transfer.source.code,
            "destination": transfer.destination.code,
            "amount": exact(transfer.amount, transfer.currency),
            "currency": transfer.currency,
            "reason": transfer.reason,
            "requested_by": transfer.requested_by.audit_id,
        }
    )
    return payload


# --- the decision ---------------------------------------------------------------------------------
class _NotMoved(Exception):
    """The transfer cannot be done as it was signed; the savepoint rolls the lines back."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def _approved(transfer: BudgetTransfer, decided: Decided) -> None:
    """Move the money. If the source does not cover the amount any more, or the row differs from
    what was signed, the decision stands, the transfer fails, and the requester is notified."""
    # Locks by id, because two opposite transfers would otherwise deadlock.
    both = Budget.objects.filter(pk__in=[transfer.source_id, transfer.destination_id])
    list(both.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    try:
        if decided.request_id is None or signed_payload(decided.request_id) != transfer_payload(
            transfer
        ):
            raise _NotMoved("not_as_signed", gettext("The row is not what was signed."))
        with transaction.atomic():
            _move(transfer)
    except _NotMoved as trouble:
        why = replace(decided, code=trouble.code, detail=trouble.detail)
        _end(transfer, why, TransferStatus.FAILED)
        _tell_failed(transfer)
        return
    _end(transfer, decided, TransferStatus.DONE)


def _move(transfer: BudgetTransfer) -> None:
    amount, key = transfer.amount, f"transfer:{transfer.pk}"
    out = Move(Kind.TRANSFER_OUT, amount, f"{key}:out", transfer=transfer.pk)
    into = Move(Kind.TRANSFER_IN, amount, f"{key}:in", transfer=transfer.pk)
    if not balance_move(transfer.source, out).covered:
        source = Budget.objects.get(pk=transfer.source_id)
        raise _NotMoved(
            "budget_exceeded",
            gettext("The budget {code} has only {left} left.").format(
                code=source.code, left=shown(source.available, source.currency)
            ),
        )
    if not balance_move(transfer.destination, into).covered:
        raise _NotMoved(
            "budget_full",
            gettext("{code} cannot hold so much.").format(code=transfer.destination.code),
        )


def _end(transfer: BudgetTransfer, decided: Decided, status: TransferStatus | None = None) -> None:
    """End the transfer for good, with `status` or the decision's code."""
    why = {"code": decided.code, "detail": decided.detail}
    end = status or TransferStatus(decided.code)
    process.save(TRANSFER, transfer, *process.ended(transfer, end, as_of=decided.as_of, **why))
    _record(
        transfer,
        transfer.status,
        by=decided.by,
        via=decided.via,
        source=transfer.source.code,
        destination=transfer.destination.code,
        amount=exact(transfer.amount, transfer.currency),
        currency=transfer.currency,
        **(why if decided.code else {}),
    )


def _tell_failed(transfer: BudgetTransfer) -> None:
    notify(
        key=f"transfer:{transfer.pk}:failed",
        recipients=[transfer.requested_by],
        kind="budget.transfer_failed",
        title=gettext("Not moved: {title}").format(title=_title(transfer)),
        text=gettext("It was approved, and nothing was moved. {error_detail}").format(
            error_detail=transfer.error_detail
        ),
        url=reverse("transfer", args=[transfer.pk]),
    )


# --- helpers --------------------------------------------------------------------------------------
def _budgets(source: str, destination: str) -> tuple[Budget, Budget]:
    found = {one.code: one for one in Budget.objects.filter(code__in=[source, destination])}
    for code in (source, destination):
        if code not in found:
            raise NotFound(
                filled(_("There is no budget {code}."), code=code), code="budget_not_found"
            )
    giving, taking = found[source], found[destination]
    if giving.currency != taking.currency:
        raise Invalid(
            filled(
                _("{code} is in {currency}, {taking_code} in {currency2}."),
                code=giving.code,
                currency=giving.currency,
                taking_code=taking.code,
                currency2=taking.currency,
            ),
            code="currency_mismatch",
        )
    return giving, taking


def _check_covered(budget: Budget, amount: Decimal) -> None:
    if amount > budget.available:
        raise Conflict(
            filled(
                _("The budget {code} has {shown} left."),
                code=budget.code,
                shown=shown(budget.available, budget.currency),
            ),
            code="budget_exceeded",
            available=exact(budget.available, budget.currency),
        )


def _title(transfer: BudgetTransfer) -> str:
    moved = shown(transfer.amount, transfer.currency)
    return gettext("Move {moved} from {source} to {destination}").format(
        moved=moved, source=transfer.source.code, destination=transfer.destination.code
    )[:200]


def _record(transfer: BudgetTransfer, event: str, *, by: Actor, via: str, **body: object) -> None:
    process.record(TRANSFER, transfer, f"budget.transfer_{event}", by=by, via=via, **body)


TRANSFER = SubjectRow(
    subject=SUBJECT,
    title=_("Transfer"),
    noun="transfer",
    missing=_("There is no such transfer."),
    opens=_("Open the transfer"),
    model=BudgetTransfer,
    url_name="transfer",
    topic="transfer",
    list_topics=("transfers",),
)

SIGNED: SignedSubject[BudgetTransfer, Waiting] = SignedSubject(
    row=TRANSFER,
    kind=TRANSFER_KIND,
    waits=frozenset({TransferStatus.AWAITING_APPROVAL}),
    payload=transfer_payload,
    scope=lambda transfer: transfer.source.code,
    title=_title,
    on_approved=_approved,
    on_rejected=_end,
    related=RELATED,
)

transfer_approval = SIGNED.request_of
