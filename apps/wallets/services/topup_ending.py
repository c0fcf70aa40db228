"""The end of a top-up: nothing was paid, or invoice and receipt are made."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.approvals.subject import questions_close
from apps.audit.contracts import ENGINE
from apps.common.errors import Conflict
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.engine import process
from apps.wallets.contracts import (
    TOPUP,
    ReferenceStatus,
    Step,
    TopUpFacts,
    TopUpStatus,
)
from apps.wallets.models import Invoice, TopUp
from apps.wallets.services.invoices import invoice_pdf, receipt_queue
from apps.wallets.services.topup_rows import (
    PROCESS,
    RELATED,
    StepStatus,
    facts_of,
    record,
    refused,
    step_put,
    step_save,
    top_up_lock,
)


def end(top_up: TopUp, *, code: str, detail: str, as_of: datetime) -> None:
    """End the locked top-up, of which nothing is credited. Joins the caller's transaction."""
    fields = process.ended(top_up, TopUpStatus.FAILED, as_of=as_of, code=code, detail=detail)
    waiting = top_up.references.filter(status__in=(ReferenceStatus.SENT, ReferenceStatus.OPEN))
    waiting.update(status=ReferenceStatus.CANCELLED)
    step_put(top_up, Step.CANCEL_PAYMENT, StepStatus.DONE)
    process.save(PROCESS, top_up, *fields)
    questions_close(PROCESS, top_up, by=ENGINE, reason=detail or code, as_of=as_of)
    record(top_up, f"{TOPUP}.failed", code=code, detail=detail)


def top_up_read(*, top_up_id: UUID | str) -> TopUpFacts:
    """Return what the database knows of the top-up now. Raises NotFound."""
    top_up = TopUp.objects.filter(pk=process.id_of(PROCESS, top_up_id)).first()
    if top_up is None:
        raise process.unknown(PROCESS)
    return facts_of(top_up)


def invoice_make(*, top_up_id: UUID | str) -> str:
    """Print the invoice of a credited top-up, once; return its number. Raises Conflict
    `not_credited`."""
    with refused(top_up_id, action=f"{TOPUP}.generate_invoice"):
        invoice = _invoice(top_up_id)
        invoice_pdf(invoice)
        with transaction.atomic(durable=True):
            top_up = top_up_lock(top_up_id)
            if not top_up.has_ended:
                step_save(top_up, Step.GENERATE_INVOICE, StepStatus.DONE, invoice.number)
            failpoint("generate_invoice.uncommitted")
        return invoice.number


def receipt_send(*, top_up_id: UUID | str, as_of: datetime) -> str:
    """Queue the receipt with the invoice, at most once, and finish the top-up; return the address.

    Raises Conflict `not_credited`; Invalid `rider_email_missing`.
    """
    with refused(top_up_id, action=f"{TOPUP}.send_receipt"), transaction.atomic(durable=True):
        top_up = top_up_lock(top_up_id, *RELATED)
        invoice = _invoice(top_up_id)
        to = receipt_queue(invoice, as_of=as_of)
        if not top_up.has_ended:
            fields = process.ended(top_up, TopUpStatus.DONE, as_of=as_of)
            step_save(top_up, Step.SEND_RECEIPT, StepStatus.DONE, to, fields=fields)
            record(top_up, f"{TOPUP}.done", invoice=invoice.number)
        failpoint("send_receipt.uncommitted")
    return to


def _invoice(top_up_id: UUID | str) -> Invoice:
    rows = Invoice.objects.select_related("wallet__rider", "payment")
    found = rows.filter(payment__top_up=process.id_of(PROCESS, top_up_id)).order_by("pk").first()
    if found is None:
        raise Conflict(_("The top-up is not credited."), code="not_credited")
    return found
