"""The API of claims. Mounted at /api/v1/pix/claims."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict

from apps.accounts.auth import require
from apps.common.api import Cursor, Failing, Key, Limit
from apps.common.errors import NotFound
from apps.common.identifiers import uuid_of
from apps.common.language import lazy as _
from apps.common.pagination import page
from apps.pix.api.entry_shapes import PixAccountIn, PixOwnerIn
from apps.pix.claim_forms import ClaimFilter
from apps.pix.contracts import ClaimStatus, ClaimType, KeyType, Origin, Role
from apps.pix.keys import masked_key
from apps.pix.models import Claim
from apps.pix.scopes import Scope
from apps.pix.services.claim_answering import claim_answer
from apps.pix.services.claims import claim_open
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered

router = Router(tags=["pix"])

Text = Annotated[str, Field(max_length=200)]


class ClaimIn(Schema):
    """Without `donor_ispb` the directory says who has the key."""

    model_config = ConfigDict(extra="forbid")

    claim_id: Text = ""
    claim_type: ClaimType
    key_type: KeyType
    key: Text
    claimer_account: PixAccountIn
    claimer: PixOwnerIn
    donor_ispb: Text = ""
    rulebook: Text = ""
    idempotency_key: Key = ""


class AnswerIn(Schema):
    """`reason`: one of the coded reasons, or a text. `role`: the side that acts, where both are
    ours."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=2000)] = ""
    role: Role | None = None


class ClaimStarted(Schema):
    id: UUID
    claim_id: str
    workflow_id: str
    status: ClaimStatus


class ClaimOut(ClaimStarted, Failing):
    """`key` is masked. `decision`: what is being carried out, or was last. The times are those of
    the directory where it gave some, else the rulebook's."""

    claim_type: ClaimType
    entry_id: str
    key_type: str
    key: str
    claimer_ispb: str
    donor_ispb: str
    ours: list[Role]
    rulebook: str
    opened_at: datetime | None
    resolution_ends_at: datetime | None
    completion_ends_at: datetime | None
    possession_ends_at: datetime | None
    decision: str
    decision_reason: str
    decided_by: str
    decided_at: datetime | None
    cancelled_by: str
    directory_id: str
    directory_status: str
    origin: Origin
    created_at: datetime
    settled_at: datetime | None

    @staticmethod
    def resolve_entry_id(claim: Claim) -> str:
        return claim.entry_ref

    @staticmethod
    def resolve_key(claim: Claim) -> str:
        return masked_key(claim.key_type, claim.key) if claim.key else ""

    @staticmethod
    def resolve_rulebook(claim: Claim) -> str:
        return str(claim.rulebook)


class ClaimPage(Schema):
    items: list[ClaimOut]
    next: str | None


@router.post("", response={200: ClaimStarted, 201: ClaimStarted})
def claim_create(request: HttpRequest, body: ClaimIn) -> Status[Claim]:
    """Claim a key for an account of one of our participants. The same idempotency key and body
    again: the same claim, with 200.

    Refusals: 403 `permission_denied`; 409 `claim_already_exists_for_key`, `claim_id_taken`,
    `entry_already_exists`, `idempotency_key_reused`; 422 `key_invalid`, `claim_type_inconsistent`
    (with `suggested_claim`), `participant_not_ours`, `claim_id_invalid`, `rulebook_unknown`.
    """
    user = require(request, scope=Scope.PIX_WRITE)
    claim, created = claim_open(**body.dict(), by=user, via="api", as_of=timezone.now())
    return Status(201 if created else 200, claim)


@router.get("", response=ClaimPage)
@filtered(ClaimFilter)
def claim_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """Those that the caller may see, newest first."""
    user = require(request, scope=Scope.PIX_READ)
    rows = narrow(_visible(user), user=user)
    return page(rows.order_by("-created_at", "-id"), cursor=cursor, limit=limit)


@router.get("/{claim_id}", response=ClaimOut)
def claim_read(request: HttpRequest, claim_id: str) -> Claim:
    """One claim, by our id or by its `claim_id`."""
    user = require(request, scope=Scope.PIX_READ)
    return _claim(user, claim_id)


@router.post("/{claim_id}/confirm", response=ClaimOut)
def claim_confirm(request: HttpRequest, claim_id: str, body: AnswerIn) -> Claim:
    """Confirm as the donor: a signature on the open request.

    Refusals: 403 `permission_denied`, `requester_cannot_sign`, `not_in_group`,
    `claim_party_invalid`; 409 `claim_operation_invalid`, `already_decided`; 422 `reason_invalid`.
    """
    return _answer(request, claim_id, "confirm", body)


@router.post("/{claim_id}/cancel", response=ClaimOut)
def claim_cancel(request: HttpRequest, claim_id: str, body: AnswerIn) -> Claim:
    """Cancel as the donor (a signature on the open request) or as the claimer.

    Refusals: as `confirm`; 409 `claim_resolution_period_not_ended`.
    """
    return _answer(request, claim_id, "cancel", body)


@router.post("/{claim_id}/complete", response=ClaimOut)
def claim_complete(request: HttpRequest, claim_id: str, body: AnswerIn) -> Claim:
    """Complete a confirmed claim as the claimer.

    Refusals: as `confirm`; 409 `claim_completion_period_not_ended`.
    """
    return _answer(request, claim_id, "complete", body)


# --- helpers --------------------------------------------------------------------------------------
def _visible(user: Any) -> Any:
    return Claim.objects.visible_to(user).select_related("rulebook")


def _claim(user: Any, claim_id: str) -> Claim:
    missing = NotFound(_("There is no such claim."))
    pk = uuid_of(claim_id)
    rows = _visible(user)
    if pk is not None and rows.filter(pk=pk).exists():
        return row_of(rows, missing, pk=pk)
    return row_of(rows, missing, claim_id=claim_id[:200])


def _answer(request: HttpRequest, claim_id: str, event: str, body: AnswerIn) -> Claim:
    user = require(request, scope=Scope.PIX_DECIDE)
    claim = _claim(user, claim_id)
    claim_answer(
        claim_id=claim.pk,
        event=event,
        role=body.role or "",
        reason=body.reason,
        by=user,
        via="api",
        as_of=timezone.now(),
    )
    return _claim(user, str(claim.pk))
