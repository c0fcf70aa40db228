"""What people have done in the demo: months of decisions, and work in every state today.

Everything goes through the services that the doors call, at the time it is said to have happened.
Nothing here is about `demo-relief` and `demo-2026`.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from django.utils import timezone

from apps.accounts.demo_users import demo_once
from apps.accounts.models import User
from apps.approvals import services as approvals
from apps.approvals.demo import decided
from apps.approvals.selectors import current_payload
from apps.approvals.services.bulk import BulkChoice
from apps.approvals.services.filters import filter_save
from apps.interventions.models import Intervention
from apps.interventions.services.approval import approval_of, approval_open
from apps.interventions.services.demo import Asked, request_seed, requests_of, transfer_seed
from apps.interventions.services.demo_batches import batch_half_seed, batch_waiting_seed

if TYPE_CHECKING:
    from apps.approvals.models import ApprovalRequest

ESTIMATE = b"""item,quantity,unit price NGN,total NGN
Drilling to 60 m,1,88000.00,88000.00
Hand pump with pipe,1,31000.00,31000.00
Apron and drainage,1,9000.00,9000.00
"""


def life_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Make what is not there yet; a line of progress for each part."""
    now = timezone.now()
    history = requests_of("history")
    # Of a half, one has signed: who acts for the second tier's senior, who is away, can sign next.
    for asked in (*history, *requests_of("half")):
        _decided(asked, people, now)
    yield f"{len(history)} decisions of the last six months, one that is signed by half"
    overdue = requests_of("overdue")
    waiting = [*overdue, *requests_of("bulk"), *requests_of("edited")]
    for asked in waiting:
        _waits(asked, people, now)
    yield f"{len(waiting)} more that wait or waited, {len(overdue)} of them overdue"
    parts: dict[str, Callable[[dict[str, User], datetime], None]] = {
        "a request that was edited, with comments and a file": _beside,
        "claims": _claims,
        "a bulk decision": _bulk,
        "a delegation": _delegation,
        "a shared filter": _filter,
        "a transfer between budgets": transfer_seed,
        "a batch that was paused half way": batch_half_seed,
        "a batch that waits for its signature": batch_waiting_seed,
    }
    for title, part in parts.items():
        yield f"{title}{'' if demo_once(title, partial(part, people, now)) else ', as before'}"


# --- requests ------------------------------------------------------------------------------------
def _waits(asked: Asked, people: dict[str, User], now: datetime) -> "ApprovalRequest":
    """Its request, open since then if nobody has decided it."""
    intervention, _ = request_seed(asked, people, now)
    found = approval_of(intervention)
    if found is None:
        # The workflow does this too, and finds it done: it would be of today.
        approval_open(
            intervention.pk,
            workflow_id=intervention.workflow_id,
            as_of=intervention.created_at,
        )
        found = approval_of(intervention)
    assert found is not None  # the amounts here all need a signature
    return found


def _decided(asked: Asked, people: dict[str, User], now: datetime) -> None:
    request = _waits(asked, people, now)
    at = request.created_at + timedelta(hours=int(asked.after_hours))
    for number, name in enumerate(asked.by.split()):
        request.refresh_from_db()
        if request.status == "open" and request.tier_number == number + 1:
            decided(
                request,
                by=people[name],
                verdict=asked.verdict,
                reason=asked.reason,
                as_of=at + timedelta(hours=number),
            )


def _request_of(asked: Asked, people: dict[str, User]) -> "ApprovalRequest":
    intervention = Intervention.objects.get(
        requested_by=people["requester"], idempotency_key=asked.key
    )
    found = approval_of(intervention)
    assert found is not None
    return found


# --- once ----------------------------------------------------------------------------------------
def _beside(people: dict[str, User], now: datetime) -> None:
    request = _request_of(requests_of("edited")[0], people)
    approvals.evidence_add(
        request_id=request.pk,
        by=people["requester"],
        name="Estimate Jos.csv",
        body=ESTIMATE,
        note="The contractor's own figures.",
        via="command",
        as_of=now - timedelta(hours=4),
    )
    said = (
        ("reviewer2", "The estimate leaves out the pump's guarantee. @requester, can you ask?"),
        ("requester", "They give two years without charge; I have put the amount right."),
    )
    for number, (name, text) in enumerate(said):
        approvals.comment_add(
            request_id=request.pk,
            by=people[name],
            text=text,
            nonce=f"demo-{number}",
            via="command",
            as_of=now - timedelta(hours=3 - number),
        )
    if request.status == "open" and request.payload_number == 1:
        approvals.request_edit(
            request_id=request.pk,
            by=people["requester"],
            changes={"amount": "119000.00"},
            payload_hash=current_payload(request).hash,
            reason="The apron is built by the school itself.",
            via="command",
            as_of=now - timedelta(hours=1),
        )


def _claims(people: dict[str, User], now: datetime) -> None:
    """One is held for a moment, one was given to a colleague for a day: the last of the bulk."""
    approvals.claim_take(
        request_id=_request_of(requests_of("overdue")[0], people).pk,
        by=people["reviewer"],
        via="command",
        as_of=now,
    )
    given = _request_of(requests_of("bulk")[-1], people)
    approvals.claim_take(request_id=given.pk, by=people["reviewer"], via="command", as_of=now)
    approvals.claim_reassign(
        request_id=given.pk,
        to=people["reviewer2"],
        by=people["reviewer"],
        reason="You know the wards.",
        via="command",
        as_of=now,
    )


def _bulk(people: dict[str, User], now: datetime) -> None:
    """Worked through here: three are signed, and one is refused because a colleague holds it."""
    requests = [_request_of(asked, people) for asked in requests_of("bulk")]
    bulk = approvals.bulk_decide(
        by=people["reviewer"],
        verdict="approve",
        reason="Same supplier and price as the first delivery.",
        items=[BulkChoice(one.pk, current_payload(one).hash) for one in requests],
        key="demo",
        via="command",
        as_of=now,
    )
    approvals.bulk_run(
        bulk_id=bulk.pk, workflow_id=bulk.workflow_id, limit=len(requests), seconds=60
    )


def _delegation(people: dict[str, User], now: datetime) -> None:
    approvals.delegation_give(
        delegator=people["senior"],
        delegate=people["reviewer2"],
        kinds=["intervention"],
        most=Decimal("300000.00"),
        currency="NGN",
        starts_at=now,
        ends_at=now + timedelta(days=60),
        reason="On leave, and then at the field office in Jos.",
        by=people["senior"],
        via="command",
        as_of=now,
    )


def _filter(people: dict[str, User], now: datetime) -> None:
    filter_save(
        owner=people["senior"],
        name="Overdue, largest first to ask about",
        query="due=over&sort=due",
        shared=True,
        via="command",
    )
