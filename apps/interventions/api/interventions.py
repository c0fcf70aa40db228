"""API of interventions. Mounted at /api/v1/interventions."""

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
    AskedOut,
    Code,
    Currency,
    Cursor,
    Key,
    Limit,
    Line,
    ReasonIn,
    Region,
    Text,
    why,
)
from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.common.pagination import page
from apps.interventions.contracts import InterventionStatus
from apps.interventions.forms import InterventionFilter
from apps.interventions.models import BudgetEntry, Intervention, InterventionStep
from apps.interventions.scopes import Scope
from apps.interventions.services import requests
from apps.interventions.services.approval import approval_of
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered
from apps.web.links import temporal_url

router = Router(tags=["interventions"])


class InterventionIn(Schema):
    """`amount` is in major units: a number, or preferably a text, with at most the currency's
    decimal places."""

    # Refuses unknown fields, so that a misspelt idempotency_key does not count as missing.
    model_config = ConfigDict(extra="forbid")

    policy: Code
    budget: Code
    amount: Amount
    currency: Currency
    target: Line
    justification: Text
    region: Region = ""
    idempotency_key: Key = ""


class InterventionRef(Schema):
    id: UUID
    workflow_id: str
    status: InterventionStatus


class InterventionRow(AskedOut, InterventionRef):
    """An intervention in a list."""

    policy: str = Field(validation_alias="policy.code")
    policy_version: int = Field(validation_alias="policy.version")
    budget: str = Field(validation_alias="budget.code")
    target: str
    justification: str
    region: str = Field(description="ISO 3166, such as NG-KO; empty when none was named.")


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

    @staticmethod
    def resolve_amount(entry: BudgetEntry) -> str:
        """Return the amount with the decimal places of the intervention's currency."""
        assert entry.intervention is not None  # the lines are the intervention's own
        return exact(entry.amount, entry.intervention.currency)


class InterventionOut(InterventionRow):
    """`approval` is the id of the request for a signature, null when none was needed."""

    receipt: str
    steps: list[StepOut]
    ledger: list[LedgerLine] = Field(validation_alias="entries")
    approval: UUID | None
    temporal_url: str | None

    @staticmethod
    def resolve_approval(intervention: Intervention) -> UUID | None:
        """Return the id; takes one more query."""
        approval = approval_of(intervention)
        return approval.pk if approval else None

    @staticmethod
    def resolve_temporal_url(intervention: Intervention) -> str | None:
        """Return null if there is no Temporal UI."""
        return temporal_url(intervention.workflow_id) or None


class InterventionPage(Schema):
    items: list[InterventionRow]
    next: str | None


@router.post("", response={200: InterventionRef, 201: InterventionRef})
def intervention_create(request: HttpRequest, body: InterventionIn) -> Status[Intervention]:
    """Request an intervention. Repeating key and body returns the first intervention, with 200."""
    user = require(request, scope=Scope.INTERVENTIONS_WRITE)
    intervention, created = requests.intervention_request(
        **body.dict(), by=user, via="api", as_of=timezone.now()
    )
    return Status(201 if created else 200, intervention)


@router.get("", response=InterventionPage)
@filtered(InterventionFilter)
def intervention_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List interventions that the caller may see, newest first."""
    user = require(request, scope=Scope.INTERVENTIONS_READ)
    chosen = narrow(Intervention.objects.visible_to(user).for_list(), user=user)
    return page(chosen, cursor=cursor, limit=limit)


@router.get("/{intervention_id}", response=InterventionOut)
def intervention_read(request: HttpRequest, intervention_id: UUID) -> Intervention:
    """Return one intervention with the steps of its saga and its lines in the ledger."""
    user = require(request, scope=Scope.INTERVENTIONS_READ)
    return _detail(user, intervention_id)


@router.post("/{intervention_id}/cancel", response=InterventionOut)
def intervention_cancel(
    request: HttpRequest, intervention_id: UUID, body: ReasonIn | None = None
) -> Intervention:
    """Cancel the intervention before the executor is called; its reservation is released at
    once."""
    user = require(request, scope=Scope.INTERVENTIONS_WRITE)
    requests.intervention_cancel(
        intervention_id=intervention_id,
        by=user,
        via="api",
        reason=why(body),
        as_of=timezone.now(),
    )
    return _detail(user, intervention_id)


def _detail(user: User, intervention_id: UUID) -> Intervention:
    visible = (
        Intervention.objects.visible_to(user)
        .for_list()
        .prefetch_related(
            Prefetch("steps", InterventionStep.objects.order_by("id")),
            Prefetch("entries", BudgetEntry.objects.order_by("id")),
        )
    )
    intervention = row_of(
        visible, NotFound(_("There is no such intervention.")), pk=intervention_id
    )
    return intervention
