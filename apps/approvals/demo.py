"""What people have done with requests in the demo, at the time it is said to have happened.

Everything goes through the services that the doors call, and raises what they raise.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from apps.accounts.models import User
from apps.approvals import services
from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors import current_payload
from apps.approvals.services.bulk import BulkChoice
from apps.approvals.subject import SignedSubject


def asked(signed: SignedSubject[Any, Any], row: Any) -> ApprovalRequest:
    """The request of the row, which needs a signature; open since then if nobody has asked yet."""
    if signed.request_of(row) is None:
        # The workflow does this too, and finds it done: it would be of today.
        signed.open(row.pk, workflow_id=row.workflow_id, as_of=row.created_at)
    request = signed.request_of(row)
    assert request is not None  # else what is asked for in the demo needs no signature
    return request


def decided(
    request: ApprovalRequest, *, by: User, verdict: str, reason: str, as_of: datetime
) -> None:
    """The person's verdict on the request."""
    services.request_decide(
        request_id=request.pk,
        by=by,
        verdict=verdict,
        reason=reason,
        payload_hash=current_payload(request).hash,
        via="command",
        as_of=as_of,
        on_behalf_of=by,
    )


def decided_in_turn(
    request: ApprovalRequest, people: Iterable[User], *, as_of: datetime, **verdict: str
) -> None:
    """The verdict of one after the other, an hour between; who has decided before is passed."""
    for number, by in enumerate(people):
        request.refresh_from_db()
        if request.status == "open" and request.tier_number == number + 1:
            decided(request, by=by, as_of=as_of + timedelta(hours=number), **verdict)


def discussed(
    request: ApprovalRequest, said: Sequence[tuple[User, str]], *, as_of: datetime
) -> None:
    """What the people have said, an hour between."""
    for number, (by, text) in enumerate(said):
        services.comment_add(
            request_id=request.pk,
            by=by,
            text=text,
            nonce=f"demo-{number}",
            via="command",
            as_of=as_of + timedelta(hours=number),
        )


def edited(
    request: ApprovalRequest, *, by: User, changes: dict[str, str], reason: str, as_of: datetime
) -> None:
    """The first edit of what is asked, if it still waits."""
    if request.status == "open" and request.payload_number == 1:
        services.request_edit(
            request_id=request.pk,
            by=by,
            changes=changes,
            payload_hash=current_payload(request).hash,
            reason=reason,
            via="command",
            as_of=as_of,
        )


def claimed(
    request: ApprovalRequest, *, by: User, as_of: datetime, to: User | None = None, reason: str = ""
) -> None:
    """Held by the person, who has then given it `to` a colleague."""
    common: dict[str, Any] = {"request_id": request.pk, "by": by, "via": "command", "as_of": as_of}
    services.claim_take(**common)
    if to is not None:
        services.claim_reassign(**common, to=to, reason=reason)


def bulk_approved(
    requests: Sequence[ApprovalRequest], *, by: User, reason: str, as_of: datetime
) -> None:
    """One decision on all of them, worked through here."""
    bulk = services.bulk_decide(
        by=by,
        verdict="approve",
        reason=reason,
        items=[BulkChoice(one.pk, current_payload(one).hash) for one in requests],
        key="demo",
        via="command",
        as_of=as_of,
    )
    services.bulk_run(
        bulk_id=bulk.pk, workflow_id=bulk.workflow_id, limit=len(requests), seconds=60
    )
