"""Tables of approvals, a module for each noun."""

from apps.approvals.models.bulk import BulkDecision, BulkItem
from apps.approvals.models.comments import Comment
from apps.approvals.models.delegations import Delegation
from apps.approvals.models.evidence import Evidence, EvidenceContent
from apps.approvals.models.requests import (
    DECIDE_PERMISSION,
    EDIT_PERMISSION,
    REASSIGN_PERMISSION,
    VIEW_PERMISSION,
    ApprovalRequest,
    ApprovalRequestQuerySet,
    PayloadVersion,
)
from apps.approvals.models.rules import ApprovalRule
from apps.approvals.models.signatures import Signature

__all__ = [
    "DECIDE_PERMISSION",
    "EDIT_PERMISSION",
    "REASSIGN_PERMISSION",
    "VIEW_PERMISSION",
    "ApprovalRequest",
    "ApprovalRequestQuerySet",
    "ApprovalRule",
    "BulkDecision",
    "BulkItem",
    "Comment",
    "Delegation",
    "Evidence",
    "EvidenceContent",
    "PayloadVersion",
    "Signature",
]
