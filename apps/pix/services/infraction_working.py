"""What somebody here does about an infraction short of deciding it: evidence, escalation,
cancelling the report. The clock escalates in the same way."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.services import comment_put, request_escalate
from apps.approvals.subject import questions_close
from apps.audit.contracts import ENGINE, Actor
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.identifiers import new_id
from apps.common.language import lazy as _
from apps.common.validation import clean_text
from apps.engine import process
from apps.pix.contracts import INFRACTION
from apps.pix.contracts.infractions import (
    LONGEST_DETAILS,
    LONGEST_URL,
    InfractionFacts,
    InfractionStatus,
)
from apps.pix.infraction_rules import InfractionEvent, InfractionParty
from apps.pix.models import Infraction
from apps.pix.services import infraction_rows as rows
from apps.pix.services.infraction_opening import REPORT
from apps.pix.services.infraction_rows import PROCESS
from apps.pix.services.infraction_signing import SIGNED

DECIDE = "pix.decide_infraction"
#: Who is let in by an escalation where the rule names nobody.
ESCALATED_TO = "senior reviewer"
#: A timer may fire early by a rounding error.
TIMER_SKEW = timedelta(seconds=1)


def evidence_add(
    *,
    infraction_id: UUID | str,
    by: User,
    via: str,
    as_of: datetime,
    description: str = "",
    evidence_url: str = "",
    nonce: str = "",
) -> Infraction:
    """Add evidence to the infraction's open request, as a comment; files are added to the request
    itself. The address is shown, and never fetched. The same `nonce` adds once.

    Raises, each audited: NotFound; NotAllowed `permission_denied`, `infraction_party_invalid`;
    Invalid `description_invalid`, `evidence_url_invalid`, `evidence_empty`,
    `invisible_characters`; Conflict `infraction_operation_invalid`, `not_waiting`, `nonce_reused`.
    """
    with process.audited(PROCESS, "evidence", infraction_id, by=by, via=via):
        text = evidence_text(description, evidence_url)
        nonce = clean_text(nonce, field="nonce", limit=64) if nonce else str(new_id())
        with transaction.atomic(durable=True):
            infraction = _seen(infraction_id, by, DECIDE)
            party = rows.party_of(infraction)
            rows.move(infraction, event=InfractionEvent.ADD_EVIDENCE, party=party, as_of=as_of)
            request = SIGNED.request_of(infraction)
            if request is None:
                raise Conflict(_("It does not wait for a signature."), code="not_waiting")
            _comment, new = comment_put(
                request=request, by=by, text=text, nonce=nonce, via=via, as_of=as_of
            )
            if new:
                evidence_noted(infraction, by=by, via=via, text=text, as_of=as_of)
            return infraction


def evidence_text(description: str, evidence_url: str) -> str:
    """Return the evidence as it is kept, checked."""
    given = (
        (description, "description", LONGEST_DETAILS),
        (evidence_url, "evidence_url", LONGEST_URL),
    )
    parts = [
        clean_text(part, field=field, limit=limit, multiline=field == "description")
        for part, field, limit in given
        if part
    ]
    if not parts:
        raise Invalid(_("There is no evidence in it."), code="evidence_empty")
    return "\n".join(parts)


def evidence_noted(
    infraction: Infraction, *, by: Actor, via: str, text: str, as_of: datetime
) -> None:
    """Write that evidence came to the locked infraction: from then on it is investigated."""
    rows.emit(infraction, "evidence_added", as_of=as_of)
    rows.record(infraction, f"{INFRACTION}.evidence_added", by=by, via=via, evidence=text)
    first = infraction.status in (InfractionStatus.OPEN, InfractionStatus.ACKNOWLEDGED)
    if infraction.decides and first:
        infraction.status = InfractionStatus.INVESTIGATING
        rows.save(infraction, "status", as_of=as_of)
    else:
        process.announce(PROCESS, infraction)


def infraction_escalate(
    *, infraction_id: UUID | str, reason: str, by: User, via: str, as_of: datetime
) -> Infraction:
    """Escalate the infraction and its request: seniors may sign it as well.

    Raises, each audited: NotFound; NotAllowed `permission_denied`, `infraction_party_invalid`;
    Invalid `reason_invalid`; Conflict `infraction_operation_invalid`, once it is escalated or over.
    """
    with process.audited(PROCESS, "escalate", infraction_id, by=by, via=via):
        reason = clean_text(reason, field="reason", limit=LONGEST_DETAILS, multiline=True)
        with transaction.atomic(durable=True):
            infraction = _seen(infraction_id, by, DECIDE)
            escalate(
                infraction,
                party=rows.party_of(infraction),
                reason=reason,
                by=by,
                via=via,
                as_of=as_of,
            )
            rows.wake(infraction, event=f"escalated:{infraction.version}")
            return infraction


def infraction_escalate_due(*, row_id: UUID | str, as_of: datetime) -> InfractionFacts:
    """Escalate an infraction that is due and undecided, once. It is never decided by a clock.
    No-op before its time, once it was escalated, and once it has ended."""
    with transaction.atomic(durable=True):
        infraction = rows.lock(row_id)
        waits = infraction.decides and not (infraction.has_ended or infraction.escalated_at)
        if waits and infraction.due_at - as_of <= TIMER_SKEW:
            escalate(
                infraction,
                party=InfractionParty.CLOCK,
                reason="Nobody has decided it within seven days.",
                by=ENGINE,
                via="engine",
                as_of=max(as_of, infraction.due_at),
            )
        return rows.facts_now(infraction)


def escalate(
    infraction: Infraction,
    *,
    party: InfractionParty,
    reason: str,
    by: Actor,
    via: str,
    as_of: datetime,
) -> None:
    """Escalate the locked infraction. Joins the caller's transaction. Raises as the rules do."""
    infraction.status = rows.move(
        infraction, event=InfractionEvent.ESCALATE, party=party, as_of=as_of
    )
    infraction.escalated_at = as_of
    rows.save(infraction, "status", "escalated_at", as_of=as_of)
    rows.record(infraction, f"{INFRACTION}.escalated", by=by, via=via, reason=reason)
    if request := SIGNED.request_of(infraction):
        request_escalate(request_id=request.pk, group=ESCALATED_TO, as_of=as_of)


def infraction_cancel(
    *, infraction_id: UUID | str, reason: str, by: User, via: str, as_of: datetime
) -> Infraction:
    """Take the report back, even after it was decided; the directory is told. For the reporter's
    side only. Repeating changes nothing.

    Raises, each audited: NotFound; NotAllowed `permission_denied`, `infraction_party_invalid`;
    Invalid `reason_invalid`.
    """
    with process.acting(
        PROCESS, "cancel", infraction_id, by=by, via=via, reason=reason, permission=REPORT
    ) as (infraction, why):
        if infraction.status == InfractionStatus.CANCELLED:
            return infraction
        if not infraction.reporter_ours:
            raise rows.not_ours()
        rows.move(
            infraction, event=InfractionEvent.CANCEL, party=InfractionParty.REPORTER, as_of=as_of
        )
        ended = process.ended(
            infraction, InfractionStatus.CANCELLED, as_of=as_of, code="cancelled", detail=why
        )
        # The directory is asked anew, whatever it has refused before.
        infraction.refused = ""
        questions_close(PROCESS, infraction, by=by, reason=why, as_of=as_of)
        rows.save(infraction, *ended, "refused", as_of=as_of)
        rows.record(infraction, f"{INFRACTION}.cancelled", by=by, via=via, reason=why)
        rows.wake(infraction, event="cancelled")
        return infraction


def _seen(infraction_id: UUID | str, by: User, permission: str) -> Infraction:
    """Lock and return the infraction if the user may see it and has the permission."""
    pk = process.id_of(PROCESS, infraction_id)
    if not Infraction.objects.visible_to(by).filter(pk=pk).exists():
        raise process.unknown(PROCESS)
    if not by.has_perm(permission):
        raise NotAllowed(_("You may not do this."), code="permission_denied")
    return rows.lock(pk)
