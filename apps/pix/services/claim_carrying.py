"""Decisions about claims are carried out: at the directory first, then here. Each step is done once
however often it runs, and another worker goes on where one was killed.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.audit.contracts import ENGINE
from apps.common.failpoints import failpoint
from apps.engine import process
from apps.pix.bridge.problems import DirectoryRefused
from apps.pix.contracts import ClaimStatus, Role
from apps.pix.contracts.claims import ClaimFacts, ClaimLook
from apps.pix.models import Claim
from apps.pix.rulebooks import terms
from apps.pix.services import claim_directory as bridge
from apps.pix.services.claim_attention import claim_ask
from apps.pix.services.claim_deciding import (
    SIGNED,
    claim_decide,
    claim_elapse,
    claim_facts,
    close_questions,
)
from apps.pix.services.claim_rows import (
    PROCESS,
    claim_end,
    claim_event,
    claim_lock,
    claim_wake,
    completes_itself,
    confirmation_is_all,
    record,
    save,
)
from apps.pix.services.claim_signals import claim_outside
from apps.pix.services.directory_calls import Answer
from apps.pix.services.entry_ownership import donor_entry_remove, entry_ownership_update
from apps.pix.services.shared import is_ours

#: What the donor may say to the directory by itself, where the rulebook takes any reason.
_CONFIRM = {
    "PORTABILITY": ("USER_REQUESTED", "ACCOUNT_CLOSURE"),
    "OWNERSHIP": ("USER_REQUESTED", "DEFAULT_OPERATION"),
}
_CANCEL = {
    ("PORTABILITY", Role.DONOR): ("USER_REQUESTED", "FRAUD", "DEFAULT_OPERATION"),
    ("PORTABILITY", Role.CLAIMER): (
        *("USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD", "RFB_VALIDATION", "RECONCILIATION"),
    ),
    ("OWNERSHIP", Role.DONOR): ("FRAUD",),
    ("OWNERSHIP", Role.CLAIMER): (
        *("USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD", "DEFAULT_OPERATION"),
    ),
}
#: The directory's statuses in ours.
_THEIRS = {
    "OPEN": ClaimStatus.OPEN,
    "WAITING_RESOLUTION": ClaimStatus.WAITING,
    "CONFIRMED": ClaimStatus.CONFIRMED,
    "COMPLETED": ClaimStatus.COMPLETED,
    "CANCELLED": ClaimStatus.CANCELLED,
}


# --- reading --------------------------------------------------------------------------------------
def claim_look(look: ClaimLook) -> ClaimFacts:
    """Return the claim's state. Judges the signals that woke its workflow, takes a decision from
    outside, and does what the rulebook's clock says. Raises NotFound."""
    # Judges the commands that were received: those that the outbox did not send are audited.
    SIGNED.read(look.row_id, signals=look.signals)
    with transaction.atomic(durable=True):
        claim = claim_lock(look.row_id)
        if look.outside is not None:
            claim_outside(claim, look.outside, as_of=look.as_of)
        mine = claim.workflow_id == look.workflow_id
        if look.outside is not None and not mine and claim.status == ClaimStatus.DECIDED:
            claim_wake(claim, event=f"decided:{claim.version}")
        if mine and not claim.has_ended:
            claim_elapse(claim, as_of=look.as_of)
        return claim_facts(claim, as_of=look.as_of, joins=not mine)


# --- telling --------------------------------------------------------------------------------------
def claim_tell(look: ClaimLook) -> ClaimFacts:
    """Open the claim at the directory, acknowledge it there, and ask the donor: what of it is ours.
    A refusal of the directory ends the claim with its code.

    Raises DirectoryUnavailable, after which it is called again.
    """
    claim = Claim.objects.get(pk=process.id_of(PROCESS, look.row_id))
    if claim.key and not claim.has_ended:
        try:
            claim = _tell_directory(claim, as_of=look.as_of)
        except DirectoryRefused as refusal:
            return _refused(claim, refusal, as_of=look.as_of)
    with transaction.atomic(durable=True):
        claim = claim_lock(look.row_id)
        if claim.told_at is None and not claim.has_ended:
            claim.told_at = look.as_of
            save(claim, "told_at", quietly=True)
            if claim.donor_ours or not claim.key:
                SIGNED.ask(claim, as_of=look.as_of)
            process.announce(PROCESS, claim)
        return claim_facts(claim, as_of=look.as_of)


def _tell_directory(claim: Claim, *, as_of: datetime) -> Claim:
    if claim.claimer_ours and not claim.directory_id:
        claim = _noted(claim, bridge.create(claim), as_of=as_of)
        failpoint("claim.created_at_directory")
    if claim.donor_ours and claim.directory_id and claim.acknowledged_at is None:
        claim = _noted(claim, bridge.acknowledge(claim), as_of=as_of, acknowledged=True)
        failpoint("claim.acknowledged")
    return claim


def _refused(claim: Claim, refusal: DirectoryRefused, *, as_of: datetime) -> ClaimFacts:
    with transaction.atomic(durable=True):
        claim = claim_lock(claim.pk)
        if not claim.has_ended:
            why = {"code": refusal.code, "detail": refusal.recorded}
            close_questions(claim, by=ENGINE, reason=why["detail"], as_of=as_of)
            claim_end(claim, ClaimStatus.CANCELLED, as_of=as_of, **why)
            named: dict[str, object] = {"claim_id": claim.claim_id, **why}
            record(claim, "claim.refused_by_directory", by=ENGINE, via="engine", **named)
        return claim_facts(claim, as_of=as_of)


def _noted(claim: Claim, answer: Answer, *, as_of: datetime, acknowledged: bool = False) -> Claim:
    """Write what the directory has answered about the claim; return the row."""
    with transaction.atomic(durable=True):
        claim = claim_lock(claim.pk)
        if acknowledged and claim.acknowledged_at is None:
            claim.acknowledged_at = as_of
            if claim.status == ClaimStatus.OPEN:
                claim.status = ClaimStatus.WAITING
            claim_event(claim, "acknowledged", as_of=as_of)
        note(claim, answer)
        save(claim, "status", "acknowledged_at", *NOTED)
        return claim


NOTED = (
    *("directory_id", "directory_status", "directory_modified_at", "donor_ispb", "donor_ours"),
    *("resolution_ends_at", "completion_ends_at"),
)


def note(claim: Claim, answer: Answer) -> None:
    """Set what the directory says of the claim: its id, its dates, and whose the key is. A rulebook
    that knows claims without a key counts its own days."""
    claim.directory_id = answer["id"]
    claim.directory_status = answer["status"]
    claim.directory_modified_at = bridge.moment(answer, "modified_at")
    if not claim.donor_ispb:
        claim.donor_ispb = answer["donor"]
        claim.donor_ours = is_ours(claim.donor_ispb)
    if not claim.rulebook.document["types"][claim.claim_type]["without_key"]:
        ends = bridge.moment(answer, "resolution_ends_at")
        claim.resolution_ends_at = ends or claim.resolution_ends_at
        ends = bridge.moment(answer, "completion_ends_at")
        claim.completion_ends_at = ends or claim.completion_ends_at


# --- carrying out ---------------------------------------------------------------------------------
def claim_carry(look: ClaimLook) -> ClaimFacts:
    """Carry out what was decided, at the directory and then here; return the state. Completes a
    confirmed portability claim of our claimer. No-op without a decision.

    Raises DirectoryUnavailable, after which it is called again. If the directory refuses, the claim
    follows what the directory has of it.
    """
    with transaction.atomic(durable=True):
        claim = claim_lock(look.row_id)
        if completes_itself(claim):
            _complete(claim, as_of=look.as_of)
        if claim.status != ClaimStatus.DECIDED:
            return claim_facts(claim, as_of=look.as_of)
        decision = (claim.decision, claim.decided_at)
    try:
        answers = _at_directory(claim)
    except DirectoryRefused as refusal:
        return claim_follow(claim.pk, bridge.answer_of(bridge.current(claim)), refusal=refusal)
    failpoint("claim.carried_at_directory")
    with transaction.atomic(durable=True):
        claim = claim_lock(look.row_id)
        if claim.status == ClaimStatus.DECIDED and (claim.decision, claim.decided_at) == decision:
            for answer in answers:
                note(claim, answer)
            _apply(claim, _leads_to(claim), answers[-1] if answers else {}, as_of=look.as_of)
        return claim_facts(claim, as_of=look.as_of)


def _complete(claim: Claim, *, as_of: datetime) -> None:
    """Write that the claimer's side completes the locked claim."""
    if not confirmation_is_all(claim):
        claim_decide(
            claim,
            event=terms.Event.COMPLETE,
            actor=terms.Actor.CLAIMER,
            reason="",
            by=ENGINE,
            via="engine",
            as_of=as_of,
        )
        return
    # For the rulebook it ended with the donor's confirmation, which another participant gave.
    claim.decided_from, claim.status = claim.status, ClaimStatus.DECIDED
    claim.decision, claim.decision_leads_to = terms.Event.COMPLETE.value, ClaimStatus.COMPLETED
    claim.decision_effects = _effects(claim, ClaimStatus.COMPLETED)
    claim.decided_by, claim.decided_via, claim.decided_at = Role.CLAIMER, "engine", as_of
    save(claim, "status", "decided_from", "decision_leads_to", *DECISION)
    record(claim, "claim.complete", by=ENGINE, via="engine", claim_id=claim.claim_id)


def _at_directory(claim: Claim) -> list[Answer]:
    """Do at the directory what is decided, for the sides that are ours."""
    if not claim.directory_id:
        return []
    status, reason = ClaimStatus(claim.decision_leads_to), claim.decision_reason
    if status in (ClaimStatus.CANCELLED, ClaimStatus.EXPIRED):
        role = _canceller(claim)
        if status is ClaimStatus.EXPIRED and reason not in _CANCEL[claim.claim_type, role]:
            # Silence is no reason there for this side, and any other would be untrue. The claimer
            # cancels by itself on the same day.
            return []
        return [bridge.cancel(claim, role, _one_of(_CANCEL[claim.claim_type, role], reason))]
    answers = []
    if claim.donor_ours and claim.decided_from != ClaimStatus.CONFIRMED:
        answers.append(bridge.confirm(claim, _one_of(_CONFIRM[claim.claim_type], reason)))
        failpoint("claim.confirmed_at_directory")
    if claim.claimer_ours and status is ClaimStatus.COMPLETED:
        answers.append(bridge.complete(claim))
    return answers


def _canceller(claim: Claim) -> Role:
    """Return the side that cancels at the directory: the one that decided. What nobody decided, or
    a signal did, is done by a side of ours that may."""
    if claim.decided_by in claim.ours:
        role = Role(claim.decided_by)
        if claim.decision_reason in _CANCEL[claim.claim_type, role]:
            return role
    for role in claim.ours:
        if claim.decision_reason in _CANCEL[claim.claim_type, role]:
            return role
    return claim.ours[-1]


def _one_of(reasons: tuple[str, ...], reason: str) -> str:
    """Return the reason if the directory takes it there, else the one that says the least."""
    return reason if reason in reasons else reasons[0]


def _leads_to(claim: Claim) -> ClaimStatus:
    """Return the status after the decision. A claim that another participant has to complete is
    confirmed until they have."""
    status = ClaimStatus(claim.decision_leads_to)
    theirs = claim.directory_id and not claim.claimer_ours
    return ClaimStatus.CONFIRMED if theirs and status is ClaimStatus.COMPLETED else status


#: With any of these the donor's entry is gone once the claim is confirmed.
_REMOVING = {terms.Effect.REMOVE_DONOR_ENTRY.value, terms.Effect.MOVE_ENTRY.value}


def _apply(claim: Claim, status: ClaimStatus, answer: Answer, *, as_of: datetime) -> None:
    """Give the locked claim its status after a decision, with what belongs to it. `answer`: the
    directory's last one."""
    effects = set(claim.decision_effects)
    fields = [*NOTED]
    if claim.decision == terms.Event.CONFIRM or status is ClaimStatus.CONFIRMED:
        claim.confirm_reason = claim.decision_reason
        fields.append("confirm_reason")
    if status is ClaimStatus.CONFIRMED and effects & _REMOVING:
        donor_entry_remove(claim, as_of=as_of)
    if status is ClaimStatus.COMPLETED:
        dates = {name: bridge.moment(answer, name) for name in ("created_at", "owned_since")}
        entry_ownership_update(claim, as_of=as_of, **dates)
    if status in (ClaimStatus.CANCELLED, ClaimStatus.EXPIRED):
        claim.cancel_reason, claim.cancelled_by = claim.decision_reason, claim.decided_by
        fields += ["cancel_reason", "cancelled_by"]
    if status.ended:
        # The words that were written beside the reason stay.
        claim_end(claim, status, *fields, as_of=as_of, detail=claim.error_detail)
    else:
        claim.status = status
        save(claim, "status", *fields)
        claim_event(claim, status.value, as_of=as_of)
    record(claim, f"claim.{status}", claim_id=claim.claim_id, reason=claim.decision_reason)


# --- following the directory ----------------------------------------------------------------------
def claim_follow(
    claim_id: UUID | str, answer: Answer, *, refusal: DirectoryRefused | None = None
) -> ClaimFacts:
    """Take over what the directory has of a claim: what the other participant has done. With a
    `refusal` that the directory's state does not explain, a person is asked."""
    as_of = timezone.now()
    with transaction.atomic(durable=True):
        claim = claim_lock(claim_id)
        if claim.has_ended:
            return claim_facts(claim, as_of=as_of)
        before = (claim.directory_status, claim.directory_modified_at)
        note(claim, answer)
        theirs = _THEIRS.get(answer["status"])
        if theirs is not None and _is_news(claim, theirs):
            _follow(claim, theirs, answer, as_of=as_of)
            close_questions(
                claim, by=ENGINE, reason="The directory has another state.", as_of=as_of
            )
        elif refusal is not None:
            claim.status = ClaimStatus(claim.decided_from)
            save(claim, "status", *NOTED)
            claim_ask(claim, code=refusal.code, detail=refusal.recorded, as_of=as_of)
        elif before != (claim.directory_status, claim.directory_modified_at):
            save(claim, *NOTED)
        return claim_facts(claim, as_of=as_of)


def _is_news(claim: Claim, theirs: ClaimStatus) -> bool:
    """Return whether the directory is further than we are."""
    order = [ClaimStatus.OPEN, ClaimStatus.WAITING, ClaimStatus.CONFIRMED]
    if theirs.ended:
        return True
    ours = claim.decided_from if claim.status == ClaimStatus.DECIDED else claim.status
    return order.index(theirs) > order.index(ClaimStatus(ours))


def _follow(claim: Claim, theirs: ClaimStatus, answer: Answer, *, as_of: datetime) -> None:
    before = (claim.decision, claim.decided_by)
    claim.decision_effects = _effects(claim, theirs)
    claim.decision = {
        ClaimStatus.CONFIRMED: "confirm",
        ClaimStatus.COMPLETED: "complete",
        ClaimStatus.CANCELLED: "cancel",
    }.get(theirs, "acknowledge")
    claim.decision_reason = answer["confirm_reason" if theirs != "cancelled" else "cancel_reason"]
    claim.decided_via, claim.decided_at = "directory", as_of
    if theirs is ClaimStatus.CANCELLED:
        claim.decided_by = answer["cancelled_by"]
    elif theirs is ClaimStatus.CONFIRMED:
        claim.decided_by = Role.DONOR
    if (claim.decision, claim.decided_by) != before:
        # What was written beside another decision is not about this one.
        claim.error_detail = ""
    if theirs is ClaimStatus.WAITING:
        claim.acknowledged_at, claim.status = as_of, theirs
        save(claim, "status", "acknowledged_at", *NOTED)
        claim_event(claim, "acknowledged", as_of=as_of)
        return
    save(claim, *DECISION, quietly=True)
    _apply(claim, theirs, answer, as_of=as_of)


DECISION = (
    *("decision", "decision_effects", "decision_reason", "decided_via", "decided_at"),
    *("decided_by", "error_detail"),
)


def _effects(claim: Claim, theirs: ClaimStatus) -> list[str]:
    keeps = claim.claim_type == "PORTABILITY"
    date = terms.Effect.KEEP_OWNERSHIP_DATE if keeps else terms.Effect.RESET_OWNERSHIP_DATE
    if theirs is ClaimStatus.COMPLETED:
        return [terms.Effect.MOVE_ENTRY.value, date.value]
    return [terms.Effect.REMOVE_DONOR_ENTRY.value] if theirs is ClaimStatus.CONFIRMED else []
