"""API of top-ups, invoices and Paystack's webhook. Mounted at /api/v1/wallets, /api/v1/invoices and
/api/v1/webhooks/paystack."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Header, Router, Schema, Status
from pydantic import ConfigDict

from apps.accounts.addresses import client_address
from apps.accounts.auth import require
from apps.common.api import Amount, Cursor, Limit
from apps.common.errors import Invalid, NotFound
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.common.pagination import page
from apps.common.uploads import as_attachment
from apps.wallets.contracts import TopUpStatus
from apps.wallets.forms import TopUpFilter
from apps.wallets.models import Invoice, TopUp
from apps.wallets.scopes import Scope
from apps.wallets.services.accounts import clean_user_id, wallet_unknown
from apps.wallets.services.invoices import invoice_pdf
from apps.wallets.services.topup_requesting import top_up_request
from apps.wallets.services.webhooks import webhook_take
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered

router = Router(tags=["wallets"])
invoices_router = Router(tags=["wallets"])
#: Without authentication: the signature says who sends.
paystack_router = Router(tags=["webhooks"], auth=None)

VIEW_INVOICES = "wallets.view_invoice"
#: The header by which a repeated request is known.
IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", max_length=120)]


class TopUpIn(Schema):
    """`amount` is in major units of the wallet's currency."""

    model_config = ConfigDict(extra="forbid")

    amount: Amount


class TopUpStarted(Schema):
    id: UUID
    workflowId: str
    status: TopUpStatus


class TopUpOut(TopUpStarted):
    """`authorizationUrl`: where the rider pays, once Paystack has opened the payment under
    `reference`; `invoice`: its number, once the money is credited. A failed one has `code` and
    `error`."""

    userId: str
    amount: str
    currency: str
    reference: str | None
    authorizationUrl: str | None
    payUntil: datetime | None
    transactionId: str | None
    invoice: str | None
    code: str | None
    error: str | None
    createdAt: datetime


class TopUpPage(Schema):
    items: list[TopUpOut]
    next: str | None


class Received(Schema):
    """`new` is false for bytes that have come before: they are counted."""

    received: bool
    new: bool


@router.post("/{user_id}/top-ups", response={200: TopUpStarted, 201: TopUpStarted})
def topup_create(
    request: HttpRequest, user_id: str, body: TopUpIn, idempotency_key: IdempotencyKey = ""
) -> Status[dict[str, Any]]:
    """Top up the rider's wallet: the answer of the top-up has the link to pay in a moment. The same
    `Idempotency-Key` and body again: the same top-up, with 200.

    Refusals: 403 `permission_denied`; 404 `wallet_not_found`; 409 `idempotency_key_reused`; 422
    `amount_invalid`, `top_up_above_limit`, `currency_unsupported`, `rider_email_missing`.
    """
    # The service checks the permission, because its refusal is audited.
    user = require(request, scope=Scope.WALLETS_WRITE)
    top_up, created = top_up_request(
        user_id=user_id,
        amount=body.amount,
        by=user,
        via="api",
        idempotency_key=idempotency_key,
        as_of=timezone.now(),
    )
    return Status(201 if created else 200, _started(top_up))


@router.get("/{user_id}/top-ups", response=TopUpPage)
@filtered(TopUpFilter)
def topup_list(
    request: HttpRequest, user_id: str, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List the rider's top-ups that the caller may see, newest first."""
    user = require(request, scope=Scope.WALLETS_READ)
    rows = narrow(_visible(request, user_id), user=user)
    found = page(rows.order_by("-created_at", "-id"), cursor=cursor, limit=limit)
    return {**found, "items": [_out(top_up) for top_up in found["items"]]}


@router.get("/{user_id}/top-ups/{top_up_id}", response=TopUpOut)
def topup_read(request: HttpRequest, user_id: str, top_up_id: UUID) -> dict[str, Any]:
    """Return one top-up, with the reference and the link to pay."""
    missing = NotFound(_("There is no such top-up."))
    return _out(row_of(_visible(request, user_id), missing, pk=top_up_id))


@invoices_router.get("/{number}.pdf", response={200: None})
def invoice_read(request: HttpRequest, number: str) -> HttpResponse:
    """Return the invoice as PDF, always the same bytes. Refusals: 404 `invoice_not_found`."""
    require(request, scope=Scope.WALLETS_READ, permission=VIEW_INVOICES)
    invoice = Invoice.objects.filter(number=number).first() if number.isprintable() else None
    if invoice is None:
        raise NotFound(_("There is no such invoice."), code="invoice_not_found")
    return as_attachment(
        name=f"{invoice.number}.pdf", content_type="application/pdf", body=invoice_pdf(invoice)
    )


@paystack_router.post("", response=Received, include_in_schema=False)
def paystack_webhook(request: HttpRequest) -> dict[str, bool]:
    """Take a webhook of Paystack: `x-paystack-signature` is the hex HMAC-SHA512 of the bytes as
    they come. It needs no key. Refusals: 401 `signature_invalid`; 429 `too_many_requests` after
    many such from the same address; 503 `database_unavailable`."""
    new = webhook_take(
        body=request.body,
        signature=request.headers.get("x-paystack-signature", ""),
        address=client_address(request),
        as_of=timezone.now(),
    )
    return {"received": True, "new": new}


# --- helpers --------------------------------------------------------------------------------------
def _visible(request: HttpRequest, user_id: str) -> Any:
    user = require(request, scope=Scope.WALLETS_READ)
    try:
        own = clean_user_id(user_id)
    except Invalid:
        raise wallet_unknown() from None
    rows = TopUp.objects.visible_to(user).filter(wallet__rider__user_id=own)
    return rows.select_related("wallet__rider").prefetch_related("references", "payments__invoice")


def _started(top_up: TopUp) -> dict[str, Any]:
    return {"id": top_up.pk, "workflowId": top_up.workflow_id, "status": top_up.status}


def _out(top_up: TopUp) -> dict[str, Any]:
    """Return the top-up as the API shows it, from what was fetched with it."""
    reference = max(top_up.references.all(), key=lambda one: one.number, default=None)
    invoices = [one.invoice for one in top_up.payments.all() if hasattr(one, "invoice")]
    return {
        **_started(top_up),
        "userId": top_up.user_id,
        "amount": exact(top_up.amount, top_up.currency),
        "currency": top_up.currency,
        "reference": reference.reference if reference else None,
        "authorizationUrl": (reference.authorization_url or None) if reference else None,
        "payUntil": top_up.pay_until,
        "transactionId": invoices[0].payment.provider_id if invoices else None,
        "invoice": invoices[0].number if invoices else None,
        "code": top_up.error_code or None,
        "error": top_up.error_detail or None,
        "createdAt": top_up.created_at,
    }
