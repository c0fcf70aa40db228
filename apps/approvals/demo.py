"""Demo data of requests, created as of the time when it is said to have happened.

Everything goes through the same services as pages and API, and raises what they raise.
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
    """Return the row's request, which needs a signature; open it as of the row's creation if
    needed."""
    if signed.request_of(row) is None:
        # The workflow also opens the request, but with today's date, so this must come first.
        signed.open(row.pk, workflow_id=row.workflow_id, as_of=row.created_at)
    request = signed.request_of(row)
    assert request is not None  # the demo row must need a signature
    return request


def decided(
    request: ApprovalRequest,
    *,
    by: User,
    verdict: str,
    reason: str,
    as_of: datetime,
    reason_code: str = "",
) -> None:
    """Decide the request as the user."""
    services.request_decide(
        request_id=request.pk,
        by=by,
        verdict=verdict,
        reason=reason,
        reason_code=reason_code,
        payload_hash=current_payload(request).hash,
        via="command",
        as_of=as_of,
        on_behalf_of=by,
    )


def decided_in_turn(
    request: ApprovalRequest, people: Iterable[User], *, as_of: datetime, **verdict: str
) -> None:
    """Let the users decide one after the other, an hour apart; skip decisions made before."""
    for number, by in enumerate(people):
        request.refresh_from_db()
        if request.status == "open" and request.tier_number == number + 1:
            decided(request, by=by, as_of=as_of + timedelta(hours=number), **verdict)


def discussed(
    request: ApprovalRequest, said: Sequence[tuple[User, str]], *, as_of: datetime
) -> None:
    """Add the users' comments, an hour apart."""
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
    """Edit the request for the first time, if it is still open."""
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
    """Claim the request as the user, and then reassign it `to` a colleague, if given."""
    common: dict[str, Any] = {"request_id": request.pk, "by": by, "via": "command", "as_of": as_of}
    services.claim_take(**common)
    if to is not None:
        services.claim_reassign(**common, to=to, reason=reason)


def bulk_approved(
    requests: Sequence[ApprovalRequest], *, by: User, reason: str, as_of: datetime
) -> None:
    """Decide all of them in one bulk decision, and work through it here."""
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
