"""API of a request's comments and evidence."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import File, Form, Query, Schema, UploadedFile
from pydantic import Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.approvals.api.base import READ, WRITE, router
from apps.approvals.models import ApprovalRequest, Comment, Evidence
from apps.approvals.services.comments import comment_add
from apps.approvals.services.evidence import (
    evidence_add,
    evidence_body,
    evidence_erase,
    evidence_get,
)
from apps.common import uploads
from apps.common.api import LONGEST_UNJUDGED, Cursor, Limit, PersonOut, Unjudged
from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.common.pagination import page
from apps.web.denied import row_of


class Listing(Schema):
    cursor: Cursor = None
    limit: Limit = 50


class NewComment(Schema):
    """`nonce`: repeating a comment with the same nonce and text creates one comment; empty: every
    call creates one."""

    # The schema limits only the size: the service checks the limit and audits refusals.
    text: Unjudged
    nonce: Annotated[str, Field(max_length=200)] = ""


class CommentLine(Schema):
    """`mentions`: the users named in the text who may see the request. The text is plain text."""

    id: int
    author: PersonOut
    text: str
    mentions: list[str]
    created_at: datetime

    @staticmethod
    def resolve_mentions(comment: Comment) -> list[str]:
        """Return the usernames in alphabetical order."""
        return sorted(person.username for person in comment.mentions.all())


class CommentPage(Schema):
    """`next` is the `cursor` of the next page, or null."""

    items: list[CommentLine]
    next: str | None


class EvidenceLine(Schema):
    """`content_type` is detected from the content. Erased evidence keeps its digest only."""

    id: UUID
    name: str
    content_type: str
    size: int = Field(description="Bytes.")
    sha256: str
    note: str
    payload_number: int
    scan: str = Field(description="clean, or not_scanned where no scanner is set")
    uploaded_by: PersonOut
    created_at: datetime
    erased_at: datetime | None
    erased_by: PersonOut | None
    erased_reason: str


class EvidencePage(Schema):
    items: list[EvidenceLine]
    next: str | None


class Erasure(Schema):
    reason: Unjudged


@router.get("/{request_id}/comments", response=CommentPage, summary="Comments, newest first")
def approval_comments(
    request: HttpRequest, request_id: UUID, listing: Query[Listing]
) -> dict[str, Any]:
    found = _get(request_id, require(request, scope=READ))
    rows = Comment.objects.filter(request=found).select_related("author")
    return page(rows.prefetch_related("mentions"), cursor=listing.cursor, limit=listing.limit)


@router.post(
    "/{request_id}/comments", response={201: CommentLine}, summary="Say something about a request"
)
def approval_comment(
    request: HttpRequest, request_id: UUID, body: NewComment
) -> tuple[int, Comment]:
    """Add a comment; `@username` notifies that user if they may see the request.

    Refusals: 404 `not_found`; 403 `permission_denied`; 409 `nonce_reused`; 422 `comment_empty`,
    `comment_too_long`, `nonce_invalid`, `invalid_text`; 429 `too_many_comments`.
    """
    comment = comment_add(
        request_id=request_id,
        by=require(request, scope=WRITE),
        text=body.text,
        nonce=body.nonce,
        via="api",
        as_of=timezone.now(),
    )
    return 201, comment


@router.get("/{request_id}/evidence", response=EvidencePage, summary="Evidence, newest first")
def approval_evidence(
    request: HttpRequest, request_id: UUID, listing: Query[Listing]
) -> dict[str, Any]:
    found = _get(request_id, require(request, scope=READ))
    rows = Evidence.objects.filter(request=found).select_related("uploaded_by", "erased_by")
    return page(rows, cursor=listing.cursor, limit=listing.limit)


@router.post(
    "/{request_id}/evidence", response={201: EvidenceLine}, summary="Put a file beside a request"
)
def approval_evidence_add(
    request: HttpRequest,
    request_id: UUID,
    file: File[UploadedFile],
    note: Annotated[str, Form(max_length=LONGEST_UNJUDGED)] = "",
) -> tuple[int, Evidence]:
    """Add a file. If the request already has the same content, return that row.

    Refusals: 404 `not_found`; 403 `permission_denied`; 409 `request_closed`, `expired`,
    `workflow_closed`, `too_many_files`, `evidence_erased`; 413 `too_large`; 422 `empty_file`,
    `type_not_allowed`, `scan_refused`, `note_too_long`, `invalid_text`; 503 `scan_unavailable`
    (nothing was kept).
    """
    user = require(request, scope=WRITE)
    kept = evidence_add(
        request_id=request_id,
        by=user,
        name=file.name or "",
        # Read one byte more than the limit: enough to refuse the file.
        body=file.read(settings.EVIDENCE_MAX_BYTES + 1),
        note=note,
        via="api",
        as_of=timezone.now(),
    )
    return 201, kept


@router.get("/{request_id}/evidence/{evidence_id}", summary="The content of a file")
def approval_evidence_content(
    request: HttpRequest, request_id: UUID, evidence_id: UUID
) -> HttpResponse:
    """Send the content as an attachment. Refusals: 404 `not_found`, `evidence_erased`; 409
    `digest_mismatch`."""
    found = _get(request_id, require(request, scope=READ))
    evidence = evidence_get(request=found, evidence_id=evidence_id)
    body = evidence_body(evidence)
    return uploads.as_attachment(name=evidence.name, content_type=evidence.content_type, body=body)


@router.post(
    "/{request_id}/evidence/{evidence_id}/erase",
    response=EvidenceLine,
    summary="Erase the content of a file",
)
def approval_evidence_erase(
    request: HttpRequest, request_id: UUID, evidence_id: UUID, body: Erasure
) -> Evidence:
    """Erase the content for good; name, digest and audit trail stay. Repeating changes nothing.

    Refusals: 404 `not_found`; 403 `permission_denied`; 422 `reason_required`, `reason_too_long`,
    `invalid_text`.
    """
    return evidence_erase(
        request_id=request_id,
        evidence_id=evidence_id,
        by=require(request, scope=WRITE),
        reason=body.reason,
        via="api",
        as_of=timezone.now(),
    )


def _get(request_id: UUID, user: User) -> ApprovalRequest:
    visible = ApprovalRequest.objects.visible_to(user)
    return row_of(visible, NotFound(_("There is no such request.")), pk=request_id)
