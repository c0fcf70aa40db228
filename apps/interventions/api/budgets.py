"""The API of budgets. Mounted at /api/v1/budgets."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from apps.accounts.auth import require
from apps.accounts.contracts import Scope
from apps.errors import NotAllowed, NotFound
from apps.interventions.api.base import Cursor, Limit
from apps.interventions.models import Budget
from apps.interventions.services.requests import REQUEST_PERMISSION
from apps.pagination import page

router = Router(tags=["budgets"])

VIEW_BUDGETS = "interventions.view_budget"


class BudgetOut(Schema):
    """total = reserved + spent + available, always."""

    code: str
    name: str
    currency: str
    total: str
    reserved: str
    spent: str
    available: str


class BudgetPage(Schema):
    items: list[BudgetOut]
    next: str | None


@router.get("", response=BudgetPage)
def budget_list(request: HttpRequest, cursor: Cursor = None, limit: Limit = 50) -> dict[str, Any]:
    """Budgets with their balances, newest first."""
    _budget_reader(request)
    found = page(Budget.objects.all(), cursor=cursor, limit=limit)
    return {"items": [_budget(one) for one in found["items"]], "next": found["next"]}


@router.get("/{code}", response=BudgetOut)
def budget_read(request: HttpRequest, code: str) -> dict[str, Any]:
    """One budget's balances."""
    _budget_reader(request)
    budget = Budget.objects.filter(code=code[:81]).first() if "\x00" not in code else None
    if budget is None:
        raise NotFound("There is no such budget.")
    return _budget(budget)


def _budget_reader(request: HttpRequest) -> None:
    """Who may ask for money may see what there is."""
    user = require(request, scope=Scope.BUDGETS_READ)
    if not (user.has_perm(VIEW_BUDGETS) or user.has_perm(REQUEST_PERMISSION)):
        raise NotAllowed("You may not see budgets.", code="permission_denied")


def _budget(budget: Budget) -> dict[str, Any]:
    figures = {
        name: f"{getattr(budget, name):.2f}" for name in ("total", "reserved", "spent", "available")
    }
    return {"code": budget.code, "name": budget.name, "currency": budget.currency, **figures}
