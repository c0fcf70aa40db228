"""API of the actions on a request other than deciding it: claim, release, edit, simulate."""

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Schema
from pydantic import Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.approvals import selectors, services
from apps.approvals.api.base import DECIDE, READ, WRITE, router
from apps.approvals.api.requests import FactLine, RequestDetail, detail, visible
from apps.approvals.models import ApprovalRequest
from apps.common.api import Unjudged


class Reassignment(Schema):
    username: Annotated[str, Field(max_length=150)]
    reason: Unjudged = ""


class Edit(Schema):
    """`changes` maps names of `editable` fields to their new text."""

    changes: Annotated[dict[str, str], Field(max_length=50)]
    payload_hash: Annotated[str, Field(max_length=64)]
    reason: Unjudged = ""


class Effect(Schema):
    """What the domain and its workflow would do after the approval."""

    outcome: str
    tone: str
    steps: list[str]
    facts: list[FactLine]


class Preview(Schema):
    """`signs_after`: who signs next after one more approval; `settles`: no further signature is
    needed and the request is carried out. The effect is live data and not part of what is
    signed."""

    rule: str
    rule_version: int | None
    band: str
    can_sign: str
    signs_now: str
    signs_after: str
    settles: bool
    effect: Effect | None


@router.post("/{request_id}/claim", response=RequestDetail, summary="Hold a request")
def approval_claim(request: HttpRequest, request_id: UUID) -> dict[str, Any]:
    """Claim the request: nobody else signs it while the lease runs. Claiming again renews the
    lease.

    Refusals: 404 `not_found`; 409 `claimed` (with `claimed_by`, `claimed_until`), `claim_used_up`
    (eight leases in one tier, or escalated while you held it); and the refusals of `decide`,
    because only those who could sign may claim.
    """
    user = require(request, scope=DECIDE)
    claimed = services.claim_take(request_id=request_id, by=user, via="api", as_of=timezone.now())
    return _again(claimed, user)


@router.post("/{request_id}/release", response=RequestDetail, summary="Give a claim back")
def approval_release(request: HttpRequest, request_id: UUID) -> dict[str, Any]:
    """Release the claim; without a claim nothing changes. Refusals: 404 `not_found`; 409
    `claimed`."""
    user = require(request, scope=DECIDE)
    released = services.claim_release(
        request_id=request_id, by=user, via="api", as_of=timezone.now()
    )
    return _again(released, user)


@router.post("/{request_id}/reassign", response=RequestDetail, summary="Give it to somebody")
def approval_reassign(request: HttpRequest, request_id: UUID, body: Reassignment) -> dict[str, Any]:
    """Give the claim to another user, who is notified. For the holder and users with the permission
    to reassign, except the requester and editors.

    Refusals: 404 `not_found`; 403 `permission_denied`, `requester_cannot_sign`,
    `editor_cannot_sign`; 409 `claimed`, `already_decided`, `expired`,
    `workflow_closed`; 422 `assignee_cannot_sign` (with `because`), `reason_too_long`,
    `invalid_text`.
    """
    user = require(request, scope=DECIDE)
    given = services.claim_reassign(
        request_id=request_id,
        to=body.username,
        by=user,
        reason=body.reason,
        via="api",
        as_of=timezone.now(),
    )
    return _again(given, user)


@router.post("/{request_id}/edit", response=RequestDetail, summary="Change what is asked")
def approval_edit(request: HttpRequest, request_id: UUID, body: Edit) -> dict[str, Any]:
    """Store a new version of the payload. Earlier signatures no longer count; you cannot sign it.

    Refusals: 404 `not_found`; 403 `permission_denied`; 409 `payload_changed`, `already_decided`,
    `expired`, `workflow_closed`, `too_many_edits`; 422 `not_editable` (with `field`),
    `nothing_changed`, `changes_invalid`, `reason_required`, `reason_too_long`, `invalid_text`,
    `invisible_characters`, and what the domain refuses, such as `amount_invalid`.
    """
    user = require(request, scope=WRITE)
    edited = services.request_edit(
        request_id=request_id,
        by=user,
        changes=body.changes,
        payload_hash=body.payload_hash,
        reason=body.reason,
        via="api",
        as_of=timezone.now(),
    )
    return detail(edited, user)


@router.post("/{request_id}/simulate", response=Preview, summary="What approving it would do")
def approval_simulate(request: HttpRequest, request_id: UUID) -> selectors.Preview:
    """Preview an approval without changing anything. Refusals: 404 `not_found`."""
    user = require(request, scope=READ)
    return selectors.simulation(visible(request_id, user), user, as_of=timezone.now())


def _again(item: ApprovalRequest, user: User) -> dict[str, Any]:
    return detail(ApprovalRequest.objects.for_detail().get(pk=item.pk), user)
