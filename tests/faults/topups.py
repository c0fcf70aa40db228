"""Top-ups for the fault harness: paid, refused, and paid when nobody waits any more."""

import json
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.faults.points import Points
from tests.faults.saga import FaultSaga
from tests.faults.story import Story
from tests.support import eventually

RIDER, REFUSED_RIDER, REFUSED_EMAIL = "emeka", "folake", "folake@demo.invalid"
AMOUNT, MINOR = "12.50", 1250
#: What may happen to a top-up once, and never again.
ONCE = ("topup.requested", "topup.credited", "topup.done", "topup.failed")
_SEEN = """
SELECT t.id::text, t.status,
       (SELECT count(*) FROM wallets_journal j WHERE j.key = 'topup:' || t.id || ':credit'),
       (SELECT count(*) FROM wallets_invoice i
          JOIN wallets_providertransaction p ON p.id = i.payment_id WHERE p.top_up_id = t.id),
       (SELECT count(*) FROM notifications_mail m
          JOIN wallets_invoice i ON m.key = 'invoice:' || i.number || ':receipt'
          JOIN wallets_providertransaction p ON p.id = i.payment_id WHERE p.top_up_id = t.id),
       (SELECT count(*) FROM wallets_paymentreview r
          JOIN wallets_providertransaction p ON p.id = r.payment_id WHERE p.top_up_id = t.id),
       ARRAY(SELECT a.action FROM audit_auditentry a
             WHERE a.subject_type = 'topup' AND a.subject_id = t.id::text
               AND a.outcome = 'done' AND a.action = ANY(%s)
             GROUP BY a.action HAVING count(*) > 1)
FROM wallets_topup t WHERE t.id::text = ANY(%s)
"""
_LEFTOVERS = """
SELECT 'command ' || key || ' ' || state FROM engine_enginecommand
WHERE subject_id = ANY(%s) AND state IN ('pending', 'leased', 'parked')
UNION ALL
SELECT 'run ' || workflow_id FROM engine_workflowrun
WHERE subject_id = ANY(%s) AND status = 'running'
"""


@dataclass(frozen=True)
class End:
    """How it must have ended. `credits`: journals, invoices and receipts; `reviews`: payments that
    a person is asked about."""

    status: str
    credits: int = 0
    reviews: int = 0

    def prove(self, story: Story, top_ups: Sequence[str]) -> None:
        """AssertionError unless each ended like this, once, and left nothing over."""
        ids = list(top_ups)
        eventually(lambda: not story.stack.sql(_LEFTOVERS, ids, ids), timeout=30, every=0.1)
        rows = story.stack.sql(_SEEN, list(ONCE), ids)
        assert len(rows) == len(ids)
        for pk, status, journals, invoices, receipts, reviews, twice in rows:
            assert (status, journals, invoices) == (self.status, self.credits, self.credits), pk
            assert (receipts, reviews, twice) == (self.credits, self.reviews, []), pk


def ended(story: Story, top_up: str) -> bool:
    """Whether the workflow has come to its end."""
    query = "SELECT settled_at IS NOT NULL FROM wallets_topup WHERE id = %s"
    return bool(story.stack.sql(query, top_up)[0][0])


def reviewed(story: Story, top_up: str) -> bool:
    """Whether a person is asked about its payment."""
    query = "SELECT count(*) FROM wallets_providertransaction WHERE top_up_id = %s"
    return bool(ended(story, top_up) and story.stack.sql(query, top_up)[0][0])


# --- the ways -----------------------------------------------------------------------------------
def _tell(story: Story, path: str, **body: Any) -> None:
    """Tell the simulated Paystack, which nobody kills."""
    request = urllib.request.Request(
        f"{story.sink.removesuffix('/executor')}/paystack/{path}",
        method="POST",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30):
        pass


def _ask(story: Story, rider: str) -> str:
    answer = story.insist(
        *("POST", f"/wallets/{rider}/top-ups"),
        user="agent",
        body={"amount": AMOUNT},
        key=f"fault-{uuid4()}",
    )
    assert answer.status in (200, 201), answer
    return str(answer.body["id"])


def _paid(story: Story, points: Points) -> str:
    top_up = _ask(story, RIDER)
    query = """SELECT reference FROM wallets_paystackreference
               WHERE top_up_id = %s AND status = 'open'"""
    found = eventually(lambda: story.stack.sql(query, top_up), timeout=120, every=0.1)
    _tell(story, f"pay/{found[0][0]}")
    return top_up


def _refused(story: Story, points: Points) -> str:
    _tell(story, "behaviour", refuse_emails=[REFUSED_EMAIL])
    return _ask(story, REFUSED_RIDER)


def _late(story: Story, points: Points) -> str:
    top_up = _refused(story, points)
    eventually(lambda: ended(story, top_up), timeout=120, every=0.1)
    _tell(story, f"pay/topup-{top_up}-1", amount=MINOR, currency="NGN")
    return top_up


def _around(*steps: str) -> tuple[str, ...]:
    return tuple(f"{step}.{where}" for step in steps for where in ("before", "after"))


def _saga(
    name: str, begin: Callable[[Story, Points], str], end: End, *points: str, **changes: Any
) -> FaultSaga:
    return FaultSaga(
        name=name, points=points, begin=begin, prove=end.prove, **{"ended": ended, **changes}
    )


SAGAS = [
    _saga(
        "topped up",
        _paid,
        End("done", credits=1),
        "top_up_request.uncommitted",
        *_around("open_topup", "initiatePaystackPayment", "read_topup"),
        *("initiate_payment.begun", "initiate_payment.answered"),
        *("webhook_take.uncommitted", "webhook_take.stored"),
        *_around("creditWallet", "generateInvoice", "sendReceiptEmail"),
        *("credit_wallet.verified", "credit_wallet.uncommitted"),
        *("generate_invoice.uncommitted", "send_receipt.uncommitted"),
    ),
    _saga(
        "top-up refused",
        _refused,
        End("failed"),
        *_around("cancelPaystackPayment"),
        "cancel_payment.uncommitted",
    ),
    _saga(
        "top-up paid late",
        _late,
        End("failed", reviews=1),
        "webhook_look.uncommitted",
        ended=reviewed,
    ),
]

NOT_WALKED = {"raise_topup_attention": "the kit's review item, which interventions walk"}
