"""Invoices: numbered where the money is credited, printed once, and mailed once."""

from datetime import datetime, timedelta
from hashlib import sha256

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext

from apps.audit.contracts import ENGINE
from apps.audit.services import entry_record
from apps.common import correlation
from apps.common.errors import DomainError, Invalid
from apps.common.language import lazy as _
from apps.common.money import exact, shown
from apps.notifications.services import Attachment, mail_queue
from apps.wallets.contracts import ReviewStatus
from apps.wallets.invoice_pdf import Company, InvoiceData, Line, as_json, from_json, render
from apps.wallets.models import Invoice, InvoiceContent, ProviderTransaction, Wallet

logger = correlation.get_logger(__name__)

SERIES = "INV"
INVOICE_SUBJECT = "invoice"
#: Receipts of one turn of the leader.
BATCH = 20
#: For so long a receipt is tried that no top-up sends.
TRIED_FOR = timedelta(days=3)

_NEXT = """
    INSERT INTO wallets_invoicecounter AS counter (series, year, last) VALUES (%s, %s, 1)
    ON CONFLICT (series, year) DO UPDATE SET last = counter.last + 1
    RETURNING last
"""


def invoice_issue(payment: ProviderTransaction, wallet: Wallet, *, as_of: datetime) -> Invoice:
    """Give the credited payment its invoice, with the next number of the year.

    Joins the transaction that credits, and is its last statement of effect: other credits wait for
    the number until that commits, and a rollback gives it back.
    """
    issued_at = timezone.localtime(as_of)
    rider = wallet.rider
    data = InvoiceData(
        number="",
        issued_at=issued_at,
        company=_company(),
        rider_name=rider.name,
        rider_email=rider.email,
        user_id=rider.user_id,
        currency=payment.currency,
        lines=(Line(gettext("Top-up of the wallet"), payment.amount),),
        reference=payment.reference,
        transaction_id=payment.provider_id,
    )
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, [SERIES, issued_at.year])
        sequence = cursor.fetchone()[0]
    number = f"{SERIES}-{issued_at.year}-{sequence:06d}"
    invoice = Invoice.objects.create(
        series=SERIES,
        year=issued_at.year,
        sequence=sequence,
        number=number,
        payment=payment,
        wallet=wallet,
        amount=payment.amount,
        currency=payment.currency,
        body={**as_json(data), "number": number},
        created_at=as_of,
    )
    entry_record(
        action="invoice.issued",
        subject_type=INVOICE_SUBJECT,
        subject_id=number,
        by=ENGINE,
        via="engine",
        body={
            "user_id": rider.user_id,
            "amount": exact(payment.amount, payment.currency),
            "currency": payment.currency,
            "reference": payment.reference,
        },
    )
    return invoice


def invoice_pdf(invoice: Invoice) -> bytes:
    """Return the PDF, which is made at the first call and kept. Two calls at once make the same
    bytes; one of them is kept."""
    kept = InvoiceContent.objects.filter(invoice=invoice).first()
    if kept is None:
        body = render(from_json(invoice.body))
        content = InvoiceContent(invoice=invoice, body=body, sha256=sha256(body).hexdigest())
        InvoiceContent.objects.bulk_create([content], ignore_conflicts=True)
        kept = InvoiceContent.objects.get(invoice=invoice)
    return bytes(kept.body)


def receipt_queue(invoice: Invoice, *, as_of: datetime) -> str:
    """Queue the receipt with the PDF, at most once; return the address.

    It goes to the address that the rider has now. Joins the caller's transaction. Raises Invalid
    `rider_email_missing`.
    """
    rider = invoice.wallet.rider
    text = gettext(
        "We have received your payment.\n\n"
        "Paid: {amount}\nInvoice: {number}\nReference: {reference}\n\n"
        "The invoice is attached."
    ).format(
        amount=shown(invoice.amount, invoice.currency),
        number=invoice.number,
        reference=invoice.payment.reference,
    )
    try:
        mail_queue(
            key=f"invoice:{invoice.number}:receipt",
            address=rider.email,
            name=rider.name,
            title=gettext("Receipt {number}").format(number=invoice.number),
            text=text,
            by=ENGINE,
            subject_type=INVOICE_SUBJECT,
            subject_id=invoice.number,
            attachments=[
                Attachment(f"{invoice.number}.pdf", "application/pdf", invoice_pdf(invoice))
            ],
        )
    except Invalid as no:
        if no.code != "address_invalid":
            raise
        raise Invalid(
            _("The rider has no e-mail address that a receipt can be sent to."),
            code="rider_email_missing",
        ) from None
    Invoice.objects.filter(pk=invoice.pk, receipt_at=None).update(receipt_at=as_of)
    return rider.email


def receipts_queue(*, limit: int = BATCH) -> int:
    """Queue the receipts of payments that a review credited, which no top-up sends any more; return
    how many. A task of the relay's leader; one that fails is tried again, for three days."""
    waiting = Invoice.objects.filter(
        receipt_at=None,
        payment__reviews__status=ReviewStatus.CREDITED,
        created_at__gt=timezone.now() - TRIED_FOR,
    )
    queued = 0
    for invoice in waiting.select_related("wallet__rider", "payment").order_by("created_at")[
        :limit
    ]:
        try:
            with transaction.atomic(durable=True):
                receipt_queue(invoice, as_of=timezone.now())
            queued += 1
        except DomainError as no:
            logger.warning("receipt.not_queued", invoice=invoice.number, code=no.code)
    return queued


def _company() -> Company:
    address = tuple(
        line for part in settings.INVOICE_COMPANY_ADDRESS.split("|") if (line := part.strip())
    )
    return Company(settings.INVOICE_COMPANY_NAME, address, settings.INVOICE_COMPANY_TAX_ID)
