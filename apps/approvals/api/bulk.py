"""The API of bulk decisions: begin one, look at it, stop and resume it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Header, Schema, Status
from pydantic import ConfigDict, Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.approvals import kinds, services
from apps.approvals.api.base import DECIDE, READ, router
from apps.approvals.api.reasons import ReasonLine, reason_lines
from apps.approvals.contracts import BulkStatus, ItemStatus
from apps.approvals.forms import BulkFilter, inbox_matching
from apps.approvals.models import BulkDecision
from apps.approvals.rules import MOST_TIERS
from apps.approvals.selectors.bulk import BulkLine, bulk_preview
from apps.approvals.services.bulk import MOST_ITEMS, BulkChoice
from apps.approvals.services.rows import person_named
from apps.common.api import Cursor, InCurrency, Limit, NumberCursor, Unjudged
from apps.common.errors import NotFound
from apps.common.identifiers import new_id
from apps.common.money import exact_or_none
from apps.common.pagination import numbered_page, page
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered


class BulkItemIn(Schema):
    """`payload_hash` and `tier` are those of the request as you read it; without `tier`, the one
    that signs when this is begun. `on_behalf_of`: as in `decide`."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    payload_hash: Annotated[str, Field(max_length=64)]
    on_behalf_of: Annotated[str, Field(max_length=150)] | None = None
    tier: Annotated[int, Field(ge=1, le=MOST_TIERS)] | None = None


class BulkIn(Schema):
    # Only a sane size is asked here: the service knows the rules, and audits refusals.
    model_config = ConfigDict(extra="forbid")

    verdict: Annotated[str, Field(max_length=20, description="approve or reject")]
    reason: Unjudged = ""
    reason_codes: Annotated[
        dict[str, str], Field(max_length=100, description="The coded reason of each kind.")
    ] = {}
    items: Annotated[list[BulkItemIn], Field(max_length=2 * MOST_ITEMS)]


class BulkRef(Schema):
    id: UUID
    workflow_id: str
    status: BulkStatus
    total: int


class BulkOut(BulkRef):
    """`done` were signed, `failed` refused, `left` have no outcome: they wait or were stopped."""

    verdict: str
    reason: str
    reason_codes: dict[str, str]
    by: str = Field(validation_alias="requested_by.username")
    via: str
    done: int
    failed: int
    left: int
    created_at: datetime
    finished_at: datetime | None = Field(validation_alias="settled_at")


class BulkPage(Schema):
    items: list[BulkOut]
    next: str | None


class BulkItemOut(Schema):
    """`code` and `detail` say why an item with the status `failed` was refused."""

    number: int
    request: UUID = Field(validation_alias="request_id")
    title: str = Field(validation_alias="request.title")
    status: ItemStatus
    authority: str = Field(validation_alias="authority.username")
    code: str = Field(validation_alias="error_code")
    detail: str = Field(validation_alias="error_detail")
    decided_at: datetime | None = Field(validation_alias="settled_at")


class BulkItemPage(Schema):
    """`next`: pass it as `cursor`."""

    items: list[BulkItemOut]
    next: str | None


class Chosen(Schema):
    """These requests, or all that the inbox lists for you at `query` (its query string)."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[UUID], Field(max_length=MOST_ITEMS)] = []
    query: Annotated[str, Field(max_length=2000)] | None = None


class BulkParty(Schema):
    username: str
    name: str

    @staticmethod
    def resolve_name(party: User) -> str:
        """As pages show it."""
        return str(party)


class BulkPreviewLine(Schema):
    """`after`: who signs after an approval of yours; empty: it is carried out. `authorities` are
    those under which you could sign; without one `code` and `detail` say why not."""

    id: UUID = Field(validation_alias="request.pk")
    title: str = Field(validation_alias="request.title")
    kind: str = Field(validation_alias="request.kind")
    kind_title: str
    payload_hash: str
    tier: int = Field(validation_alias="request.tier_number")
    amount: str | None
    currency: str = Field(validation_alias="request.currency")
    reason_required: bool = Field(validation_alias="request.reason_required")
    authorities: list[BulkParty]
    after: str
    code: str
    detail: str

    @staticmethod
    def resolve_amount(line: BulkLine) -> str | None:
        """In the places of its currency."""
        return exact_or_none(line.request.amount, line.request.currency)

    @staticmethod
    def resolve_code(line: BulkLine) -> str:
        """Of the refusal."""
        return line.refusal.code if line.refusal else ""

    @staticmethod
    def resolve_detail(line: BulkLine) -> str:
        """Of the refusal."""
        return line.refusal.detail if line.refusal else ""


class BulkSum(InCurrency):
    count: int


class BulkPreviewOut(Schema):
    """`sums` are of what is `signable`; `cut`: more match than can be decided in one go. `reasons`:
    the coded reasons of its kinds, by their names, for `reason_codes`."""

    signable: list[BulkPreviewLine]
    barred: list[BulkPreviewLine]
    sums: list[BulkSum]
    reason_required: bool
    reasons: dict[str, list[ReasonLine]]
    cut: bool


@router.post("/bulk-preview", response=BulkPreviewOut, summary="What bulk-decide would come to")
def bulk_try(request: HttpRequest, body: Chosen) -> dict[str, Any]:
    """Signs nothing. What you may not see is left out. Up to 500."""
    user = require(request, scope=READ)
    now = timezone.now()
    ids = list(body.ids)
    if body.query is not None:
        found = inbox_matching(user=user, query=body.query, as_of=now)
        rows = found.order_by("-created_at", "-pk").values_list("pk", flat=True)
        ids += rows[: MOST_ITEMS + 1]
    ids = list(dict.fromkeys(ids))
    seen = bulk_preview(user, ids[:MOST_ITEMS], as_of=now)
    return {
        "signable": seen.signable,
        "barred": seen.barred,
        "sums": seen.sums,
        "reason_required": seen.reason_required,
        "reasons": {
            name: lines
            for name in {line.request.kind for line in seen.signable}
            if (lines := reason_lines(kinds.find(name)))
        },
        "cut": len(ids) > MOST_ITEMS,
    }


@router.post("/bulk-decide", response={202: BulkRef}, summary="Sign many requests in one go")
def bulk_decide(
    request: HttpRequest,
    body: BulkIn,
    idempotency_key: Annotated[
        str | None, Header(max_length=120, pattern=r"^[\x20-\x7e]+$")
    ] = None,
) -> Status[BulkDecision]:
    """Answers at once; each request is signed, or refused with a reason of its own, one after the
    other. Up to 500. The same `Idempotency-Key` and body again: the same bulk decision.

    Refusals: 404 `unknown_request` (extra `ids`; nothing is begun); 409 `key_reused`; 422
    `bad_verdict`, `no_items`, `too_many_items`, `duplicate_items`, `bad_hash`,
    `authority_invalid`, `reason_too_long`, `invalid_text`, and with the `kind` (nothing is begun)
    `reason_code_required`, `reason_code_unknown`, `reason_required`. What an item can be refused
    with is what `decide` refuses, and `internal_error`.
    """
    user = require(request, scope=DECIDE)
    begun = services.bulk_decide(
        by=user,
        verdict=body.verdict,
        reason=body.reason,
        reason_codes=body.reason_codes,
        items=_choices(body.items),
        key=f"api:{idempotency_key or new_id()}",
        via="api",
        as_of=timezone.now(),
    )
    return Status(202, begun)


@router.get("/bulk-decisions", response=BulkPage, summary="Bulk decisions, newest first")
@filtered(BulkFilter)
def bulk_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """Your own; all for who may read the audit trail."""
    user = require(request, scope=READ)
    rows = BulkDecision.objects.visible_to(user).select_related("requested_by")
    return page(narrow(rows, user=user), cursor=cursor, limit=limit)


@router.get("/bulk-decisions/{bulk_id}", response=BulkOut, summary="One bulk decision")
def bulk_get(request: HttpRequest, bulk_id: UUID) -> BulkDecision:
    return _get(require(request, scope=READ), bulk_id)


@router.get(
    "/bulk-decisions/{bulk_id}/items",
    response=BulkItemPage,
    summary="Outcome of each request of a bulk decision",
)
def bulk_items(
    request: HttpRequest,
    bulk_id: UUID,
    status: ItemStatus | None = None,
    cursor: NumberCursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """In the order in which they were given. Refusals: 422 `bad_cursor`."""
    bulk = _get(require(request, scope=READ), bulk_id)
    rows = bulk.items.select_related("request", "authority")
    if status:
        rows = rows.filter(status=status)
    return numbered_page(rows, cursor=cursor, limit=limit)


@router.post(
    "/bulk-decisions/{bulk_id}/stop", response=BulkOut, summary="Sign no further request of it"
)
def bulk_stop(request: HttpRequest, bulk_id: UUID) -> BulkDecision:
    """What is signed stays signed. Only who began it. Refusals: 404; 409 `already_completed`."""
    user = require(request, scope=DECIDE)
    return services.bulk_stop(bulk_id=bulk_id, by=user, via="api", as_of=timezone.now())


@router.post(
    "/bulk-decisions/{bulk_id}/resume", response=BulkOut, summary="Go on with what was stopped"
)
def bulk_resume(request: HttpRequest, bulk_id: UUID) -> BulkDecision:
    """Only who began it. Refusals: 404; 409 `already_running`, `already_completed`."""
    user = require(request, scope=DECIDE)
    return services.bulk_resume(bulk_id=bulk_id, by=user, via="api", as_of=timezone.now())


def _get(user: User, bulk_id: UUID) -> BulkDecision:
    visible = BulkDecision.objects.visible_to(user).select_related("requested_by")
    return row_of(visible, NotFound("There is no such bulk decision."), pk=bulk_id)


def _choices(items: list[BulkItemIn]) -> list[BulkChoice]:
    people: dict[str, User] = {}
    for name in {item.on_behalf_of for item in items if item.on_behalf_of}:
        found = person_named(name, code="authority_invalid")
        assert found is not None  # a name was given
        people[name] = found
    return [
        BulkChoice(item.id, item.payload_hash, people.get(item.on_behalf_of or ""), item.tier)
        for item in items
    ]
