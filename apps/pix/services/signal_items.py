"""The item that asks a person about a signal from outside: of a claim, and of an infraction."""

from datetime import datetime
from typing import Any, TypeVar

from apps.approvals.selectors import requests_about
from apps.approvals.services import request_open
from apps.engine import process
from apps.engine.process import Process
from apps.pix.models import Claim, Infraction
from apps.pix.services.shared import BY_SIGNAL, SIGNALLER

R = TypeVar("R", Claim, Infraction)

#: Items of one row that may be open at a time: signals may be sent without end.
MOST_OPEN = 20


def signal_ask(
    carried: Process[R],
    row: R,
    *,
    kind: str,
    key: str,
    title: str,
    payload: dict[str, Any],
    as_of: datetime,
    **said: object,
) -> bool:
    """Ask a person about a signal to the locked row, once per `key`, and write into the trail that
    it came, with what it `said`; return whether a person was asked: nobody is about a row that has
    ended, or of which MOST_OPEN items wait. Joins the caller's transaction."""
    waiting = requests_about(carried.subject, row.pk, kind=kind).open().count()
    asked = waiting < MOST_OPEN and not row.has_ended
    if asked:
        request_open(
            key=f"{carried.subject}:{row.pk}:signal:{key}",
            kind=kind,
            scope="",
            title=title[:200],
            subject_type=carried.subject,
            subject_id=str(row.pk),
            # No workflow waits for the item: it can be decided although the row's has ended.
            workflow_id="",
            requested_by=None,
            amount=row.amount,
            currency=row.currency,
            payload=payload,
            as_of=as_of,
        )
        process.announce(carried, row)
    action = f"{carried.subject}.signal_received"
    process.record(carried, row, action, by=SIGNALLER, via=BY_SIGNAL, asked=asked, **said)
    return asked
