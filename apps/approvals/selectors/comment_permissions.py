"""Who may put something beside a request: whoever reads everything to check it changes nothing."""

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

if TYPE_CHECKING:
    from apps.accounts.models import User

#: What makes somebody take part in other people's requests: signing them, or keeping them going.
TAKES_PART = (DECIDE_PERMISSION, EDIT_PERMISSION, REASSIGN_PERMISSION, ERASE_PERMISSION)


def only_reads(user: "User") -> bool:
    """Whether the person sees everybody's requests and has no part in any: an auditor."""
    return user.has_perm(VIEW_PERMISSION) and not any(user.has_perm(name) for name in TAKES_PART)


def may_write(request: ApprovalRequest, user: "User") -> bool:
    """Whether one who may see the request may add to it: who asked for it, and who takes part."""
    return request.requested_by_id == user.pk or not only_reads(user)


def reading_refusal() -> NotAllowed:
    """What somebody is told who only reads."""
    return NotAllowed("Your role reads everything and changes nothing.", code="permission_denied")
