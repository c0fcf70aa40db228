"""API of requests: list, read and decide. Mounted at /api/v1/approvals."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import F
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from ninja import Query, Schema
from pydantic import Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.approvals import kinds, selectors, services
from apps.approvals.api.base import DECIDE, READ, router
from apps.approvals.api.reasons import ReasonLine, reason_lines
from apps.approvals.contracts import RequestStatus
from apps.approvals.forms import InboxFilter
from apps.approvals.models import ApprovalRequest, ApprovalRequestQuerySet, PayloadVersion
from apps.approvals.rules import MOST_TIERS
from apps.common.api import AmountFilter, Cursor, Limit, Unjudged, Words
from apps.common.errors import Invalid, NotFound
from apps.common.language import lazy as _
from apps.common.money import exact_or_none
from apps.common.pagination import page
from apps.live.presence import present
from apps.web.denied import row_of


class Person(Schema):
    """A user as others see them."""

    username: str
    name: str


class RequestRow(Schema):
    """A request in a list. `tier` is the current tier, with `signed` of its `quorum`; a decision
    must give `payload_hash`."""

    id: UUID
    kind: str
    kind_title: Words
    title: str
    status: RequestStatus
    subject_type: str
    subject_id: str
    workflow_id: str
    requested_by: Person | None
    amount: str | None = Field(description="Decimal in major units, as its currency has it.")
    currency: str
    tier: int
    tiers: int
    group: str
    signed: int
    quorum: int
    payload_hash: str
    created_at: datetime
    due_at: datetime | None
    expires_at: datetime | None
    claimed_by: Person | None = Field(description="Who holds it now.")
    claimed_until: datetime | None
    settled_at: datetime | None
    settled_by: Person | None


class RequestPage(Schema):
    """`next` is the `cursor` of the next page, or null."""

    items: list[RequestRow]
    next: str | None


class TierState(Schema):
    number: int
    group: str
    quorum: int
    signed: int
    state: str = Field(description="done, current, waiting, closed")


class SignatureLine(Schema):
    """`authority` is the user on whose behalf the actor signed. `counts`: no edit voided the
    signature."""

    tier: int
    actor: Person
    authority: Person
    verdict: str
    reason: str
    reason_code: str
    reason_label: Words
    via: str
    at: datetime
    payload_number: int
    counts: bool


class FactLine(Schema):
    label: Words
    value: Words
    tone: str
    href: str


class EditableLine(Schema):
    name: str
    label: Words
    type: str = Field(description="text, prose, decimal")


class RequestDetail(RequestRow):
    """`can_sign` is empty when you may decide now, else the code with which your decision would be
    refused. `authorities` are those under which you could sign, your own first. `editable` lists
    the fields that you may edit. `facts` are live data and never signed."""

    subject_url: str
    rule: str
    band: str
    reason_required: bool
    reasons: list[ReasonLine]
    escalated_group: str
    escalated_to: Person | None
    settled_reason: str
    settled_reason_code: str
    payload: dict[str, Any]
    payload_number: int
    tier_states: list[TierState]
    signatures: list[SignatureLine]
    who_signs_next: str
    can_sign: str
    authorities: list[Person]
    editable: list[EditableLine]
    facts: list[FactLine]


class RequestSeen(RequestDetail):
    """`present`: users who have the page open, at most a few seconds old."""

    present: list[Person]


class Filters(Schema):
    """The inbox's filters, with the same meaning. `due`, `claim` and `sort=due` list only open
    requests; without them and without `status`, settled requests are listed too."""

    status: RequestStatus | None = None
    kind: Annotated[str, Field(max_length=60, pattern=r"^[a-z0-9_.]*$")] = ""
    mine: bool = Field(False, description="Only what waits for a signature of yours.")
    q: Annotated[
        str, Field(max_length=100, description="In the title and in what is asked; 3 or more.")
    ] = ""
    group: Annotated[str, Field(max_length=150, description="Whose turn it is.")] = ""
    due: Literal["", "over", "soon"] = Field("", description="soon: within a day, or overdue.")
    claim: Literal["", "me", "free", "taken"] = ""
    age: Literal["", "1h", "1d", "7d"] = Field("", description="Older than that.")
    currency: Annotated[str, Field(max_length=3)] = ""
    least: AmountFilter = Field("", description="Amount from.")
    most: AmountFilter = Field("", description="Amount up to.")
    sort: Literal["newest", "oldest", "due"] = "newest"
    cursor: Cursor = None
    limit: Limit = 50


class Decision(Schema):
    # The schema limits only the size: the service checks verdict and reason and audits refusals.
    verdict: Annotated[str, Field(max_length=20, description="approve or reject")]
    reason: Unjudged = ""
    reason_code: Annotated[
        str, Field(max_length=200, description="One of the request's `reasons` for that verdict.")
    ] = ""
    payload_hash: Annotated[str, Field(max_length=64)]
    on_behalf_of: Annotated[
        str | None,
        Field(
            max_length=150,
            description="Username: under whose authority. Without: your own, else the only one "
            "delegated to you that can sign.",
        ),
    ] = None
    tier: Annotated[
        int | None,
        Field(
            ge=1,
            le=MOST_TIERS,
            description="The `tier` that you read. Without: whichever signs now.",
        ),
    ] = None


@router.get("", response=RequestPage, summary="Requests: the inbox, and what was settled")
def approval_list(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    """List requests; each row has what `bulk-decide` needs. A cursor is valid for its `sort` only.
    Refusals: 422 `filter_invalid` (with `field`), `bad_cursor`."""
    user = require(request, scope=READ)
    rows = _matching(filters, user).for_list()
    found = page(rows, cursor=filters.cursor, limit=filters.limit, order=filters.sort)
    hashes = _hashes(found["items"])
    return {
        "items": [
            _row(item, signed=item.signed, payload_hash=hashes[item.pk]) for item in found["items"]
        ],
        "next": found["next"],
    }


@router.get("/{request_id}", response=RequestSeen, summary="One request")
def approval_get(request: HttpRequest, request_id: UUID) -> dict[str, Any]:
    user = require(request, scope=READ)
    found = visible(request_id, user)
    people = User.objects.filter(pk__in=present(f"request:{found.pk}")).order_by("username")
    return {**detail(found, user), "present": [_person(one) for one in people]}


@router.post("/{request_id}/decide", response=RequestDetail, summary="Sign a request")
def approval_decide(request: HttpRequest, request_id: UUID, body: Decision) -> dict[str, Any]:
    """Sign or reject. One rejection settles the request as rejected; it stays open until an
    approval completes the last tier.

    Refusals: 404 `not_found`; 409 `already_decided` (with `decided_by`, `decided_at`,
    `request_status`), `expired`, `workflow_closed`, `claimed` (with `claimed_by`,
    `claimed_until`), `payload_changed` (with the current `payload_hash` and, if you saw an older
    version, `difference`: `[{field, was, now}]`), `tier_changed` (with the current `tier`); 403
    `requester_cannot_sign`, `editor_cannot_sign`, `already_signed`, `permission_denied`,
    `not_in_group`, `no_delegation`; 422 `authority_invalid`, `bad_verdict`, `reason_required`,
    `reason_code_required`, `reason_code_unknown` (both with `reason_codes`, those to choose from),
    `reason_too_long`, `invalid_text`, `invisible_characters`.
    """
    # Only the scope is checked here: the service checks the user and audits the refusal.
    user = require(request, scope=DECIDE)
    decided = services.request_decide(
        request_id=request_id,
        by=user,
        verdict=body.verdict,
        reason=body.reason,
        reason_code=body.reason_code,
        payload_hash=body.payload_hash,
        via="api",
        as_of=timezone.now(),
        on_behalf_of=body.on_behalf_of,
        tier=body.tier,
    )
    return detail(decided, user)


def visible(request_id: UUID, user: User) -> ApprovalRequest:
    """Return the request `for_detail`. Raises NotFound if it is missing or the user may not see
    it."""
    visible = ApprovalRequest.objects.visible_to(user).for_detail()
    return row_of(visible, NotFound(_("There is no such request.")), pk=request_id)


def _matching(filters: Filters, user: User) -> ApprovalRequestQuerySet:
    """Return what the inbox's filter matches. Unlike in the inbox, this can include settled
    requests."""
    given = QueryDict(mutable=True)
    for name in ("q", "group", "due", "claim", "age", "currency", "least", "most"):
        given[name] = getattr(filters, name)
    given["sort"] = "" if filters.sort == "newest" else filters.sort
    if filters.status and filters.status.settled:
        given["status"] = filters.status
    form = InboxFilter(given)
    if not form.is_valid():
        name, errors = next(iter(form.errors.items()))
        raise Invalid(f"{name}: {errors[0]}", code="filter_invalid", field=name)
    now = timezone.now()
    waiting = filters.status == RequestStatus.OPEN or bool(filters.due or filters.claim)
    rows = form.apply_bar(
        ApprovalRequest.objects.visible_to(user),
        as_of=now,
        waiting=waiting or filters.sort == "due",
    )
    if filters.kind:
        # The form cannot filter by kind here: its choices are the registered kinds only.
        rows = rows.filter(kind=filters.kind)
    return form.narrow(
        rows, user=user, as_of=now, mine=filters.mine, due=filters.due, claim=filters.claim
    )


def _hashes(rows: list[ApprovalRequest]) -> dict[Any, str]:
    """Return the current payload hash of each request, in one query."""
    current = PayloadVersion.objects.filter(
        request__in=[row.pk for row in rows], number=F("request__payload_number")
    )
    return dict(current.values_list("request_id", "hash"))


def _row(item: ApprovalRequest, *, signed: int, payload_hash: str) -> dict[str, Any]:
    held_by = selectors.leaseholder(item, as_of=timezone.now())
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
        "amount": exact_or_none(item.amount, item.currency),
        "currency": item.currency,
        "tier": item.tier_number,
        "tiers": len(item.tiers),
        "group": tier["group"],
        "signed": signed,
        "quorum": tier["quorum"],
        "payload_hash": payload_hash,
        "created_at": item.created_at,
        "due_at": item.due_at,
        "expires_at": item.expires_at,
        "claimed_by": _person(held_by),
        "claimed_until": item.claimed_until if held_by else None,
        "settled_at": item.settled_at,
        "settled_by": _person(item.settled_by),
    }


def detail(item: ApprovalRequest, user: User) -> dict[str, Any]:
    """Return the request as a RequestDetail for that user."""
    now = timezone.now()
    can_sign = selectors.can_sign(item, user, as_of=now)
    held_by = selectors.holder(item, as_of=now)
    payload = selectors.current_payload(item)
    states = selectors.tiers(item)
    kind = kinds.find(item.kind)
    numbers = {version.pk: version.number for version in item.payloads.all()}
    return {
        **_row(item, signed=states[item.tier_number - 1].signed, payload_hash=payload.hash),
        "claimed_by": _person(held_by),
        "claimed_until": item.claimed_until if held_by else None,
        "subject_url": kind.subject_url(item.subject_id) if kind else "",
        "rule": str(item.rule or ""),
        "band": selectors.band_words(item),
        "reason_required": item.reason_required,
        "reasons": reason_lines(kind),
        "escalated_group": item.escalated_group,
        "escalated_to": _person(item.escalated_to),
        "settled_reason": item.settled_reason,
        "settled_reason_code": item.settled_reason_code,
        "payload": payload.payload,
        "payload_number": payload.number,
        "tier_states": states,
        "signatures": [
            {
                "tier": signature.tier,
                "actor": _person(signature.actor),
                "authority": _person(signature.authority),
                "verdict": signature.verdict,
                "reason": signature.reason,
                "reason_code": signature.reason_code,
                "reason_label": signature.reason_label,
                "via": signature.via,
                "at": signature.at,
                "payload_number": numbers[signature.payload_id],
                "counts": signature.payload_id == payload.pk,
            }
            for signature in item.signatures.all()
        ],
        "who_signs_next": selectors.who_signs_next(item),
        "can_sign": can_sign,
        "authorities": [
            _person(authority)
            for authority in ([] if can_sign else selectors.authorities(item, user, as_of=now))
        ],
        "editable": kind.editable if kind and services.may_edit(item, user, kind) else [],
        "facts": kind.facts(item) if kind else [],
    }


def _person(user: Any) -> dict[str, str] | None:
    return {"username": user.username, "name": str(user)} if user else None
