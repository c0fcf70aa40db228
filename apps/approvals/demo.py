"""Decisions of the demo data."""

from datetime import datetime

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors import current_payload
from apps.approvals.services import request_decide


def decided(
    request: ApprovalRequest, *, by: User, verdict: str, reason: str, as_of: datetime
) -> None:
    """Decide the request as the user, at that time. Raises what `request_decide` raises."""
    request_decide(
        request_id=request.pk,
        by=by,
        verdict=verdict,
        reason=reason,
        payload_hash=current_payload(request).hash,
        via="command",
        as_of=as_of,
        on_behalf_of=by,
    )
