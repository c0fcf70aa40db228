"""The demo's infractions: one to decide soon, one with evidence, one reported by us and one that
was decided. Idempotent by their ids.

None is in the directory: each stands as a workflow that somebody started would leave it.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.demo import asked, decided_in_turn, discussed
from apps.pix.contracts.infractions import FraudType, InfractionReason, Situation
from apps.pix.models import Infraction
from apps.pix.services.entry_demo import participants_seed
from apps.pix.services.infraction_opening import infraction_open
from apps.pix.services.infraction_signing import SIGNED

OURS, STRANGER = "12345678", "99999001"
PAYMENT = "E{ispb}202611{number:020d}"


def _input(number: int, **more: Any) -> dict[str, Any]:
    return {
        "infraction_id": f"DEMO-INFRACTION-{number}",
        "transaction_id": PAYMENT.format(ispb=STRANGER, number=number),
        "reporter_ispb": STRANGER,
        "counterparty_ispb": OURS,
        "requested_by": "demo",
        "reason": InfractionReason.REFUND_REQUEST,
        **more,
    }


#: Days since receipt, and what came in.
INFRACTIONS = (
    (
        6.2,
        _input(
            1,
            situation=Situation.SCAM,
            details="The buyer paid for a bicycle that was never sent; the shop is gone.",
        ),
    ),
    (2.0, _input(2, situation=Situation.ACCOUNT_TAKEOVER, details="Paid from a stolen phone.")),
    (9.0, _input(3, situation=Situation.COERCION)),
)


def infractions_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Create what is missing; yield a line of progress."""
    participants_seed()
    now = timezone.now()
    made = [_made(input, now - timedelta(days=days)) for days, input in INFRACTIONS]
    soon, evident, old = made
    for infraction in made:
        asked(SIGNED, infraction)
    request = asked(SIGNED, evident)
    officer = people["officer"]
    discussed(
        request,
        [(officer, "The holder's phone was reported stolen an hour before.")],
        as_of=evident.received_at + timedelta(hours=5),
    )
    _decided(old, officer)
    yield f"{len(made)} infractions, one due {soon.due_at:%d %b %H:%M}"


def _made(input: dict[str, Any], at: datetime) -> Infraction:
    if known := Infraction.objects.filter(infraction_id=input["infraction_id"]).first():
        return known
    facts = infraction_open(
        workflow_id=f"demo-{input['infraction_id'].lower()}", input=input, as_of=at
    )
    return Infraction.objects.get(pk=facts.row_id)


def _decided(infraction: Infraction, officer: User) -> None:
    decided_in_turn(
        asked(SIGNED, infraction),
        [officer],
        verdict="approve",
        reason="The account was opened with the papers of somebody else.",
        reason_code=FraudType.APPLICATION_FRAUD,
        as_of=infraction.received_at + timedelta(days=3),
    )
