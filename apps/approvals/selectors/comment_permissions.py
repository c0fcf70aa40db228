"""Who may comment on a request and add evidence: not users who only read, such as auditors."""

from typing import TYPE_CHECKING

from apps.approvals.models import (
    DECIDE_PERMISSION,
    EDIT_PERMISSION,
    REASSIGN_PERMISSION,
    VIEW_PERMISSION,
    ApprovalRequest,
)
from apps.approvals.models.evidence import ERASE_PERMISSION
from apps.common.errors import NotAllowed
from apps.common.language import lazy as _

if TYPE_CHECKING:
    from apps.accounts.models import User

#: Permissions that make a user take part in other people's requests.
TAKES_PART = (DECIDE_PERMISSION, EDIT_PERMISSION, REASSIGN_PERMISSION, ERASE_PERMISSION)


def only_reads(user: "User") -> bool:
    """Return whether the user sees every request and takes part in none: an auditor."""
    return user.has_perm(VIEW_PERMISSION) and not any(user.has_perm(name) for name in TAKES_PART)


def may_write(request: ApprovalRequest, user: "User") -> bool:
    """Return whether a user who may see the request may add to it: its requester, or who takes
    part."""
    return request.requested_by_id == user.pk or not only_reads(user)


def reading_refusal() -> NotAllowed:
    """Return the refusal for a user who only reads."""
    return NotAllowed(
        _("Your role reads everything and changes nothing."), code="permission_denied"
    )
