"""API of bulk decisions: preview, start, read, stop and resume."""

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
from apps.common.api import Cursor, InCurrency, Limit, NumberCursor, Unjudged, Words
from apps.common.errors import NotFound
from apps.common.identifiers import new_id
from apps.common.language import lazy as _
from apps.common.money import exact_or_none
from apps.common.pagination import numbered_page, page
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered


class BulkItemIn(Schema):
    """`payload_hash` and `tier` are those of the request as you read it. Without `tier`: the tier
    that signs when the bulk decision starts. `on_behalf_of`: as in `decide`."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    payload_hash: Annotated[str, Field(max_length=64)]
    on_behalf_of: Annotated[str, Field(max_length=150)] | None = None
    tier: Annotated[int, Field(ge=1, le=MOST_TIERS)] | None = None


class BulkIn(Schema):
    # The schema limits only the size: the service checks the rules and audits refusals.
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
    """`done` items were signed, `failed` ones refused; `left` ones have no outcome yet or were
    stopped."""

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
    """`code` and `detail` say why a `failed` item was refused."""

    number: int
    request: UUID = Field(validation_alias="request_id")
    title: str = Field(validation_alias="request.title")
    status: ItemStatus
    authority: str = Field(validation_alias="authority.username")
    code: str = Field(validation_alias="error_code")
    detail: str = Field(validation_alias="error_detail")
    decided_at: datetime | None = Field(validation_alias="settled_at")


class BulkItemPage(Schema):
    """`next` is the `cursor` of the next page, or null."""

    items: list[BulkItemOut]
    next: str | None


class Chosen(Schema):
    """The requests in `ids`, or all that the inbox lists for you at `query` (its query string)."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[UUID], Field(max_length=MOST_ITEMS)] = []
    query: Annotated[str, Field(max_length=2000)] | None = None


class BulkParty(Schema):
    username: str
    name: str

    @staticmethod
    def resolve_name(party: User) -> str:
        """Return the name that pages show."""
        return str(party)


class BulkPreviewLine(Schema):
    """`after`: who signs next after your approval; empty: the request is carried out. `authorities`
    are those under which you can sign; without any, `code` and `detail` say why not."""

    id: UUID = Field(validation_alias="request.pk")
    title: str = Field(validation_alias="request.title")
    kind: str = Field(validation_alias="request.kind")
    kind_title: Words
    payload_hash: str
    tier: int = Field(validation_alias="request.tier_number")
    amount: str | None
    currency: str = Field(validation_alias="request.currency")
    reason_required: bool = Field(validation_alias="request.reason_required")
    authorities: list[BulkParty]
    after: str
    code: str
    detail: Words

    @staticmethod
    def resolve_amount(line: BulkLine) -> str | None:
        """Format the amount with the decimal places of its currency."""
        return exact_or_none(line.request.amount, line.request.currency)

    @staticmethod
    def resolve_code(line: BulkLine) -> str:
        """Return the code of the refusal, or an empty text."""
        return line.refusal.code if line.refusal else ""

    @staticmethod
    def resolve_detail(line: BulkLine) -> str:
        """Return the detail of the refusal, or an empty text."""
        return line.refusal.detail if line.refusal else ""


class BulkSum(InCurrency):
    count: int


class BulkPreviewOut(Schema):
    """`sums` cover the `signable` requests; `cut`: more requests match than one bulk decision can
    take. `reasons`: the coded reasons by kind, for `reason_codes`."""

    signable: list[BulkPreviewLine]
    barred: list[BulkPreviewLine]
    sums: list[BulkSum]
    reason_required: bool
    reasons: dict[str, list[ReasonLine]]
    cut: bool


@router.post("/bulk-preview", response=BulkPreviewOut, summary="What bulk-decide would come to")
def bulk_try(request: HttpRequest, body: Chosen) -> dict[str, Any]:
    """Preview a bulk decision of up to 500 requests; sign nothing. Requests that you may not see
    are left out."""
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
    """Start a bulk decision of up to 500 requests and answer at once. A workflow then signs or
    refuses each item by itself. The same `Idempotency-Key` and body return the same bulk decision.

    Refusals: 404 `unknown_request` (extra `ids`; nothing starts); 409 `key_reused`; 422
    `bad_verdict`, `no_items`, `too_many_items`, `duplicate_items`, `bad_hash`, `authority_invalid`,
    `reason_too_long`, `invalid_text`, and with the `kind` (nothing starts) `reason_code_required`,
    `reason_code_unknown`, `reason_required`. Each item can be refused with the codes of `decide`
    and `internal_error`.
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
    """Your own bulk decisions; all of them for users who may read the audit trail."""
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
    """Items in the order in which they were given. Refusals: 422 `bad_cursor`."""
    bulk = _get(require(request, scope=READ), bulk_id)
    rows = bulk.items.select_related("request", "authority")
    if status:
        rows = rows.filter(status=status)
    return numbered_page(rows, cursor=cursor, limit=limit)


@router.post(
    "/bulk-decisions/{bulk_id}/stop", response=BulkOut, summary="Sign no further request of it"
)
def bulk_stop(request: HttpRequest, bulk_id: UUID) -> BulkDecision:
    """Stop after the current item; signatures stay. Only for the user who started it. Refusals:
    404; 409 `already_completed`."""
    user = require(request, scope=DECIDE)
    return services.bulk_stop(bulk_id=bulk_id, by=user, via="api", as_of=timezone.now())


@router.post(
    "/bulk-decisions/{bulk_id}/resume", response=BulkOut, summary="Go on with what was stopped"
)
def bulk_resume(request: HttpRequest, bulk_id: UUID) -> BulkDecision:
    """Continue with the stopped items. Only for the user who started it. Refusals: 404; 409
    `already_running`, `already_completed`."""
    user = require(request, scope=DECIDE)
    return services.bulk_resume(bulk_id=bulk_id, by=user, via="api", as_of=timezone.now())


def _get(user: User, bulk_id: UUID) -> BulkDecision:
    visible = BulkDecision.objects.visible_to(user).select_related("requested_by")
    return row_of(visible, NotFound(_("There is no such bulk decision.")), pk=bulk_id)


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
