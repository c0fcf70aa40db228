"""What people have decided in the demo."""

from datetime import datetime

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors import current_payload
from apps.approvals.services import request_decide


def decided(
    request: ApprovalRequest, *, by: User, verdict: str, reason: str, as_of: datetime
) -> None:
    """The person's verdict on the request, at that time. Raises as `request_decide`."""
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
