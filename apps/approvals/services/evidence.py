"""Evidence: add, read and erase files of a request."""

from datetime import datetime
from hashlib import sha256
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.approvals import validation
from apps.approvals.models import ApprovalRequest, Evidence, EvidenceContent
from apps.approvals.models.evidence import ERASE_PERMISSION
from apps.approvals.selectors import state_refusal
from apps.approvals.selectors.comment_permissions import may_write, reading_refusal
from apps.approvals.services.rows import record, request_lock_seen, tried
from apps.common import uploads
from apps.common.correlation import get_logger
from apps.common.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.live.broadcast import broadcast

NOTE_LIMIT = 500
ERASE_REASON_LIMIT = 500
#: The most files of one request.
MOST_FILES = 50

logger = get_logger(__name__)


def evidence_add(
    *,
    request_id: UUID | str,
    by: User,
    name: str,
    body: bytes,
    note: str,
    via: str,
    as_of: datetime,
) -> Evidence:
    """Store a file with an open request, for everybody who may see the request.

    Detects the content type, cleans the name, runs the scanner and stores the digest. The same
    content twice (also at once) is one row, which is returned. Raises, each audited: NotFound
    `not_found` (or invisible to the user); NotAllowed `permission_denied` for users who only read;
    Invalid `empty_file`, `type_not_allowed`, `scan_refused`, `invalid_text`, `note_too_long`;
    TooLarge `too_large`; Conflict `request_closed`, `expired`, `workflow_closed`, `too_many_files`,
    `evidence_erased` (this content was erased here); Unavailable `scan_unavailable`. A refusal
    stores nothing.
    """
    with tried("approval.evidence_add", request_id, by=by, via=via):
        # Check first, so that refused calls cost no scan. Lock the row only for the write: a scan
        # may take seconds, in which nobody could sign.
        seen = _seen(by, request_id)
        if not may_write(seen, by):
            raise reading_refusal()
        _check_open(seen, as_of=as_of)
        note = validation.text_of(note, code="invalid_text").strip()
        if len(note) > NOTE_LIMIT:
            raise Invalid(
                filled(_("A note has at most {note_limit} characters."), note_limit=NOTE_LIMIT),
                code="note_too_long",
            )
        # Look for a known digest and for room before opening the file, which may be expensive.
        digest = sha256(body).hexdigest()
        if known := Evidence.objects.filter(request=seen, sha256=digest).first():
            return _known(known)
        _check_room(seen)
        upload = uploads.inspect(name=name, body=body, most=settings.EVIDENCE_MAX_BYTES)
        scanned = uploads.scan(upload.body)
        with transaction.atomic(durable=True):
            request = request_lock_seen(by, request_id)
            if known := Evidence.objects.filter(request=request, sha256=digest).first():
                return _known(known)
            _check_open(request, as_of=as_of)
            _check_room(request)
            evidence = Evidence.objects.create(
                request=request,
                name=upload.name,
                content_type=upload.content_type,
                size=len(upload.body),
                sha256=digest,
                note=note,
                payload_number=request.payload_number,
                scan=Evidence.Scan.CLEAN if scanned else Evidence.Scan.NOT_SCANNED,
                uploaded_by=by,
                created_at=as_of,
            )
            EvidenceContent.objects.create(evidence=evidence, body=upload.body)
            record(
                request,
                "evidence_added",
                by=by,
                via=via,
                body={
                    "evidence": str(evidence.pk),
                    "name": evidence.name,
                    "content_type": evidence.content_type,
                    "size": evidence.size,
                    "sha256": digest,
                    "scan": evidence.scan,
                    "note": note,
                    "payload_number": evidence.payload_number,
                },
            )
            _announce(request)
            return evidence


def evidence_erase(
    *,
    request_id: UUID | str,
    evidence_id: UUID | str,
    by: User,
    reason: str,
    via: str,
    as_of: datetime,
) -> Evidence:
    """Delete the bytes for good; name, digest, user and reason stay. Repeating changes nothing.

    Raises, each audited: NotFound `not_found` (or invisible to the person); NotAllowed
    `permission_denied`; Invalid `reason_required`, `reason_too_long`, `invalid_text`.
    """
    with tried("approval.evidence_erase", request_id, by=by, via=via):
        _seen(by, request_id)
        if not by.has_perm(ERASE_PERMISSION):
            raise NotAllowed(_("You may not erase evidence."), code="permission_denied")
        reason = validation.reason_of(reason)
        if not reason:
            raise Invalid(_("Erasing needs a reason."), code="reason_required")
        if len(reason) > ERASE_REASON_LIMIT:
            raise Invalid(
                filled(
                    _("This reason has at most {erase_reason_limit} characters."),
                    erase_reason_limit=ERASE_REASON_LIMIT,
                ),
                code="reason_too_long",
            )
        with transaction.atomic(durable=True):
            request = request_lock_seen(by, request_id)
            evidence = evidence_get(request=request, evidence_id=evidence_id)
            if evidence.erased_at is not None:
                return evidence
            evidence.erased_at = as_of
            evidence.erased_by = by
            evidence.erased_reason = reason
            evidence.save(update_fields=["erased_at", "erased_by", "erased_reason"])
            EvidenceContent.objects.filter(evidence=evidence).delete()
            record(
                request,
                "evidence_erased",
                by=by,
                via=via,
                body={
                    "evidence": str(evidence.pk),
                    "name": evidence.name,
                    "sha256": evidence.sha256,
                    "reason": reason,
                },
            )
            _announce(request)
            return evidence


def evidence_get(*, request: ApprovalRequest, evidence_id: UUID | str) -> Evidence:
    """Return one of the request's files. Raises NotFound for any other."""
    pk = validation.uuid_of(evidence_id)
    found = Evidence.objects.select_related("uploaded_by", "erased_by")
    evidence = found.filter(pk=pk, request=request).first()
    if evidence is None:
        raise NotFound(_("There is no such evidence."))
    return evidence


def evidence_body(evidence: Evidence) -> bytes:
    """Return the bytes as uploaded. Raises NotFound `evidence_erased`; Conflict `digest_mismatch`
    when the stored bytes no longer match the digest: somebody changed the database."""
    content = EvidenceContent.objects.filter(evidence=evidence).first()
    if content is None:
        raise NotFound(_("The content was erased."), code="evidence_erased")
    body = bytes(content.body)
    if sha256(body).hexdigest() != evidence.sha256:
        logger.error("evidence differs from its digest", evidence=str(evidence.pk))
        raise Conflict(_("The content is not what was brought."), code="digest_mismatch")
    return body


def _seen(by: User, request_id: UUID | str) -> ApprovalRequest:
    seen = ApprovalRequest.objects.visible_to(by).select_related("settled_by")
    found = seen.filter(pk=validation.uuid_of(request_id)).first()
    if found is None:
        raise NotFound(_("There is no such request."))
    return found


def _check_open(request: ApprovalRequest, *, as_of: datetime) -> None:
    refusal = state_refusal(request, as_of=as_of)
    if refusal is None:
        return
    if refusal.code == "already_decided":
        raise Conflict(
            _("It is decided already: files are taken only while it waits."),
            code="request_closed",
            request_status=request.status,
        )
    raise refusal


def _check_room(request: ApprovalRequest) -> None:
    if Evidence.objects.filter(request=request).count() >= MOST_FILES:
        raise Conflict(
            filled(_("A request has at most {most_files} files."), most_files=MOST_FILES),
            code="too_many_files",
        )


def _known(evidence: Evidence) -> Evidence:
    if evidence.erased_at is not None:
        raise Conflict(
            _("This content was erased here; it is not taken again."), code="evidence_erased"
        )
    return evidence


def _announce(request: ApprovalRequest) -> None:
    """Update the request's open pages only: lists show nothing of it."""
    broadcast(f"request:{request.pk}", id=str(request.pk), version=request.version)
