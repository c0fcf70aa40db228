"""Requests as other apps ask for them: by what they are about, or by their key."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import F, OuterRef, QuerySet, TextField
from django.db.models.functions import Cast

from apps.approvals.models import ApprovalRequest, ApprovalRule, PayloadVersion, Signature

if TYPE_CHECKING:
    from apps.approvals.models import ApprovalRequestQuerySet


def request_of(key: str) -> ApprovalRequest | None:
    """The request that was opened under this key."""
    return ApprovalRequest.objects.filter(key=key).first()


def requests_about(
    subject_type: str, subject_id: object, *, kind: str = ""
) -> "ApprovalRequestQuerySet":
    """What was ever asked about the row, the newest first; of one `kind` or of all."""
    rows = ApprovalRequest.objects.for_subject(
        subject_type=subject_type, subject_id=str(subject_id)
    )
    return rows.filter(kind=kind) if kind else rows


def requests_by_row(subject_type: str, *, kind: str) -> "ApprovalRequestQuerySet":
    """As `requests_about` the row that an outer query is at, for a subquery."""
    return ApprovalRequest.objects.filter(
        subject_type=subject_type, subject_id=Cast(OuterRef("pk"), TextField()), kind=kind
    )


def request_ids(subject_type: str, subject_ids: Iterable[object], *, kind: str) -> dict[str, UUID]:
    """Ids of the rows' requests of this kind by the rows' ids: one query for a page."""
    rows = ApprovalRequest.objects.filter(
        kind=kind,
        subject_type=subject_type,
        subject_id__in=[str(identifier) for identifier in subject_ids],
    )
    return dict(rows.values_list("subject_id", "pk"))


def signed_payload(request_id: UUID, part: str = "") -> Any:
    """What is asked in the newest version of the request, or one named part of it, read alone."""
    rows = PayloadVersion.objects.filter(request=request_id, number=F("request__payload_number"))
    return rows.values_list(f"payload__{part}" if part else "payload", flat=True).get()


def signer_ids(key: str) -> "QuerySet[Signature, int]":
    """Who signed the request of this key, for a subquery of people."""
    return Signature.objects.filter(request__key=key).values_list("actor", flat=True)


def active_rules(kind: str, scopes: Iterable[str]) -> dict[str, ApprovalRule]:
    """Scope -> the rule that applies to it now, of those that have one of their own."""
    rows = ApprovalRule.objects.filter(kind=kind, scope__in=set(scopes), active=True)
    return {rule.scope: rule for rule in rows}
