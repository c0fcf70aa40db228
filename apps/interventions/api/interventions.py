"""The API of interventions. Mounted at /api/v1/interventions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Prefetch
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import ConfigDict, Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.api import (
    Amount,
    Code,
    Currency,
    Cursor,
    ErrorOut,
    Key,
    Limit,
    Line,
    Reason,
    Region,
    Text,
    error_of,
)
from apps.common.errors import NotFound
from apps.common.money import exact
from apps.common.pagination import page
from apps.interventions import services
from apps.interventions.contracts import InterventionStatus
from apps.interventions.forms import InterventionFilter
from apps.interventions.models import BudgetEntry, Intervention, InterventionStep
from apps.interventions.scopes import Scope
from apps.interventions.services.approval import approval_of
from apps.web.filters import Narrow, filtered
from apps.web.links import temporal_url

router = Router(tags=["interventions"])


class InterventionIn(Schema):
    """`amount` in major units: a number, or better a text; not finer than the currency is."""

    # A misspelt idempotency_key must not be taken for none.
    model_config = ConfigDict(extra="forbid")

    policy: Code
    budget: Code
    amount: Amount
    currency: Currency
    target: Line
    justification: Text
    region: Region = ""
    idempotency_key: Key = ""


class CancelIn(Schema):
    model_config = ConfigDict(extra="forbid")

    reason: Reason = ""


class InterventionRef(Schema):
    id: UUID
    workflow_id: str
    status: InterventionStatus


class InterventionRow(InterventionRef):
    """An intervention in a list."""

    policy: str
    policy_version: int
    budget: str
    amount: str = Field(description="Decimal in major units, as its currency has it.")
    currency: str
    target: str
    justification: str
    region: str = Field(description="ISO 3166, such as NG-KO; empty when none was named.")
    requested_by: str
    created_at: datetime
    settled_at: datetime | None
    error: ErrorOut | None


class StepOut(Schema):
    name: str
    status: str
    attempts: int
    started_at: datetime
    finished_at: datetime | None
    detail: str


class LedgerLine(Schema):
    kind: str
    amount: str
    at: datetime


class InterventionOut(InterventionRow):
    """`approval` is the id of its request for a signature, null when none was needed."""

    receipt: str
    steps: list[StepOut]
    ledger: list[LedgerLine]
    approval: UUID | None
    temporal_url: str | None


class InterventionPage(Schema):
    items: list[InterventionRow]
    next: str | None


@router.post("", response={200: InterventionRef, 201: InterventionRef})
def intervention_create(request: HttpRequest, body: InterventionIn) -> Status[Intervention]:
    """Ask for an intervention. The same key and body again: the same one, with 200."""
    user = require(request, scope=Scope.INTERVENTIONS_WRITE)
    intervention, created = services.intervention_request(
        **body.dict(), by=user, via="api", as_of=timezone.now()
    )
    return Status(201 if created else 200, intervention)


@router.get("", response=InterventionPage)
@filtered(InterventionFilter)
def intervention_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """Those that the caller may see, newest first."""
    user = require(request, scope=Scope.INTERVENTIONS_READ)
    chosen = narrow(Intervention.objects.visible_to(user).for_list(), user=user)
    return page(chosen, cursor=cursor, limit=limit, shape=_row)


@router.get("/{intervention_id}", response=InterventionOut)
def intervention_read(request: HttpRequest, intervention_id: UUID) -> dict[str, Any]:
    """One intervention with the steps of its saga and its lines in the ledger."""
    user = require(request, scope=Scope.INTERVENTIONS_READ)
    return _detail(user, intervention_id)


@router.post("/{intervention_id}/cancel", response=InterventionOut)
def intervention_cancel(
    request: HttpRequest, intervention_id: UUID, body: CancelIn | None = None
) -> dict[str, Any]:
    """End it before the executor is called; its reservation is given back at once."""
    user = require(request, scope=Scope.INTERVENTIONS_WRITE)
    services.intervention_cancel(
        intervention_id=intervention_id,
        by=user,
        via="api",
        reason=body.reason if body else "",
        as_of=timezone.now(),
    )
    return _detail(user, intervention_id)


# --- shapes --------------------------------------------------------------------------------------
def _detail(user: User, intervention_id: UUID) -> dict[str, Any]:
    intervention = (
        Intervention.objects.visible_to(user)
        .for_list()
        .prefetch_related(
            Prefetch("steps", InterventionStep.objects.order_by("id")),
            Prefetch("entries", BudgetEntry.objects.order_by("id")),
        )
        .filter(pk=intervention_id)
        .first()
    )
    if intervention is None:
        raise NotFound("There is no such intervention.")
    approval = approval_of(intervention)
    return {
        **_row(intervention),
        "receipt": intervention.receipt,
        "steps": list(intervention.steps.all()),
        "ledger": [
            {
                "kind": entry.kind,
                "amount": exact(entry.amount, intervention.currency),
                "at": entry.at,
            }
            for entry in intervention.entries.all()
        ],
        "approval": approval.pk if approval else None,
        "temporal_url": temporal_url(intervention.workflow_id) or None,
    }


def _row(intervention: Intervention) -> dict[str, Any]:
    return {
        "id": intervention.pk,
        "workflow_id": intervention.workflow_id,
        "status": intervention.status,
        "policy": intervention.policy.code,
        "policy_version": intervention.policy.version,
        "budget": intervention.budget.code,
        "amount": exact(intervention.amount, intervention.currency),
        "currency": intervention.currency,
        "target": intervention.target,
        "justification": intervention.justification,
        "region": intervention.region,
        "requested_by": intervention.requested_by.get_username(),
        "created_at": intervention.created_at,
        "settled_at": intervention.settled_at,
        "error": error_of(intervention),
    }
