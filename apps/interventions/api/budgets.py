"""API of budgets and of transfers between them. Mounted at /api/v1/budgets."""

from datetime import date
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import ConfigDict, Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.approvals.selectors import request_ids
from apps.common.api import Amount, AskedOut, Code, Cursor, Key, Limit, ReasonIn, Why, exactly, why
from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.common.pagination import page
from apps.interventions.api.base import reader
from apps.interventions.budget_forms import BudgetFilter, TransferFilter
from apps.interventions.contracts import TRANSFER_KIND, TransferStatus
from apps.interventions.models import Budget, BudgetTransfer
from apps.interventions.scopes import Scope
from apps.interventions.services import transfers
from apps.interventions.services.transfers import SUBJECT
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered

router = Router(tags=["budgets"])

VIEW_BUDGETS = "interventions.view_budget"


class BudgetOut(Schema):
    """total = reserved + spent + available, always. `low`: less than `alert_percent` is
    available."""

    code: str
    name: str
    currency: str
    total: str
    reserved: str
    spent: str
    available: str
    series: str = Field(description="What it is a period of; empty: nothing.")
    starts_on: date | None = Field(description="First day; null: always was.")
    ends_on: date | None = Field(description="Last day; null: no end.")
    alert_percent: int
    low: bool = Field(validation_alias="is_low")

    resolve_total, resolve_reserved = exactly("total"), exactly("reserved")
    resolve_spent, resolve_available = exactly("spent"), exactly("available")


class BudgetPage(Schema):
    items: list[BudgetOut]
    next: str | None


class TransferIn(Schema):
    """`amount` is in major units of the currency that both budgets have."""

    # Refuses unknown fields, so that a misspelt idempotency_key does not count as missing.
    model_config = ConfigDict(extra="forbid")

    source: Code
    destination: Code
    amount: Amount
    reason: Why
    idempotency_key: Key = ""


class TransferRef(Schema):
    """`approval` is the id of the request for a signature."""

    id: UUID
    status: TransferStatus
    approval: UUID | None


class TransferOut(AskedOut, TransferRef):
    source: str = Field(validation_alias="source.code")
    destination: str = Field(validation_alias="destination.code")
    reason: str


class TransferPage(Schema):
    items: list[TransferOut]
    next: str | None


@router.get("", response=BudgetPage)
@filtered(BudgetFilter)
def budget_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List budgets with their balances, newest first. `series`: only the periods of that series;
    `state`: only those `open` today, or those with little left (`low`)."""
    rows = narrow(Budget.objects.all(), user=_budget_reader(request))
    return page(rows, cursor=cursor, limit=limit)


# Declared before the budgets by code: no budget can have this code (`code_reserved`).
@router.post("/transfers", response={200: TransferRef, 201: TransferRef})
def transfer_create(request: HttpRequest, body: TransferIn) -> Status[BudgetTransfer]:
    """Request a transfer; the money moves when it is signed. Repeating key and body returns the
    first transfer, with 200.

    Refusals: 403 `permission_denied`; 404 `budget_not_found`; 409 `budget_exceeded`,
    `idempotency_key_reused`; 422 `same_budget`, `currency_mismatch`.
    """
    # The service checks the permission to request, because its refusal is audited.
    user = require(request, scope=Scope.BUDGETS_WRITE)
    transfer, created = transfers.transfer_request(
        **body.dict(), by=user, via="api", as_of=timezone.now()
    )
    return Status(201 if created else 200, _with_approvals([transfer])[0])


@router.get("/transfers", response=TransferPage)
@filtered(TransferFilter)
def transfer_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List transfers that the caller may see, newest first. `budget`: only those from or to it."""
    user = require(request, scope=Scope.BUDGETS_READ)
    rows = narrow(BudgetTransfer.objects.visible_to(user).for_list(), user=user)
    found = page(rows, cursor=cursor, limit=limit)
    _with_approvals(found["items"])
    return found


@router.get("/transfers/{transfer_id}", response=TransferOut)
def transfer_read(request: HttpRequest, transfer_id: UUID) -> BudgetTransfer:
    """Return one transfer."""
    user = require(request, scope=Scope.BUDGETS_READ)
    return _detail(user, transfer_id)


@router.post("/transfers/{transfer_id}/cancel", response=TransferOut)
def transfer_cancel(
    request: HttpRequest, transfer_id: UUID, body: ReasonIn | None = None
) -> BudgetTransfer:
    """Cancel a waiting transfer; only its requester may. Refusals: 403 `permission_denied`; 409
    `already_settled`."""
    user = require(request, scope=Scope.BUDGETS_WRITE)
    transfers.transfer_cancel(
        transfer_id=transfer_id,
        by=user,
        via="api",
        reason=why(body),
        as_of=timezone.now(),
    )
    return _detail(user, transfer_id)


@router.get("/{code}", response=BudgetOut)
def budget_read(request: HttpRequest, code: str) -> Budget:
    """Return one budget with its balances."""
    _budget_reader(request)
    budget = Budget.objects.filter(code=code[:81]).first() if "\x00" not in code else None
    if budget is None:
        raise NotFound(_("There is no such budget."))
    return budget


# --- helpers -------------------------------------------------------------------------------------
def _budget_reader(request: HttpRequest) -> User:
    return reader(request, Scope.BUDGETS_READ, VIEW_BUDGETS, "You may not see budgets.")


def _detail(user: User, transfer_id: UUID) -> BudgetTransfer:
    rows = BudgetTransfer.objects.visible_to(user).for_list()
    transfer = row_of(rows, NotFound(_("There is no such transfer.")), pk=transfer_id)
    return _with_approvals([transfer])[0]


def _with_approvals(rows: list[BudgetTransfer]) -> list[BudgetTransfer]:
    """Set on each transfer the id of its request, which TransferRef reads; one query for all of
    them."""
    found = request_ids(SUBJECT, [transfer.pk for transfer in rows], kind=TRANSFER_KIND)
    for transfer in rows:
        transfer.approval = found.get(str(transfer.pk))  # type: ignore[attr-defined]
    return rows
