"""API of delegations: those that the user gave or holds."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Schema, Status
from pydantic import Field

from apps.accounts.auth import require
from apps.approvals import selectors, services
from apps.approvals.api.base import READ, WRITE, router
from apps.approvals.models import Delegation
from apps.common.api import AmountText, Cursor, Limit, PersonOut, Unjudged, exactly
from apps.common.pagination import page


class DelegationLine(Schema):
    """`delegate` may sign for `delegator`. Empty `kinds`: every kind. `most`: the highest
    amount."""

    id: int
    delegator: PersonOut
    delegate: PersonOut
    kinds: list[str]
    most: str | None = Field(description="Decimal in major units, as its currency has it.")
    currency: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_at: datetime
    revoked_at: datetime | None
    valid: bool

    resolve_most = exactly("most")

    @staticmethod
    def resolve_valid(item: Delegation) -> bool:
        """Return whether the delegate can sign under the delegation now."""
        return item.runs(as_of=timezone.now())


class DelegationPage(Schema):
    items: list[DelegationLine]
    next: str | None


class NewDelegation(Schema):
    username: Annotated[str, Field(max_length=150, description="Who may sign for you.")]
    kinds: Annotated[list[Annotated[str, Field(max_length=60)]], Field(max_length=100)] = []
    most: AmountText | None = None
    currency: Annotated[str, Field(max_length=3)] = ""
    starts_at: datetime | None = Field(None, description="Without: now.")
    ends_at: datetime
    reason: Unjudged = ""


class Paging(Schema):
    cursor: Cursor = None
    limit: Limit = 50


@router.get("/delegations", response=DelegationPage, summary="Delegations you gave or hold")
def delegation_list(request: HttpRequest, paging: Query[Paging]) -> dict[str, Any]:
    user = require(request, scope=READ)
    return page(selectors.delegations_of(user), cursor=paging.cursor, limit=paging.limit)


@router.post("/delegations", response={201: DelegationLine}, summary="Let somebody sign for you")
def delegation_create(request: HttpRequest, body: NewDelegation) -> Status[Delegation]:
    """Delegate your own authority, for at most 366 days. If an equal delegation is valid, return
    that.

    Refusals: 403 `permission_denied`; 409 `too_many_delegations`; 422 `delegate_invalid`,
    `unknown_kind`, `amount_invalid`, `currency_invalid`, `period_invalid`, `reason_too_long`,
    `invalid_text`.
    """
    user = require(request, scope=WRITE)
    given = services.delegation_give(
        delegator=user,
        delegate=body.username,
        kinds=body.kinds,
        most=None if body.most is None else Decimal(body.most),
        currency=body.currency,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        reason=body.reason,
        by=user,
        via="api",
        as_of=timezone.now(),
    )
    return Status(201, given)


@router.post(
    "/delegations/{delegation_id}/revoke", response=DelegationLine, summary="End a delegation"
)
def delegation_end(request: HttpRequest, delegation_id: int) -> Delegation:
    """End the delegation; its signatures stay valid. Repeating changes nothing. Refusals: 404
    `not_found`."""
    user = require(request, scope=WRITE)
    return services.delegation_revoke(
        delegation_id=delegation_id, by=user, via="api", as_of=timezone.now()
    )
