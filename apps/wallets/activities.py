"""Activities of top-ups: fetch the input, call the service, return a contract.

`initiatePaystackPayment` to `cancelPaystackPayment` have the names that other systems know; they
find the top-up by the id of the workflow that runs them, and believe nothing about money that they
are given.
"""

from collections.abc import Callable
from typing import Any

from django.utils import timezone
from temporalio import activity

from apps.engine.heartbeats import heartbeating
from apps.wallets.contracts import (
    AttentionInput,
    CancelPaymentInput,
    CreditInput,
    CreditOutput,
    Initiated,
    InitiateInput,
    InvoiceInput,
    InvoiceOutput,
    OpenInput,
    ReceiptInput,
    TopUpFacts,
    TopUpInput,
)
from apps.wallets.services import (
    topup_attention,
    topup_ending,
    topup_paying,
    topup_requesting,
)


# --- as other systems know them -------------------------------------------------------------------
# An exception raised in the thread could prevent writing down Paystack's answer.
@activity.defn(name="initiatePaystackPayment", no_thread_cancel_exception=True)
def initiate_payment(input: InitiateInput) -> Initiated:
    """Open the payment of the workflow's top-up at Paystack."""
    return heartbeating(
        topup_paying.payment_initiate,
        top_up_id=_own(),
        seconds=input.waitSeconds,
        as_of=timezone.now(),
    )


@activity.defn(name="creditWallet", no_thread_cancel_exception=True)
def credit_wallet(input: CreditInput) -> CreditOutput:
    """Ask Paystack, and credit the wallet once the payment is confirmed."""
    return heartbeating(topup_paying.payment_credit, top_up_id=_own(), as_of=timezone.now())


@activity.defn(name="generateInvoice")
def generate_invoice(input: InvoiceInput) -> InvoiceOutput:
    """Print the invoice of the workflow's top-up."""
    return InvoiceOutput(topup_ending.invoice_make(top_up_id=_own()))


@activity.defn(name="sendReceiptEmail")
def send_receipt(input: ReceiptInput) -> None:
    """Queue the receipt of the workflow's top-up."""
    topup_ending.receipt_send(top_up_id=_own(), as_of=timezone.now())


@activity.defn(name="cancelPaystackPayment")
def cancel_payment(input: CancelPaymentInput) -> TopUpFacts:
    """End the workflow's top-up, unless it is credited."""
    return topup_paying.payment_cancel(
        top_up_id=_own(), code=input.code, detail=input.detail, as_of=timezone.now()
    )


# --- of our own workflow --------------------------------------------------------------------------
@activity.defn(name="open_topup")
def open_top_up(input: OpenInput) -> TopUpFacts:
    """Return the workflow's top-up; make it if the workflow was started by hand."""
    return topup_requesting.top_up_open(
        workflow_id=input.workflow_id, request=input.request, as_of=input.as_of
    )


@activity.defn(name="read_topup")
def read_top_up(input: TopUpInput) -> TopUpFacts:
    """Return what the database knows of the top-up."""
    return topup_ending.top_up_read(top_up_id=input.top_up_id)


@activity.defn(name="raise_topup_attention")
def raise_attention(input: AttentionInput) -> None:
    """Ask a person about a top-up whose receipt cannot be sent."""
    topup_attention.attention_open(input.top_up_id, code=input.code, detail=input.detail)


def _own() -> str:
    """Return the top-up of the workflow that runs this activity. Raises NotFound."""
    return topup_requesting.top_up_of_workflow(activity.info().workflow_id or "")


ACTIVITIES: list[Callable[..., Any]] = [
    initiate_payment,
    credit_wallet,
    generate_invoice,
    send_receipt,
    cancel_payment,
    open_top_up,
    read_top_up,
    raise_attention,
]
