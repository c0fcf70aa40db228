"""The demo's history and current work: months of decisions, and work in every state today.

Everything goes through the services that pages and API call, with the time of the story as `as_of`.
Nothing here concerns `demo-relief` and `demo-2026`.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from django.utils import timezone

from apps.accounts.demo_users import demo_once
from apps.accounts.models import User
from apps.approvals import demo
from apps.approvals.services import delegation_give, evidence_add
from apps.filters.services import filter_save
from apps.interventions.models import Intervention
from apps.interventions.services.approval import SIGNED
from apps.interventions.services.demo import Asked, request_seed, requests_of, transfer_seed
from apps.interventions.services.demo_batches import batch_half_seed, batch_waiting_seed

if TYPE_CHECKING:
    from apps.approvals.models import ApprovalRequest

ESTIMATE = b"""item,quantity,unit price NGN,total NGN
Drilling to 60 m,1,88000.00,88000.00
Hand pump with pipe,1,31000.00,31000.00
Apron and drainage,1,9000.00,9000.00
"""
#: Comments on the edited request, by username.
SAID = (
    ("reviewer2", "The estimate leaves out the pump's guarantee. @requester, can you ask?"),
    ("requester", "They give two years without charge; I have put the amount right."),
)


def life_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Create what is missing; yield a line of progress for each part."""
    now = timezone.now()
    history = requests_of("history")
    # A request of `half` has one of two signatures; the next may come from the delegate of the
    # second tier's senior, who is away.
    for asked in (*history, *requests_of("half")):
        _decided(asked, people, now)
    yield f"{len(history)} decisions of the last six months, one that is signed by half"
    overdue = requests_of("overdue")
    waiting = [*overdue, *requests_of("bulk"), *requests_of("edited")]
    for asked in waiting:
        demo.asked(SIGNED, request_seed(asked, people, now)[0])
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


def _decided(asked: Asked, people: dict[str, User], now: datetime) -> None:
    request = demo.asked(SIGNED, request_seed(asked, people, now)[0])
    demo.decided_in_turn(
        request,
        [people[name] for name in asked.by.split()],
        verdict=asked.verdict,
        reason=asked.reason,
        as_of=request.created_at + timedelta(hours=int(asked.after_hours)),
    )


def _requests(part: str, people: dict[str, User]) -> "list[ApprovalRequest]":
    """Return the requests of that part, in its order."""
    keys = [asked.key for asked in requests_of(part)]
    rows = Intervention.objects.filter(requested_by=people["requester"], idempotency_key__in=keys)
    ordered = sorted(rows, key=lambda row: keys.index(row.idempotency_key))
    return [demo.asked(SIGNED, row) for row in ordered]


# --- parts that are created once -----------------------------------------------------------------
def _beside(people: dict[str, User], now: datetime) -> None:
    """Attach a file to a request, comment on it and edit it."""
    request = _requests("edited", people)[0]
    evidence_add(
        request_id=request.pk,
        by=people["requester"],
        name="Estimate Jos.csv",
        body=ESTIMATE,
        note="The contractor's own figures.",
        via="command",
        as_of=now - timedelta(hours=4),
    )
    said = [(people[name], text) for name, text in SAID]
    demo.discussed(request, said, as_of=now - timedelta(hours=3))
    demo.edited(
        request,
        by=people["requester"],
        changes={"amount": "119000.00"},
        reason="The apron is built by the school itself.",
        as_of=now - timedelta(hours=1),
    )


def _claims(people: dict[str, User], now: datetime) -> None:
    """Claim one request for a moment, and assign another, the last one of the bulk, to a colleague
    for a day."""
    reviewer, colleague = people["reviewer"], people["reviewer2"]
    demo.claimed(_requests("overdue", people)[0], by=reviewer, as_of=now)
    given = _requests("bulk", people)[-1]
    demo.claimed(given, by=reviewer, as_of=now, to=colleague, reason="You know the wards.")


def _bulk(people: dict[str, User], now: datetime) -> None:
    """Approve in bulk: three are signed, and one is refused because a colleague has claimed it."""
    demo.bulk_approved(
        _requests("bulk", people),
        by=people["reviewer"],
        reason="Same supplier and price as the first delivery.",
        as_of=now,
    )


def _delegation(people: dict[str, User], now: datetime) -> None:
    delegation_give(
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
        page="inbox",
        name="Overdue, largest first to ask about",
        query="due=over&sort=due",
        shared=True,
        via="command",
    )
