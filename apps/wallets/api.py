"""API of riders, their wallets and adjustments. Mounted at /api/v1/riders, /api/v1/wallets and
/api/v1/wallet-adjustments."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic.aliases import AliasGenerator

from apps.accounts.auth import require
from apps.approvals.selectors import request_ids
from apps.common.api import (
    AskedOut,
    Currency,
    Cursor,
    Key,
    Limit,
    ReasonIn,
    SignedAmount,
    Title,
    Why,
    exactly,
    why,
)
from apps.common.errors import Invalid, NotFound
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.common.pagination import numbered_page, page
from apps.wallets.contracts import ADJUSTMENT_KIND, USER_ID, AdjustmentStatus, WalletStatus
from apps.wallets.forms import AdjustmentFilter, WalletFilter
from apps.wallets.models import JournalLine, Rider, Wallet, WalletAdjustment
from apps.wallets.scopes import Scope
from apps.wallets.services import adjustments
from apps.wallets.services.accounts import clean_user_id, wallet_unknown
from apps.wallets.services.adjustments import SUBJECT
from apps.wallets.services.riders import PUT_RIDER, rider_put
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered

riders_router = Router(tags=["wallets"], by_alias=True)
router = Router(tags=["wallets"], by_alias=True)
adjustments_router = Router(tags=["wallets"], by_alias=True)

VIEW_RIDERS = "wallets.view_rider"
VIEW_WALLETS = "wallets.view_wallet"

UserId = Annotated[str, StringConstraints(pattern=f"^{USER_ID}$")]


class _Out(Schema):
    """Names fields as the callers of bookings and wallets know them: `userId`."""

    model_config = ConfigDict(alias_generator=AliasGenerator(serialization_alias=to_camel))


class _In(Schema):
    # Refuses unknown fields, so that a misspelt one does not count as missing.
    model_config = ConfigDict(
        extra="forbid", alias_generator=AliasGenerator(validation_alias=to_camel)
    )


class RiderIn(_In):
    """`currency` is that of the rider's wallet; `email` may be empty."""

    name: Title
    email: Annotated[str, Field(max_length=254)] = ""
    currency: Currency


class RiderOut(_Out):
    user_id: str
    name: str
    email: str
    currency: str
    created_at: datetime


class WalletOut(_Out):
    """`frozen`: the wallet takes money and gives none."""

    user_id: str
    currency: str
    balance: str
    status: WalletStatus
    created_at: datetime

    resolve_balance = exactly("balance")


class WalletPage(Schema):
    items: list[WalletOut]
    next: str | None


class WalletEntryOut(_Out):
    """`amount`: what the entry added to the wallet; below zero, what it took out."""

    journal: UUID = Field(validation_alias="journal_id")
    kind: str = Field(validation_alias="journal.kind")
    key: str = Field(validation_alias="journal.key")
    amount: str
    currency: str = Field(validation_alias="journal.currency")
    subject_type: str = Field(validation_alias="journal.subject_type")
    subject_id: str = Field(validation_alias="journal.subject_id")
    note: str = Field(validation_alias="journal.note")
    created_at: datetime = Field(validation_alias="journal.created_at")

    @staticmethod
    def resolve_amount(line: JournalLine) -> str:
        """Return the amount as the rider sees it."""
        return exact(-line.amount, line.journal.currency)


class WalletEntryPage(Schema):
    items: list[WalletEntryOut]
    next: str | None


class AdjustmentIn(_In):
    """`amount` is in major units of the wallet's currency; below zero takes money out."""

    user_id: UserId
    amount: SignedAmount
    reason: Why
    idempotency_key: Key = ""


class AdjustmentRef(_Out):
    """`approval` is the id of the request for a signature."""

    id: UUID
    status: AdjustmentStatus
    approval: UUID | None


class AdjustmentOut(AskedOut, AdjustmentRef):
    user_id: str
    reason: str


class AdjustmentPage(Schema):
    items: list[AdjustmentOut]
    next: str | None


# --- riders ---------------------------------------------------------------------------------------
@riders_router.put("/{user_id}", response={200: RiderOut, 201: RiderOut})
def rider_change(request: HttpRequest, user_id: str, body: RiderIn) -> Status[Rider]:
    """Make the rider known, with one wallet, or change what is known: 201, then 200.

    Refusals: 403 `permission_denied`; 409 `currency_fixed` for another currency once the wallet has
    an entry or an adjustment waits; 422 `user_id_invalid`, `name_invalid`, `email_invalid`.
    """
    user = require(request, scope=Scope.WALLETS_WRITE, permission=PUT_RIDER)
    rider, created = rider_put(
        user_id=user_id, **body.dict(), by=user, via="api", as_of=timezone.now()
    )
    return Status(201 if created else 200, rider)


@riders_router.get("/{user_id}", response=RiderOut)
def rider_read(request: HttpRequest, user_id: str) -> Rider:
    """Return one rider. Refusals: 404 `rider_not_found`."""
    require(request, scope=Scope.WALLETS_READ, permission=VIEW_RIDERS)
    rider = Rider.objects.filter(user_id=user_id).first() if _is_id(user_id) else None
    if rider is None:
        raise NotFound(_("There is no such rider."), code="rider_not_found")
    return rider


# --- wallets --------------------------------------------------------------------------------------
@router.get("", response=WalletPage)
@filtered(WalletFilter)
def wallet_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List wallets with their balances, newest first. `user`: only that rider's."""
    user = require(request, scope=Scope.WALLETS_READ, permission=VIEW_WALLETS)
    rows = narrow(Wallet.objects.select_related("rider"), user=user)
    return page(rows, cursor=cursor, limit=limit)


@router.get("/{user_id}", response=WalletOut)
def wallet_read(request: HttpRequest, user_id: str) -> Wallet:
    """Return the rider's wallet with its balance. Refusals: 404 `wallet_not_found`."""
    return _wallet(request, user_id)


@router.get("/{user_id}/entries", response=WalletEntryPage)
def wallet_entries(
    request: HttpRequest, user_id: str, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List the entries of the rider's wallet, newest first. Refusals: 404 `wallet_not_found`."""
    wallet = _wallet(request, user_id)
    lines = JournalLine.objects.filter(account_id=wallet.account_id).select_related("journal")
    return numbered_page(lines, cursor=cursor, limit=limit, order="-pk", digits=18)


# --- adjustments ----------------------------------------------------------------------------------
@adjustments_router.post("", response={200: AdjustmentRef, 201: AdjustmentRef})
def adjustment_create(request: HttpRequest, body: AdjustmentIn) -> Status[WalletAdjustment]:
    """Ask for an adjustment; the money moves when it is signed. Repeating key and body returns the
    first one, with 200.

    Refusals: 403 `permission_denied`; 404 `wallet_not_found`; 409 `insufficient_funds`,
    `wallet_frozen`, `idempotency_key_reused`; 422 `amount_invalid`.
    """
    # The service checks the permission to request, because its refusal is audited.
    user = require(request, scope=Scope.WALLETS_WRITE)
    adjustment, created = adjustments.adjustment_request(
        **body.dict(), by=user, via="api", as_of=timezone.now()
    )
    return Status(201 if created else 200, _with_approvals([adjustment])[0])


@adjustments_router.get("", response=AdjustmentPage)
@filtered(AdjustmentFilter)
def adjustment_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List adjustments that the caller may see, newest first. `user`: only those of that rider."""
    user = require(request, scope=Scope.WALLETS_READ)
    rows = narrow(WalletAdjustment.objects.visible_to(user).for_list(), user=user)
    found = page(rows, cursor=cursor, limit=limit)
    _with_approvals(found["items"])
    return found


@adjustments_router.get("/{adjustment_id}", response=AdjustmentOut)
def adjustment_read(request: HttpRequest, adjustment_id: UUID) -> WalletAdjustment:
    """Return one adjustment."""
    user = require(request, scope=Scope.WALLETS_READ)
    rows = WalletAdjustment.objects.visible_to(user).for_list()
    missing = NotFound(_("There is no such adjustment."))
    return _with_approvals([row_of(rows, missing, pk=adjustment_id)])[0]


@adjustments_router.post("/{adjustment_id}/cancel", response=AdjustmentRef)
def adjustment_withdraw(
    request: HttpRequest, adjustment_id: UUID, body: ReasonIn | None = None
) -> WalletAdjustment:
    """Take back a waiting adjustment; only its requester may. Refusals: 409 `already_settled`."""
    user = require(request, scope=Scope.WALLETS_WRITE)
    adjustment = adjustments.adjustment_cancel(
        adjustment_id=adjustment_id,
        by=user,
        via="api",
        reason=why(body),
        as_of=timezone.now(),
    )
    return _with_approvals([adjustment])[0]


# --- helpers --------------------------------------------------------------------------------------
def _is_id(user_id: str) -> bool:
    try:
        clean_user_id(user_id)
    except Invalid:
        return False
    return True


def _wallet(request: HttpRequest, user_id: str) -> Wallet:
    require(request, scope=Scope.WALLETS_READ, permission=VIEW_WALLETS)
    wallets = Wallet.objects.select_related("rider")
    wallet = wallets.filter(rider__user_id=user_id).first() if _is_id(user_id) else None
    if wallet is None:
        raise wallet_unknown()
    return wallet


def _with_approvals(rows: list[WalletAdjustment]) -> list[WalletAdjustment]:
    """Set on each adjustment the id of its request, which AdjustmentRef reads; one query for all of
    them."""
    found = request_ids(SUBJECT, [row.pk for row in rows], kind=ADJUSTMENT_KIND)
    for row in rows:
        row.approval = found.get(str(row.pk))  # type: ignore[attr-defined]
    return rows
