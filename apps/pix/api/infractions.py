"""API of infractions. Mounted at /api/v1/pix/infractions."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import ConfigDict, Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.api import Cursor, Failing, Key, Limit, Unjudged
from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.common.money import exact_or_none
from apps.common.pagination import page
from apps.pix.contracts import LONGEST_ID, LONGEST_KEY, KeyType
from apps.pix.contracts.infractions import (
    Analysis,
    FraudType,
    InfractionReason,
    InfractionStatus,
    Situation,
)
from apps.pix.forms.infractions import InfractionFilter
from apps.pix.keys import masked_key
from apps.pix.models import Infraction
from apps.pix.scopes import Scope
from apps.pix.services import infraction_opening, infraction_signing, infraction_working
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered

router = Router(tags=["pix"])

Id = Annotated[str, Field(max_length=LONGEST_ID)]
Ispb = Annotated[str, Field(max_length=8)]
Hash = Annotated[str, Field(max_length=64)]


class InfractionIn(Schema):
    """`reporter_ispb` is a participant of ours. `situation` OTHER needs `details`."""

    model_config = ConfigDict(extra="forbid")

    transaction_id: Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
    reporter_ispb: Ispb
    situation: Situation
    reason: InfractionReason = InfractionReason.REFUND_REQUEST
    infraction_id: Id = ""
    counterparty_ispb: Ispb = ""
    details: Unjudged = ""
    contact_email: Annotated[str, Field(max_length=254)] = ""
    contact_phone: Annotated[str, Field(max_length=20)] = ""
    key_type: KeyType | None = None
    key: Annotated[str, Field(max_length=LONGEST_KEY)] = ""
    claim_id: Id = ""
    idempotency_key: Key = ""


class EvidenceIn(Schema):
    """`evidence_url` is shown to whoever decides, and never fetched. The same `nonce` adds once."""

    model_config = ConfigDict(extra="forbid")

    description: Unjudged = ""
    evidence_url: Annotated[str, Field(max_length=2000)] = ""
    nonce: Annotated[str, Field(max_length=64)] = ""


class EscalateIn(Schema):
    model_config = ConfigDict(extra="forbid")

    reason: Unjudged


class ResolveIn(Schema):
    """It was fraud. OTHER needs a `reason`. `payload_hash`: of the request, as it was read; without
    it what stands now is signed."""

    model_config = ConfigDict(extra="forbid")

    fraud_type: FraudType
    reason: Unjudged = ""
    payload_hash: Hash = ""


class DismissIn(Schema):
    """It was no fraud."""

    model_config = ConfigDict(extra="forbid")

    reason: Unjudged
    payload_hash: Hash = ""


class CancelIn(Schema):
    model_config = ConfigDict(extra="forbid")

    reason: Unjudged = ""


class InfractionOut(Failing):
    """An infraction. `key` is masked. `owed`: what the directory is still to be told."""

    id: UUID
    infraction_id: str
    directory_id: str
    workflow_id: str
    status: InfractionStatus
    transaction_id: str
    reason: str
    situation: str
    details: str
    reporter_ispb: str
    counterparty_ispb: str
    amount: str | None
    currency: str
    key_type: str
    key: str
    claim_id: str
    result: Analysis | None
    fraud_type: FraudType | None
    analysis: str
    directory_status: str
    owed: str
    received_at: datetime
    due_at: datetime
    escalated_at: datetime | None
    decided_at: datetime | None
    created_at: datetime
    settled_at: datetime | None

    @staticmethod
    def resolve_amount(row: Infraction) -> str | None:
        return exact_or_none(row.amount, row.currency)

    @staticmethod
    def resolve_key(row: Infraction) -> str:
        return masked_key(row.key_type, row.key)

    @staticmethod
    def resolve_result(row: Infraction) -> str | None:
        return row.result or None

    @staticmethod
    def resolve_fraud_type(row: Infraction) -> str | None:
        return row.fraud_type or None


class InfractionPage(Schema):
    items: list[InfractionOut]
    next: str | None


@router.post("", response={200: InfractionOut, 201: InfractionOut})
def infraction_create(request: HttpRequest, body: InfractionIn) -> Status[Infraction]:
    """Report an infraction. The same key and body again: the same one, with 200.

    Refusals: 403 `permission_denied`; 409 `infraction_already_open`, `infraction_id_taken` (both
    with `infraction_id`), `idempotency_key_reused`; 422 `details_required`, `situation_invalid`,
    `ispb_invalid`, `not_our_participant`, `key_invalid`, and of each text.
    """
    user = require(request, scope=Scope.PIX_WRITE)
    given = {**body.dict(), "key_type": body.key_type or ""}
    infraction, new = infraction_opening.infraction_report(
        **given, by=user, via="api", as_of=timezone.now()
    )
    return Status(201 if new else 200, infraction)


@router.get("", response=InfractionPage)
@filtered(InfractionFilter)
def infraction_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """Those that the caller may see, newest first."""
    user = require(request, scope=Scope.PIX_READ)
    return page(narrow(Infraction.objects.visible_to(user), user=user), cursor=cursor, limit=limit)


@router.get("/{infraction_id}", response=InfractionOut)
def infraction_read(request: HttpRequest, infraction_id: UUID) -> Infraction:
    """One infraction."""
    user = require(request, scope=Scope.PIX_READ)
    return _seen(user, infraction_id)


@router.post("/{infraction_id}/evidence", response=InfractionOut)
def infraction_evidence(request: HttpRequest, infraction_id: UUID, body: EvidenceIn) -> Infraction:
    """Add evidence to the infraction's open request, as a comment. Files are added to the request:
    `/api/v1/approvals/{id}/evidence`.

    Refusals: 403 `permission_denied`, `infraction_party_invalid`; 409
    `infraction_operation_invalid`, `not_waiting`, `nonce_reused`; 422 `evidence_empty`,
    `description_invalid`, `evidence_url_invalid`, `invisible_characters`.
    """
    user = require(request, scope=Scope.PIX_WRITE)
    return infraction_working.evidence_add(
        infraction_id=infraction_id, **body.dict(), by=user, via="api", as_of=timezone.now()
    )


@router.post("/{infraction_id}/escalate", response=InfractionOut)
def infraction_escalate(request: HttpRequest, infraction_id: UUID, body: EscalateIn) -> Infraction:
    """Escalate the infraction and its request.

    Refusals: 403 `permission_denied`, `infraction_party_invalid`; 409
    `infraction_operation_invalid`; 422 `reason_invalid`.
    """
    user = require(request, scope=Scope.PIX_WRITE)
    return infraction_working.infraction_escalate(
        infraction_id=infraction_id, reason=body.reason, by=user, via="api", as_of=timezone.now()
    )


@router.post("/{infraction_id}/resolve", response=InfractionOut)
def infraction_resolve(request: HttpRequest, infraction_id: UUID, body: ResolveIn) -> Infraction:
    """Sign the open request: it was fraud. Refusals: those of `/api/v1/approvals/{id}/decide`, and
    409 `not_waiting`."""
    user = require(request, scope=Scope.PIX_DECIDE)
    return infraction_signing.infraction_sign(
        infraction_id=infraction_id,
        result=Analysis.AGREED,
        **body.dict(),
        by=user,
        via="api",
        as_of=timezone.now(),
    )


@router.post("/{infraction_id}/dismiss", response=InfractionOut)
def infraction_dismiss(request: HttpRequest, infraction_id: UUID, body: DismissIn) -> Infraction:
    """Sign against it in the open request: it was no fraud. Refusals as of `resolve`."""
    user = require(request, scope=Scope.PIX_DECIDE)
    return infraction_signing.infraction_sign(
        infraction_id=infraction_id,
        result=Analysis.DISAGREED,
        **body.dict(),
        by=user,
        via="api",
        as_of=timezone.now(),
    )


@router.post("/{infraction_id}/cancel", response=InfractionOut)
def infraction_cancel(
    request: HttpRequest, infraction_id: UUID, body: CancelIn | None = None
) -> Infraction:
    """Take a report of ours back, even after it was decided. Again: the same answer.

    Refusals: 403 `permission_denied`, `infraction_party_invalid`; 422 `reason_invalid`.
    """
    user = require(request, scope=Scope.PIX_WRITE)
    return infraction_working.infraction_cancel(
        infraction_id=infraction_id,
        reason=body.reason if body else "",
        by=user,
        via="api",
        as_of=timezone.now(),
    )


def _seen(user: User, infraction_id: UUID) -> Infraction:
    visible = Infraction.objects.visible_to(user)
    return row_of(visible, NotFound(_("There is no such infraction.")), pk=infraction_id)
