"""Queries of requests for other apps: by subject or by key."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import F, OuterRef, QuerySet, TextField
from django.db.models.functions import Cast

from apps.approvals.models import ApprovalRequest, ApprovalRule, PayloadVersion, Signature

if TYPE_CHECKING:
    from apps.approvals.models import ApprovalRequestQuerySet


def request_of(key: str) -> ApprovalRequest | None:
    """Return the request that was opened under this key, or None."""
    return ApprovalRequest.objects.filter(key=key).first()


def requests_about(
    subject_type: str, subject_id: object, *, kind: str = ""
) -> "ApprovalRequestQuerySet":
    """Return the requests about the row, newest first; of one `kind` or of all."""
    rows = ApprovalRequest.objects.for_subject(
        subject_type=subject_type, subject_id=str(subject_id)
    )
    return rows.filter(kind=kind) if kind else rows


def requests_about_some(
    subject_type: str, subject_ids: Iterable[object]
) -> "ApprovalRequestQuerySet":
    """Return the requests about these rows of one type."""
    return ApprovalRequest.objects.filter(
        subject_type=subject_type, subject_id__in=[str(one) for one in subject_ids]
    )


def requests_by_row(subject_type: str, *, kind: str) -> "ApprovalRequestQuerySet":
    """As `requests_about`, for a subquery on the outer query's row."""
    return ApprovalRequest.objects.filter(
        subject_type=subject_type, subject_id=Cast(OuterRef("pk"), TextField()), kind=kind
    )


def request_ids(subject_type: str, subject_ids: Iterable[object], *, kind: str) -> dict[str, UUID]:
    """Return the ids of the rows' requests of this kind, by row id, in one query."""
    rows = ApprovalRequest.objects.filter(
        kind=kind,
        subject_type=subject_type,
        subject_id__in=[str(identifier) for identifier in subject_ids],
    )
    return dict(rows.values_list("subject_id", "pk"))


def signed_payload(request_id: UUID, part: str = "") -> Any:
    """Return the payload of the request's newest version, or one named part of it, without its
    row."""
    rows = PayloadVersion.objects.filter(request=request_id, number=F("request__payload_number"))
    return rows.values_list(f"payload__{part}" if part else "payload", flat=True).get()


def signer_ids(key: str) -> "QuerySet[Signature, int]":
    """Return who signed the request with this key, as a subquery of user ids."""
    return Signature.objects.filter(request__key=key).values_list("actor", flat=True)


def active_rules(kind: str, scopes: Iterable[str]) -> dict[str, ApprovalRule]:
    """Return the active rules by scope, for the scopes that have their own."""
    rows = ApprovalRule.objects.filter(kind=kind, scope__in=set(scopes), active=True)
    return {rule.scope: rule for rule in rows}
