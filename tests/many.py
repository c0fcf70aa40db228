"""Hundreds of open requests in a stack's database at once, through the services.

Their interventions have no workflow: what is tested is deciding, not what hundreds of sagas do.
"""

from tests.stack import Stack

_OPEN = """
from decimal import Decimal
from django.utils import timezone
from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.interventions.services import approval, requests
requests.approval_start = lambda intervention: None
by = User.objects.get(username="requester")
for number in range({number}):
    made, _ = requests.intervention_request(
        policy="demo-relief", budget="demo-2026", amount=Decimal("25000.00"), currency="NGN",
        target=f"{word} ward {{number:03}}", justification="Roofs before the rains.",
        by=by, via="command", as_of=timezone.now(),
    )
    approval.approval_open(
        made.pk, workflow_id=made.workflow_id, as_of=timezone.now()
    )
    ApprovalRequest.objects.filter(subject_id=str(made.pk)).update(workflow_id="")
"""

_SPOIL = """
from django.utils import timezone
from apps.accounts.models import User
from apps.approvals import selectors, services
from apps.approvals.models import ApprovalRequest
people = {{user.username: user for user in User.objects.all()}}
rows = ApprovalRequest.objects.for_detail().filter(search_text__contains="{word}")
for number, row in enumerate(rows.order_by("pk")[:{number}]):
    common = {{"request_id": row.pk, "via": "api", "as_of": timezone.now()}}
    seen = selectors.current_payload(row).hash
    if number % 2:
        services.claim_take(by=people["reviewer2"], **common)
    elif number % 4:
        services.request_decide(
            by=people["reviewer2"], verdict="approve", reason="Mine.", payload_hash=seen, **common
        )
    else:
        services.request_edit(
            by=people["requester"], changes={{"target": "{word} elsewhere"}},
            payload_hash=seen, reason="The other ward.", **common
        )
"""


def open_many(stack: Stack, number: int, word: str) -> list[tuple[str, str]]:
    """That many requests over NGN 25,000.00 by the requester, found by `word`; id and hash."""
    stack.manage("shell", "-v", "0", "-c", _OPEN.format(number=number, word=word))
    rows = stack.sql(
        "SELECT r.id, p.hash FROM approvals_approvalrequest r"
        " JOIN approvals_payloadversion p ON p.request_id = r.id AND p.number = r.payload_number"
        " WHERE r.search_text LIKE %s ORDER BY r.id",
        f"%{word}%",
    )
    assert len(rows) == number
    return [(str(identifier), digest) for identifier, digest in rows]


def spoil(stack: Stack, number: int, word: str) -> None:
    """Behind the back of whoever looks at them: half are claimed by a second reviewer, a quarter
    decided by them, a quarter edited by the requester."""
    stack.manage("shell", "-v", "0", "-c", _SPOIL.format(number=number, word=word))
