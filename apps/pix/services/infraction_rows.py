"""What the services of infractions share: the process, what is owed to the directory, the one way
to change a row, and what its workflow reads."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Exists, Q

from apps.approvals.contracts import Waiting
from apps.approvals.selectors import requests_about, requests_by_row
from apps.approvals.services import request_carried_by
from apps.approvals.subject import waiting_of
from apps.common.errors import NotAllowed
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine import services as engine
from apps.engine.process import Carrier, Process
from apps.pix import infraction_rules as rules
from apps.pix.contracts import INFRACTION, INFRACTION_WORKFLOW, TASK_QUEUE, Origin
from apps.pix.contracts.infractions import (
    ATTENTION_KIND,
    INFRACTION_KIND,
    SIGNAL_CHANGED,
    Analysis,
    InfractionFacts,
    InfractionStatus,
    Owed,
)
from apps.pix.infraction_rules import InfractionEvent, InfractionParty
from apps.pix.models import Infraction
from apps.pix.models.infractions import OPEN
from apps.pix.services.events import event_emit
from apps.pix.services.shared import queue_timings

if TYPE_CHECKING:
    from django.db.models import QuerySet

#: Runs that somebody ends on purpose are not started again for ever.
MOST_RUNS = 10
#: Workflows that may wait for the same infraction.
MOST_JOINED = 20
WAITS = frozenset(OPEN)
#: The status that the directory has after it was told.
CANCELLED_THERE, OPEN_THERE, ACKNOWLEDGED_THERE = "CANCELLED", "OPEN", "ACKNOWLEDGED"

_EVENTS = {
    InfractionStatus.OPEN: "created",
    InfractionStatus.ACKNOWLEDGED: "acknowledged",
    InfractionStatus.ESCALATED: "escalated",
    InfractionStatus.CLOSED: "closed",
    InfractionStatus.CANCELLED: "cancelled",
}


def _ref(infraction: Infraction, again: bool) -> dict[str, str]:
    # The shape that others start it with: the row is found by it.
    return {"infraction_id": infraction.infraction_id}


def _open_rows() -> "QuerySet[Infraction]":
    """Return those that need a workflow and that no person is asked about."""
    asked = requests_by_row(INFRACTION, kind=ATTENTION_KIND).filter(settled_at=None)
    carried = Q(status__in=sorted(WAITS)) | ~Q(owed="")
    return Infraction.objects.filter(carried, ~Exists(asked))


CARRIER: Carrier[Infraction] = Carrier(INFRACTION_WORKFLOW, _ref, process.WAITING_BACKSTOP)

PROCESS = Process(
    subject=INFRACTION,
    title=_("Infraction"),
    noun="infraction",
    missing=_("There is no such infraction."),
    opens=_("Open the infraction"),
    model=Infraction,
    queue=TASK_QUEUE,
    url_name="infraction",
    carriers=(CARRIER,),
    needs=lambda row: CARRIER if row.owed or not row.has_ended else None,
    open_rows=_open_rows,
    list_topics=("infractions",),
    shared_topics=("home",),
    most_runs=MOST_RUNS,
)

lock = partial(process.locked, PROCESS)
record = partial(process.record, PROCESS)


# --- rules ----------------------------------------------------------------------------------------
def move(
    infraction: Infraction, *, event: InfractionEvent, party: InfractionParty, as_of: datetime
) -> InfractionStatus:
    """Return the status after the event. Raises Conflict `infraction_operation_invalid`,
    `infraction_not_due`, NotAllowed `infraction_party_invalid`."""
    return rules.move_infraction(_judged(infraction), event=event, party=party, as_of=as_of)


def _judged(infraction: Infraction) -> rules.InfractionFacts:
    """Return what the rules have to know. One that is decided here counts as acknowledged from its
    receipt: while the directory is away people work on it, and the directory is told in order."""
    status = InfractionStatus(infraction.status)
    if status is InfractionStatus.OPEN and infraction.decides:
        status = InfractionStatus.ACKNOWLEDGED
    return rules.InfractionFacts(status, infraction.received_at, infraction.due_at)


def party_of(infraction: Infraction) -> InfractionParty:
    """Return which side ours is, where somebody here brings evidence or escalates."""
    return InfractionParty.COUNTERPARTY if infraction.decides else InfractionParty.REPORTER


def owed_of(infraction: Infraction) -> Owed:
    """Return what the directory has to be told next."""
    there = infraction.directory_status
    known = bool(infraction.directory_id)
    if infraction.refused:
        return Owed.NOTHING
    if infraction.status == InfractionStatus.CANCELLED:
        mine = infraction.reporter_ours and (known or infraction.sent)
        return Owed.CANCEL if mine and there != CANCELLED_THERE else Owed.NOTHING
    if not known:
        reports = infraction.reporter_ours and infraction.transaction_id
        from_there = infraction.origin == Origin.DIRECTORY
        return Owed.CREATE if reports and not from_there else Owed.NOTHING
    if not infraction.counterparty_ours:
        return Owed.NOTHING
    if there == OPEN_THERE:
        return Owed.ACKNOWLEDGE
    closes = there == ACKNOWLEDGED_THERE and infraction.status == InfractionStatus.CLOSED
    return Owed.CLOSE if closes else Owed.NOTHING


# --- changing a row -------------------------------------------------------------------------------
def save(infraction: Infraction, *fields: str, as_of: datetime) -> None:
    """Write the fields, what is owed, and the event of a new status. Joins the transaction that
    holds the row's lock. An end wakes those who joined."""
    infraction.owed = owed_of(infraction)
    process.save(PROCESS, infraction, *fields, "owed")
    if "status" not in fields:
        return
    event_of_status(infraction, as_of=as_of)
    if infraction.has_ended:
        _joined_wake(infraction)


def event_of_status(infraction: Infraction, *, as_of: datetime) -> bool:
    """Write the event of the row's status, unless one has told of it; return whether it did."""
    kind = _EVENTS.get(InfractionStatus(infraction.status))
    if kind is None or infraction.told == infraction.status:
        return False
    emit(infraction, kind, as_of=as_of, status=infraction.status, **_said(infraction))
    infraction.told = infraction.status
    Infraction.objects.filter(pk=infraction.pk).update(told=infraction.told)
    return True


def emit(infraction: Infraction, kind: str, *, as_of: datetime, **data: Any) -> None:
    """Write the event `infraction.KIND`."""
    event_emit(
        type=f"{INFRACTION}.{kind}",
        key=infraction.key or infraction.infraction_id,
        claim_id=infraction.claim_id,
        occurred_at=as_of,
        data={
            "infraction_id": infraction.infraction_id,
            "transaction_id": infraction.transaction_id,
            **data,
        },
    )


def close(
    infraction: Infraction,
    *,
    result: Analysis,
    fraud_type: str,
    analysis: str,
    via: str,
    as_of: datetime,
) -> None:
    """Write the decision: the row is closed, and the directory is owed it."""
    ended = process.ended(infraction, InfractionStatus.CLOSED, as_of=as_of)
    infraction.result, infraction.fraud_type, infraction.analysis = result, fraud_type, analysis
    infraction.decided_at, infraction.decided_via = as_of, via
    decided = ("result", "fraud_type", "analysis", "decided_at", "decided_via")
    save(infraction, *ended, *decided, as_of=as_of)


def wake(infraction: Infraction, *, event: str) -> None:
    """Have the row's workflow read it, once per `event`; start one where the last has ended."""
    if not revive(infraction, key=event):
        process.wake(PROCESS, infraction, signal=SIGNAL_CHANGED, event=event)


def revive(infraction: Infraction, *, key: str) -> bool:
    """Start a workflow if the row needs one and its last has ended; return whether it has ended."""
    if not engine.workflow_is_closed(workflow_id=infraction.workflow_id):
        return False
    if PROCESS.needs(infraction) and not process.is_under_way(PROCESS, infraction):
        start_again(infraction, key=key)
    return True


def start_again(infraction: Infraction, *, key: str = "") -> None:
    """Start a workflow from the row; its open request waits for that one from now on."""
    process.start_again(PROCESS, infraction, key=key)
    _request_hand_over(infraction)


def restart(identifier: UUID | str) -> None:
    """As `process.restart`, for the engine's own recovery."""
    infraction = process.restart(PROCESS, identifier)
    if infraction is not None:
        _request_hand_over(infraction)
        record(infraction, f"{INFRACTION}.restarted")


def _request_hand_over(infraction: Infraction, workflow_id: str | None = None) -> None:
    for request in requests_about(INFRACTION, infraction.pk, kind=INFRACTION_KIND).open():
        request_carried_by(request, infraction.workflow_id if workflow_id is None else workflow_id)


def request_let_go(infraction: Infraction) -> None:
    """Nobody waits for the open request any more: it can be signed all the same."""
    _request_hand_over(infraction, "")


def _joined_wake(infraction: Infraction) -> None:
    for workflow_id in infraction.joined:
        engine.workflow_signal(
            key=f"{INFRACTION}:{infraction.pk}:{infraction.status}:{workflow_id}",
            workflow_id=workflow_id,
            task_queue=TASK_QUEUE,
            name=SIGNAL_CHANGED,
            subject_type=INFRACTION,
            subject_id=str(infraction.pk),
        )


def _said(infraction: Infraction) -> dict[str, str]:
    if not infraction.result:
        return {}
    return {"result": infraction.result, "fraud_type": infraction.fraud_type}


# --- what the workflow reads ----------------------------------------------------------------------
def facts_of(infraction: Infraction, waiting: Waiting, *, workflow_id: str = "") -> InfractionFacts:
    """Return the row's state for a workflow; `workflow_id` is the one that asks."""
    escalates_at = rules.next_infraction_clock(_judged(infraction)) if infraction.decides else None
    return InfractionFacts(
        **vars(waiting),
        row_id=str(infraction.pk),
        infraction_id=infraction.infraction_id,
        mine=workflow_id in ("", infraction.workflow_id),
        decides=infraction.decides,
        owed=Owed(infraction.owed),
        result=infraction.result,
        fraud_type=infraction.fraud_type,
        escalates_at=escalates_at,
        timings=queue_timings(),
    )


def facts_now(infraction: Infraction, *, workflow_id: str = "") -> InfractionFacts:
    """As `facts_of`, with the row's own request."""
    request = requests_about(INFRACTION, infraction.pk, kind=INFRACTION_KIND).first()
    waiting = waiting_of(infraction, waits=WAITS, request=request)
    return facts_of(infraction, waiting, workflow_id=workflow_id)


def not_ours() -> NotAllowed:
    """Return the error for what only the other side of an infraction may do."""
    return NotAllowed(
        _("The other side of the infraction does this, and its participant is not ours."),
        code="infraction_party_invalid",
    )
