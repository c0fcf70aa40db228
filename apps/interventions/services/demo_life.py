"""What people have done in the demo: months of decisions, and work in every state today.

Everything goes through the services that the doors call, at the time it is said to have happened.
What a second run could do twice is noted in the audit trail when it is done, and left out then.
Nothing here is about `demo-relief` and `demo-2026`.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from django.db import transaction
from django.utils import timezone

from apps.accounts.demo_users import SEEDER
from apps.accounts.models import User
from apps.approvals import services as approvals
from apps.approvals.selectors import current_payload
from apps.approvals.services.bulk import BulkChoice
from apps.approvals.services.filters import filter_save
from apps.audit.selectors import entries_about
from apps.audit.services import entry_record
from apps.interventions.models import Intervention
from apps.interventions.services.approval import approval_of, approval_open
from apps.interventions.services.demo import transfer_seed
from apps.interventions.services.demo_batches import batch_half_seed, batch_waiting_seed
from apps.interventions.services.requests import intervention_request

if TYPE_CHECKING:
    from apps.approvals.models import ApprovalRequest

DONE = "demo.seeded"
FLOOD, SCHOOL, RAIN = (
    ("flood-relief", "relief-north-2026", "NGN"),
    ("school-grants", "education-2026", "NGN"),
    ("auxilio-chuvas", "chuvas-2026", "BRL"),
)


class Asked(NamedTuple):
    """A request, and how it was decided (by whom, after how many hours); nobody: it waits."""

    where: tuple[str, str, str]
    amount: str
    target: str
    justification: str
    days_ago: float
    verdict: str = ""
    by: tuple[str, ...] = ()
    reason: str = ""
    after_hours: int = 5


HISTORY = (
    Asked(
        FLOOD, "64000.00", "Lokoja Primary Health Centre", "Roof and cold store before the rains.",
        171, "approve", ("reviewer",), "Quotation and photographs are in the file.",
    ),
    Asked(
        RAIN, "8200.00", "Família Azevedo, Teresópolis", "Aluguel social de três meses.",
        143, "approve", ("reviewer2",), "Laudo da Defesa Civil conferido.", 9,
    ),
    Asked(
        FLOOD, "41000.00", "Idah Fish Traders", "Ice boxes and one outboard engine.",
        118, "reject", ("reviewer",), "The invoice names another association.", 26,
    ),
    Asked(
        FLOOD, "290000.00", "Makurdi Water Board", "Two pumps and 400 m of pipe.",
        96, "approve", ("reviewer", "senior"), "Three offers; the lowest was taken.", 20,
    ),
    Asked(
        SCHOOL, "180000.00", "Unity School, Kafanchan", "Desks for two classrooms.",
        74, "approve", ("reviewer2",), "Delivery date agreed with the head teacher.", 7,
    ),
    Asked(
        RAIN, "23500.00", "Creche Pequeno Mundo", "Muro de contenção e drenagem.",
        52, "approve", ("reviewer2", "senior"), "Projeto assinado por engenheira.", 30,
    ),
    Asked(
        RAIN, "5100.00", "Ateliê Mãos da Serra", "Máquinas de costura perdidas.",
        38, "reject", ("reviewer2",), "Já atendido pelo município.", 4,
    ),
    Asked(
        FLOOD, "33000.00", "Yola Women Tailors", "Six sewing machines.",
        19, "approve", ("reviewer",), "Seen on site.", 3,
    ),
    Asked(
        SCHOOL, "95000.00", "Community School, Gboko", "Books and a lockable store.",
        8, "approve", ("reviewer2",), "List of titles checked.", 6,
    ),
)  # fmt: skip
#: Signed in the first tier. The second's senior is away: who acts for her can sign it.
HALF = Asked(
    FLOOD, "268000.00", "Bassa Health Post", "Solar pump and tank, out of order since the flood.",
    1.2, "approve", ("reviewer",), "Offer and photographs are in order.", 3,
)  # fmt: skip
#: Asked so long ago that it is overdue by any calendar.
OVERDUE = (
    Asked(
        FLOOD, "72500.00", "Numan Bridge Committee", "Planks and bolts; the lorry waits.", 6.2
    ),
    Asked(
        RAIN, "19400.00", "Cooperativa Vale Verde", "Sementes e ferramentas para 40 famílias.", 5.4
    ),
)  # fmt: skip
BULK = (
    Asked(FLOOD, "26000.00", "Ward 3 households, Lokoja", "Tarpaulins, second delivery.", 1.4),
    Asked(FLOOD, "26500.00", "Ward 4 households, Lokoja", "Tarpaulins, second delivery.", 1.4),
    Asked(FLOOD, "27000.00", "Ward 5 households, Lokoja", "Tarpaulins, second delivery.", 1.3),
    # Held by somebody else when the others are decided.
    Asked(FLOOD, "38000.00", "Ward 6 households, Lokoja", "Tarpaulins and rope.", 1.3),
)
EDITED = Asked(
    SCHOOL, "128000.00", "Model School, Jos", "A borehole, and the pump that belongs to it.", 0.8
)
ESTIMATE = b"""item,quantity,unit price NGN,total NGN
Drilling to 60 m,1,88000.00,88000.00
Hand pump with pipe,1,31000.00,31000.00
Apron and drainage,1,9000.00,9000.00
"""


def life_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Make what is not there yet; a line of progress for each part."""
    now = timezone.now()
    for asked in (*HISTORY, HALF):
        _decided(asked, people, now)
    yield f"{len(HISTORY)} decisions of the last six months, one that is signed by half"
    waiting = [_waits(asked, people, now) for asked in (*OVERDUE, *BULK, EDITED)]
    yield f"{len(waiting)} more that wait or waited, {len(OVERDUE)} of them overdue"
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
        yield f"{title}{'' if _once(title, part, people, now) else ', as before'}"


# --- requests ------------------------------------------------------------------------------------
def _key(asked: Asked) -> str:
    return f"demo-{asked.where[0]}-{asked.target}"[:120]


def _waits(asked: Asked, people: dict[str, User], now: datetime) -> "ApprovalRequest":
    """Its request, open since then if nobody has decided it."""
    policy, budget, currency = asked.where
    at = now - timedelta(days=asked.days_ago)
    intervention, _ = intervention_request(
        policy=policy,
        budget=budget,
        amount=Decimal(asked.amount),
        currency=currency,
        target=asked.target,
        justification=asked.justification,
        by=people["requester"],
        via="command",
        idempotency_key=_key(asked),
        as_of=at,
    )
    found = approval_of(intervention)
    if found is None:
        # The workflow does this too, and finds it done: it would be of today.
        approval_open(intervention.pk, workflow_id=intervention.workflow_id, as_of=at)
        found = approval_of(intervention)
    assert found is not None  # the amounts here all need a signature
    return found


def _decided(asked: Asked, people: dict[str, User], now: datetime) -> None:
    request = _waits(asked, people, now)
    at = request.created_at + timedelta(hours=asked.after_hours)
    for number, name in enumerate(asked.by):
        request.refresh_from_db()
        if request.status == "open" and request.tier_number == number + 1:
            approvals.request_decide(
                request_id=request.pk,
                by=people[name],
                verdict=asked.verdict,
                reason=asked.reason,
                payload_hash=current_payload(request).hash,
                via="command",
                as_of=at + timedelta(hours=number),
                on_behalf_of=people[name],
            )


def _request_of(asked: Asked, people: dict[str, User]) -> "ApprovalRequest":
    intervention = Intervention.objects.get(
        requested_by=people["requester"], idempotency_key=_key(asked)
    )
    found = approval_of(intervention)
    assert found is not None
    return found


# --- once ----------------------------------------------------------------------------------------
def _once(
    title: str,
    part: Callable[[dict[str, User], datetime], None],
    people: dict[str, User],
    now: datetime,
) -> bool:
    """Do it unless it was done in an earlier run, whatever became of it since."""
    if entries_about(("demo", title)).filter(action=DONE).exists():
        return False
    part(people, now)
    with transaction.atomic(durable=True):
        entry_record(action=DONE, subject_type="demo", subject_id=title, by=SEEDER, via="command")
    return True


def _beside(people: dict[str, User], now: datetime) -> None:
    request = _request_of(EDITED, people)
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
    """One is held for a moment, one was given to a colleague for a day."""
    approvals.claim_take(
        request_id=_request_of(OVERDUE[0], people).pk,
        by=people["reviewer"],
        via="command",
        as_of=now,
    )
    given = _request_of(BULK[-1], people)
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
    requests = [_request_of(asked, people) for asked in BULK]
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
