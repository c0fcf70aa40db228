"""What the directory says of infractions: in the answers to what it was told, and in its lists."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.approvals.subject import questions_close
from apps.common.correlation import get_logger
from apps.common.identifiers import new_id
from apps.engine import process
from apps.pix.bridge.client import directory
from apps.pix.bridge.shapes import DirectoryInfraction
from apps.pix.contracts import INFRACTION, LONGEST_ID, Origin
from apps.pix.contracts.infractions import (
    LONGEST_DETAILS,
    Analysis,
    FraudType,
    InfractionStatus,
    Situation,
)
from apps.pix.models import Infraction
from apps.pix.models.participants import ISPB
from apps.pix.services import infraction_opening as opening
from apps.pix.services import infraction_rows as rows
from apps.pix.services.directory_calls import Answer
from apps.pix.services.infraction_rows import PROCESS
from apps.pix.services.shared import DIRECTORY, is_ours

#: Seconds of one call: two of them fit into an activity.
CALL_SECONDS = 10.0

logger = get_logger(__name__)


@dataclass(frozen=True)
class Seen:
    """What the directory says of a report."""

    id: str
    status: str
    modified_at: datetime
    reporter: str
    counterparty: str
    result: str
    fraud_type: str
    analysis: str
    amount: str

    @classmethod
    def of_answer(cls, answer: Answer) -> "Seen":
        """Read what `answer_of` made of it."""
        return cls(**{**answer, "modified_at": datetime.fromisoformat(answer["modified_at"])})


def answer_of(found: DirectoryInfraction) -> Answer:
    """Return the report as JSON: what is kept of a call's answer."""
    return {
        "id": found.id,
        "status": found.status,
        "modified_at": found.modified_at.isoformat(),
        "reporter": found.reporter_participant,
        "counterparty": found.counterparty_participant,
        "result": found.analysis_result,
        "fraud_type": found.fraud_type,
        "analysis": found.analysis_details[:LONGEST_DETAILS],
        "amount": str(found.amount) if found.amount else "",
    }


def infractions_listed(
    *, participant: str, modified_from: datetime, limit: int
) -> tuple[Sequence[DirectoryInfraction], bool]:
    """Return the participant's reports, of both roles, that have changed since. `polling`."""
    page = directory().infractions_list(
        participant=participant, modified_from=modified_from, limit=limit, within=CALL_SECONDS
    )
    return page.infractions, page.has_more


def infraction_take(found: DirectoryInfraction, *, as_of: datetime) -> Infraction | None:
    """Write what a list of the directory says of a report, and wake its workflow if that changes
    it; one that is new here is made, with a workflow. Repeating changes nothing.

    A report of ours whose creation was not answered yet is known by its payment. None: neither side
    is ours.
    """
    seen = Seen.of_answer(answer_of(found))
    with transaction.atomic(durable=True):
        infraction = _known(found)
        if infraction is None:
            return _received(found, as_of=as_of)
        if apply(infraction, seen, as_of=as_of):
            rows.wake(infraction, event=f"directory:{seen.status}:{seen.modified_at.isoformat()}")
        return infraction


def _known(found: DirectoryInfraction) -> Infraction | None:
    unnamed = Q(directory_id="") & (
        Q(infraction_id=found.id[:LONGEST_ID])
        | Q(
            transaction_id=found.transaction_id,
            reason=found.reason,
            status__in=sorted(rows.WAITS),
        )
    )
    locked = Infraction.objects.select_for_update(no_key=True)
    return locked.filter(directory_id=found.id).first() or locked.filter(unnamed).first()


def _received(found: DirectoryInfraction, *, as_of: datetime) -> Infraction | None:
    """Make the row of a report that somebody else made."""
    if max(len(found.id), len(found.transaction_id)) > LONGEST_ID:
        logger.error("an infraction of the directory has an id that no row can keep", alert=True)
        return None
    known = set(Situation)
    given = opening.Given(
        infraction_id=found.id,
        transaction_id=found.transaction_id,
        # A word that this version does not know is kept as it is.
        reason=found.reason[:16],
        situation=found.situation_type if found.situation_type in known else Situation.UNKNOWN,
        details=found.details[:LONGEST_DETAILS],
        contact_email=found.contact_email[: opening.LONGEST_EMAIL],
        contact_phone=found.contact_phone[: opening.LONGEST_PHONE],
        reporter_ispb=_side(found.reporter_participant),
        counterparty_ispb=_side(found.counterparty_participant),
    ).columns()
    if not (given["reporter_ours"] or given["counterparty_ours"]):
        return None
    if given["situation"] == Situation.OTHER and not given["details"]:
        given["situation"] = Situation.UNKNOWN
    pk = new_id()
    infraction = Infraction(
        **given,
        **opening.times(as_of),
        id=pk,
        directory_id=found.id,
        amount=found.amount or None,
        origin=Origin.DIRECTORY,
        workflow_id=process.workflow_id_of(PROCESS, pk),
        created_at=as_of,
    )
    try:
        with transaction.atomic():
            infraction.save(force_insert=True)
    except IntegrityError:
        # The other participant of the two is ours as well, and its list was read at the same time.
        infraction_now = _known(found)
        if infraction_now is None:
            raise
        apply(infraction_now, Seen.of_answer(answer_of(found)), as_of=as_of)
        return infraction_now
    opening.made(infraction, by=DIRECTORY, via="directory", as_of=as_of)
    apply(infraction, Seen.of_answer(answer_of(found)), as_of=as_of)
    if PROCESS.needs(infraction) is not None:
        process.start(PROCESS, infraction)
    process.tell(PROCESS, infraction, "status")
    return infraction


def apply(infraction: Infraction, seen: Seen, *, as_of: datetime) -> bool:
    """Write what the directory says, unless something newer is known; return whether it is new."""
    if infraction.directory_id not in ("", seen.id):
        logger.warning("an infraction has two ids", infraction_id=infraction.infraction_id)
        return False
    before = infraction.directory_modified_at
    if before is not None and (seen.modified_at, seen.status) == (
        before,
        infraction.directory_status,
    ):
        return False
    if before is not None and seen.modified_at < before:
        return False
    infraction.directory_id = seen.id
    infraction.directory_status = seen.status[:20]
    infraction.directory_modified_at = seen.modified_at
    fields = ["directory_id", "directory_status", "directory_modified_at"]
    fields += _sides(infraction, seen)
    if seen.amount and infraction.amount is None:
        infraction.amount = Decimal(seen.amount)
        fields.append("amount")
    fields += _status_after(infraction, seen, as_of=as_of)
    rows.save(infraction, *fields, as_of=as_of)
    return True


def _side(ispb: str) -> str:
    return ispb if re.fullmatch(ISPB, ispb) else ""


def _sides(infraction: Infraction, seen: Seen) -> list[str]:
    """Fill in a side that was not known."""
    fields = []
    for name, given in (("reporter", seen.reporter), ("counterparty", seen.counterparty)):
        if (ispb := _side(given)) and not getattr(infraction, f"{name}_ispb"):
            setattr(infraction, f"{name}_ispb", ispb)
            setattr(infraction, f"{name}_ours", is_ours(ispb))
            fields += [f"{name}_ispb", f"{name}_ours"]
    return fields


def _status_after(infraction: Infraction, seen: Seen, *, as_of: datetime) -> list[str]:
    """Set the status that follows from the directory's; return the columns."""
    if seen.status == rows.CANCELLED_THERE and infraction.status != InfractionStatus.CANCELLED:
        said = "The reporter has taken it back."
        ended = process.ended(
            infraction,
            InfractionStatus.CANCELLED,
            as_of=as_of,
            code="cancelled_by_reporter",
            detail=said,
        )
        questions_close(PROCESS, infraction, by=DIRECTORY, reason=said, as_of=as_of)
        rows.record(infraction, f"{INFRACTION}.cancelled", by=DIRECTORY, via="directory")
        return list(ended)
    if infraction.has_ended:
        return []
    if seen.status == "CLOSED":
        return _closed_there(infraction, seen, as_of=as_of)
    if seen.status == rows.ACKNOWLEDGED_THERE and not infraction.acknowledged_at:
        infraction.acknowledged_at = as_of
        rows.record(infraction, f"{INFRACTION}.acknowledged", by=DIRECTORY, via="directory")
        if infraction.status == InfractionStatus.OPEN:
            infraction.status = InfractionStatus.ACKNOWLEDGED
            return ["acknowledged_at", "status"]
        return ["acknowledged_at"]
    return []


def _closed_there(infraction: Infraction, seen: Seen, *, as_of: datetime) -> list[str]:
    agreed = seen.result == Analysis.AGREED
    fraud = seen.fraud_type if seen.fraud_type in set(FraudType) else FraudType.OTHER
    infraction.result = Analysis.AGREED if agreed else Analysis.DISAGREED
    infraction.fraud_type = fraud if agreed else ""
    infraction.analysis = seen.analysis
    infraction.decided_at, infraction.decided_via = as_of, "directory"
    said = "The other side has decided it."
    questions_close(PROCESS, infraction, by=DIRECTORY, reason=said, as_of=as_of)
    rows.record(
        infraction,
        f"{INFRACTION}.closed",
        by=DIRECTORY,
        via="directory",
        result=infraction.result,
        fraud_type=infraction.fraud_type,
    )
    ended = process.ended(infraction, InfractionStatus.CLOSED, as_of=as_of)
    return [*ended, "result", "fraud_type", "analysis", "decided_at", "decided_via"]
