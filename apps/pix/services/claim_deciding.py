"""Decisions about claims: the donor's signature, the claimer's acts, and the rulebook's clock. A
decision is written first and carried out by the workflow; the first counts.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.contracts import Waiting
from apps.approvals.subject import Decided, SignedSubject, questions_close, waiting_of
from apps.audit.contracts import ENGINE, Actor
from apps.common.canonical_json import plain
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.language import lazy as _
from apps.common.validation import clean_reason
from apps.engine import process
from apps.pix import keys
from apps.pix.contracts import ClaimStatus, Role
from apps.pix.contracts.claims import CLAIM_KIND, ClaimFacts
from apps.pix.models import Claim
from apps.pix.rulebooks import machine, terms
from apps.pix.services.claim_rows import (
    PROCESS,
    UNDECIDED,
    claim_lock,
    claim_wake,
    due_of,
    facts_of,
    machine_facts,
    record,
    save,
    status_of,
)
from apps.pix.services.rulebooks import book_of

DECIDE_PERMISSION = "pix.decide_claim"
#: What the donor gives as a reason where nobody has chosen one.
DEFAULT_REASON = "USER_REQUESTED"
#: Before the end of every period: only reasons that need no waiting are usual.
BEFORE_ALL = datetime(2000, 1, 1, tzinfo=UTC)
_IN_TIME = _("Nobody decided in time.")


# --- one decision ---------------------------------------------------------------------------------
def claim_decide(
    claim: Claim,
    *,
    event: terms.Event,
    actor: terms.Actor,
    reason: str,
    note: str = "",
    by: Actor,
    via: str,
    as_of: datetime,
) -> None:
    """Write a decision about the locked claim, for its workflow to carry out. Joins the caller's
    transaction; the caller wakes the workflow. `note`: what was said beside the coded reason; the
    claim keeps it as the detail of its end.

    Raises Conflict `already_settled` (extra status), `claim_operation_invalid` for a claim that was
    decided before, `claim_resolution_period_not_ended`, `claim_completion_period_not_ended`;
    Invalid `reason_invalid` (extra reasons); NotAllowed `claim_party_invalid`.
    """
    process.check_unsettled(PROCESS, claim)
    if claim.status == ClaimStatus.DECIDED:
        raise Conflict(
            _("It is decided, and is being carried out."),
            code="claim_operation_invalid",
            claim_status=claim.status,
        )
    _check_side(claim, actor)
    move = machine.move(
        book_of(claim.rulebook_id),
        machine_facts(claim),
        event=event,
        actor=actor,
        reason=reason,
        as_of=as_of,
    )
    claim.decided_from, claim.status = claim.status, ClaimStatus.DECIDED
    claim.decision, claim.decision_reason = move.event.value, move.reason[:30]
    claim.decision_effects = [effect.value for effect in move.effects]
    claim.decision_leads_to = status_of(move.status)
    claim.decided_by = move.role.value if move.role else ""
    claim.decided_via, claim.decided_at = via[:20], as_of
    claim.error_detail = note
    claim.completion_ends_at = move.dates.completion_ends_at
    save(
        claim,
        *("status", "decision", "decision_reason", "decision_effects", "decision_leads_to"),
        *("decided_from", "decided_by", "decided_via", "decided_at", "completion_ends_at"),
        "error_detail",
    )
    record(
        claim,
        f"claim.{move.event}",
        by=by,
        via=via,
        claim_id=claim.claim_id,
        reason=move.reason,
        side=claim.decided_by,
        leads_to=claim.decision_leads_to,
        **({"note": note} if note else {}),
    )


def _check_side(claim: Claim, actor: terms.Actor) -> None:
    """Raise NotAllowed `claim_party_invalid` for an act that only the other participant can do at
    the directory. Without a key there is no directory: what was heard of the donor is written."""
    role = actor.role or (terms.Role.DONOR if actor is terms.Actor.SIGNAL else None)
    if claim.key and role is not None and Role(role) not in claim.ours:
        raise NotAllowed(
            _("Only the participant of that side can do this."), code="claim_party_invalid"
        )


# --- the donor's signature ------------------------------------------------------------------------
def claim_payload(claim: Claim) -> dict[str, Any]:
    """Return what the donor's decision is about. The key itself stays in the row, which keeps it
    (`claim_as_opened`): payloads are searched, and shown in more places."""
    payload: dict[str, Any] = plain(
        {
            "claim": claim.claim_id,
            "type": claim.claim_type,
            "entry": claim.entry_ref,
            "key_type": claim.key_type,
            "key": keys.masked_key(claim.key_type, claim.key) if claim.key else "",
            "claimer_ispb": claim.claimer_ispb,
            "donor_ispb": claim.donor_ispb,
            "claimer": claim.name,
            "rulebook": str(claim.rulebook),
        }
    )
    return payload


def _title(claim: Claim) -> str:
    shown = keys.masked_key(claim.key_type, claim.key) if claim.key else claim.entry_ref
    said = {
        "PORTABILITY": gettext("Portability of {key} to {claimer}"),
        "OWNERSHIP": gettext("Ownership of {key} for {claimer}"),
    }[claim.claim_type]
    return said.format(key=shown or claim.claim_id, claimer=claim.claimer_ispb)


def _approved(claim: Claim, decided: Decided) -> None:
    _signed(claim, terms.Event.CONFIRM, decided)


def _rejected(claim: Claim, decided: Decided) -> None:
    _signed(claim, terms.Event.CANCEL, decided)


def _signed(claim: Claim, event: terms.Event, decided: Decided) -> None:
    claim_decide(
        claim,
        event=event,
        actor=terms.Actor.DONOR,
        reason=_reason(claim, event, decided.reason_code),
        by=decided.by,
        via=decided.via,
        as_of=decided.as_of,
    )


def _reason(claim: Claim, event: terms.Event, code: str) -> str:
    """Return the coded reason; without one, the only one that the rulebook takes, or the usual."""
    if code:
        return code
    choices = machine.allowed(
        book_of(claim.rulebook_id), machine_facts(claim), actor=terms.Actor.DONOR, as_of=BEFORE_ALL
    )
    reasons = [reason for one in choices if one.event is event for reason in one.reasons]
    return reasons[0].value if len(reasons) == 1 else DEFAULT_REASON


SIGNED: SignedSubject[Claim, Waiting] = SignedSubject(
    row=PROCESS,
    kind=CLAIM_KIND,
    waits=UNDECIDED,
    payload=claim_payload,
    on_approved=_approved,
    on_rejected=_rejected,
    title=_title,
    amount=lambda claim: None,
    related=("rulebook",),
)


def claim_facts(claim: Claim, *, as_of: datetime, joins: bool = False) -> ClaimFacts:
    """Return the claim's state for a workflow, with the clock of its request."""
    request = SIGNED.request_of(claim)
    return facts_of(
        claim, waiting_of(claim, waits=UNDECIDED, request=request), as_of=as_of, joins=joins
    )


# --- acts of a side that no request waits for -----------------------------------------------------
def claim_act(
    *,
    claim_id: UUID | str,
    event: str,
    role: str,
    reason: str = "",
    note: str = "",
    by: User,
    via: str,
    as_of: datetime,
) -> Claim:
    """Do what a side may do without a request that waits for it: the claimer cancels or completes,
    the donor cancels a claim that is confirmed. The donor's first decision is a signature. `note`:
    why, in words beside the reason.

    Raises, each audited: NotFound; NotAllowed `permission_denied`, `claim_party_invalid`; Conflict
    `signature_needed` for what the donor's request is open for, and as `claim_decide`; Invalid
    `reason_invalid` (extra reasons), `claim_role_invalid`.
    """
    with (
        process.audited(PROCESS, event, claim_id, by=by, via=via),
        transaction.atomic(durable=True),
    ):
        if not by.has_perm(DECIDE_PERMISSION):
            raise NotAllowed(_("You may not decide about claims."), code="permission_denied")
        reason, note = clean_reason(reason), clean_reason(note)
        claim = claim_lock(claim_id)
        if role not in set(Role):
            raise Invalid(_("The side is DONOR or CLAIMER."), code="claim_role_invalid")
        _check_side(claim, terms.Actor(role))
        if role == Role.DONOR and claim.status in UNDECIDED:
            raise Conflict(
                _("The donor's decision is a signature on its request."), code="signature_needed"
            )
        claim_decide(
            claim,
            event=terms.Event(event),
            actor=terms.Actor(role),
            reason=reason,
            note=note,
            by=by,
            via=via,
            as_of=as_of,
        )
        close_questions(claim, by=by, reason=gettext("The claimer has decided."), as_of=as_of)
        claim_wake(claim, event=f"decided:{claim.version}")
        return claim


def close_questions(claim: Claim, *, by: Actor, reason: str, as_of: datetime) -> None:
    """Close what the inbox asks about a claim that is decided. Joins the caller's transaction."""
    questions_close(PROCESS, claim, by=by, reason=reason, as_of=as_of)


# --- the clock ------------------------------------------------------------------------------------
def claim_elapse(claim: Claim, *, as_of: datetime) -> None:
    """Do what the rulebook says of a period that has ended without a decision. No-op before its
    end. Joins the transaction that holds the claim's lock."""
    due = due_of(claim)
    if due is None or as_of < due.at:
        return
    claim_decide(
        claim,
        event=due.event,
        actor=due.actor,
        reason=due.reason.value,
        by=ENGINE,
        via="engine",
        as_of=as_of,
    )
    close_questions(claim, by=ENGINE, reason=str(_IN_TIME), as_of=as_of)
