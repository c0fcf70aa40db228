"""The API of requests: list, read one, decide. Mounted at /api/v1/approvals."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from apps.accounts.auth import require
from apps.approvals import kinds, selectors, services
from apps.approvals.contracts import RequestStatus
from apps.approvals.models import ApprovalRequest
from apps.errors import NotFound
from apps.pagination import page

router = Router(tags=["approvals"])

READ, DECIDE = "approvals:read", "approvals:decide"


class Person(Schema):
    """Somebody as others see them."""

    username: str
    name: str


class RequestRow(Schema):
    """A request in a list. `tier` is the one that signs now, `signed` of its `quorum`."""

    id: UUID
    kind: str
    kind_title: str
    title: str
    status: RequestStatus
    subject_type: str
    subject_id: str
    workflow_id: str
    requested_by: Person | None
    amount: str | None = Field(description="Decimal in major units, two places.")
    currency: str
    tier: int
    tiers: int
    group: str
    signed: int
    quorum: int
    created_at: datetime
    expires_at: datetime | None
    settled_at: datetime | None
    settled_by: Person | None


class RequestPage(Schema):
    """`next` is the cursor of the page after this one, or null."""

    items: list[RequestRow]
    next: str | None


class TierState(Schema):
    number: int
    group: str
    quorum: int
    signed: int
    state: str = Field(description="done, current, waiting, closed")


class SignatureLine(Schema):
    """`authority` is on whose behalf the actor signed. `counts`: not voided by an edit."""

    tier: int
    actor: Person
    authority: Person
    verdict: str
    reason: str
    via: str
    at: datetime
    payload_number: int
    counts: bool


class FactLine(Schema):
    label: str
    value: str
    tone: str
    href: str


class RequestDetail(RequestRow):
    """`payload_hash` is what a decision must name; `can_sign` is empty when you may decide now,
    else the code that your decision would be refused with. `facts` are live and never signed."""

    subject_url: str
    rule: str
    reason_required: bool
    settled_reason: str
    payload: dict[str, Any]
    payload_number: int
    payload_hash: str
    tier_states: list[TierState]
    signatures: list[SignatureLine]
    who_signs_next: str
    can_sign: str
    facts: list[FactLine]


class Filters(Schema):
    status: RequestStatus | None = None
    kind: Annotated[str, Field(max_length=60, pattern=r"^[a-z0-9_.]*$")] = ""
    mine: bool = Field(False, description="Only what waits for a signature of yours.")
    cursor: Annotated[str, Field(max_length=500)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class Decision(Schema):
    # Only a sane size is asked here: the service knows verdicts and reasons, and audits refusals.
    verdict: Annotated[str, Field(max_length=20, description="approve or reject")]
    reason: Annotated[str, Field(max_length=20_000)] = ""
    payload_hash: Annotated[str, Field(max_length=64)]


@router.get("", response=RequestPage, summary="Requests, newest first")
def approval_list(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    user = require(request, scope=READ)
    rows = ApprovalRequest.objects.visible_to(user)
    if filters.mine:
        rows = rows.mine(user)
    if filters.status:
        rows = rows.filter(status=filters.status)
    if filters.kind:
        rows = rows.filter(kind=filters.kind)
    found = page(rows.for_list(), cursor=filters.cursor, limit=filters.limit)
    return {
        "items": [_row(item, signed=item.signed) for item in found["items"]],
        "next": found["next"],
    }


@router.get("/{request_id}", response=RequestDetail, summary="One request")
def approval_get(request: HttpRequest, request_id: UUID) -> dict[str, Any]:
    user = require(request, scope=READ)
    found = ApprovalRequest.objects.visible_to(user).for_detail().filter(pk=request_id).first()
    if found is None:
        raise NotFound("There is no such request.")
    return _detail(found, user)


@router.post("/{request_id}/decide", response=RequestDetail, summary="Sign a request")
def approval_decide(request: HttpRequest, request_id: UUID, body: Decision) -> dict[str, Any]:
    """One rejection rejects. An approval that does not complete the last tier leaves it open.

    Refusals: 404 `not_found`; 409 `already_decided` (with `decided_by`, `decided_at`,
    `request_status`), `expired`, `workflow_closed`, `payload_changed` (with the current
    `payload_hash`); 403 `requester_cannot_sign`, `editor_cannot_sign`, `already_signed`,
    `permission_denied`, `not_in_group`; 422 `bad_verdict`, `reason_required`,
    `reason_too_long`, `invalid_text`.
    """
    # Only the scope is asked here: the service refuses the person, and audits that.
    user = require(request, scope=DECIDE)
    decided = services.request_decide(
        request_id=request_id,
        by=user,
        verdict=body.verdict,
        reason=body.reason,
        payload_hash=body.payload_hash,
        via="api",
        as_of=timezone.now(),
    )
    return _detail(decided, user)


def _row(item: ApprovalRequest, *, signed: int) -> dict[str, Any]:
    tier = item.tiers[item.tier_number - 1]
    return {
        "id": item.pk,
        "kind": item.kind,
        "kind_title": kinds.title_of(item.kind),
        "title": item.title,
        "status": item.status,
        "subject_type": item.subject_type,
        "subject_id": item.subject_id,
        "workflow_id": item.workflow_id,
        "requested_by": _person(item.requested_by),
        "amount": _money(item.amount),
        "currency": item.currency,
        "tier": item.tier_number,
        "tiers": len(item.tiers),
        "group": tier["group"],
        "signed": signed,
        "quorum": tier["quorum"],
        "created_at": item.created_at,
        "expires_at": item.expires_at,
        "settled_at": item.settled_at,
        "settled_by": _person(item.settled_by),
    }


def _detail(item: ApprovalRequest, user: Any) -> dict[str, Any]:
    payload = selectors.current_payload(item)
    states = selectors.tiers(item)
    kind = kinds.find(item.kind)
    numbers = {version.pk: version.number for version in item.payloads.all()}
    return {
        **_row(item, signed=states[item.tier_number - 1].signed),
        "subject_url": kind.subject_url(item.subject_id) if kind else "",
        "rule": str(item.rule or ""),
        "reason_required": item.reason_required,
        "settled_reason": item.settled_reason,
        "payload": payload.payload,
        "payload_number": payload.number,
        "payload_hash": payload.hash,
        "tier_states": states,
        "signatures": [
            {
                "tier": signature.tier,
                "actor": _person(signature.actor),
                "authority": _person(signature.authority),
                "verdict": signature.verdict,
                "reason": signature.reason,
                "via": signature.via,
                "at": signature.at,
                "payload_number": numbers[signature.payload_id],
                "counts": signature.payload_id == payload.pk,
            }
            for signature in item.signatures.all()
        ],
        "who_signs_next": selectors.who_signs_next(item),
        "can_sign": selectors.can_sign(item, user),
        "facts": kind.facts(item) if kind else [],
    }


def _person(user: Any) -> dict[str, str] | None:
    return {"username": user.username, "name": str(user)} if user else None


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:.2f}"
