"""What the services of claims share: the process, the rulebook's view of a row, and what the
workflow reads. Lock order: the claim, its request, the entry."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from apps.approvals.contracts import Waiting
from apps.approvals.selectors import requests_about
from apps.common.errors import Invalid
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine import services as engine
from apps.engine.process import Carrier, Process
from apps.pix.contracts import CLAIM, CLAIM_WORKFLOW, TASK_QUEUE, ClaimStatus, Role
from apps.pix.contracts.claims import (
    CLAIM_ATTENTION_KIND,
    SIGNAL_CHANGED,
    ClaimFacts,
    ClaimRequest,
)
from apps.pix.models import Claim
from apps.pix.rulebooks import machine, terms
from apps.pix.services.events import event_emit
from apps.pix.services.rulebooks import book_of
from apps.pix.services.shared import queue_timings

CARRIER: Carrier[Claim] = Carrier(
    CLAIM_WORKFLOW,
    # The row has the rest, keys and owners among it: histories are kept by the engine.
    lambda claim, again: ClaimRequest(claim.claim_id),
    process.WAITING_BACKSTOP,
)

PROCESS = Process(
    subject=CLAIM,
    title=_("Key claim"),
    noun="claim",
    missing=_("There is no such claim."),
    opens=_("Open the claim"),
    model=Claim,
    queue=TASK_QUEUE,
    url_name="claim",
    carriers=(CARRIER,),
    needs=lambda claim: None if claim.has_ended else CARRIER,
    open_rows=lambda: Claim.objects.unsettled(),
    own_id=True,
    foreign_ids=True,
    keeps_id=lambda claim: True,
    list_topics=("claims",),
    shared_topics=("home",),
)

record = partial(process.record, PROCESS)
save = partial(process.save, PROCESS)

#: Statuses in which the donor has not decided.
UNDECIDED = frozenset({ClaimStatus.OPEN, ClaimStatus.WAITING})
_TERMS = {
    ClaimStatus.OPEN: terms.ClaimStatus.OPEN,
    ClaimStatus.WAITING: terms.ClaimStatus.WAITING_RESOLUTION,
    ClaimStatus.CONFIRMED: terms.ClaimStatus.CONFIRMED,
    ClaimStatus.COMPLETED: terms.ClaimStatus.COMPLETED,
    ClaimStatus.CANCELLED: terms.ClaimStatus.CANCELLED,
    ClaimStatus.EXPIRED: terms.ClaimStatus.EXPIRED,
}
_STATUSES = {theirs: ours for ours, theirs in _TERMS.items()}


def claim_lock(identifier: UUID | str) -> Claim:
    """Lock the claim until the end of the transaction. Raises NotFound."""
    return process.locked(PROCESS, identifier)


def claim_of(identifier: str) -> Claim | None:
    """Return the claim with this id of ours or this `claim_id`, or None."""
    rows = Claim.objects.select_related("rulebook", "requested_by")
    return rows.filter(claim_id=identifier[:200]).first()


# --- the rulebook's view --------------------------------------------------------------------------
def status_of(term: terms.ClaimStatus) -> ClaimStatus:
    """Return our status for the rulebook's."""
    return _STATUSES[term]


def machine_facts(claim: Claim) -> terms.ClaimFacts:
    """Return what the rulebook has to know. While a decision is carried out it sees the status
    before it."""
    status = claim.decided_from if claim.status == ClaimStatus.DECIDED else claim.status
    return terms.ClaimFacts(
        claim_type=terms.ClaimType(claim.claim_type),
        status=_TERMS[ClaimStatus(status)],
        opened_at=claim.opened_at or claim.created_at,
        resolution_ends_at=claim.resolution_ends_at,
        completion_ends_at=claim.completion_ends_at,
        possession_ends_at=claim.possession_ends_at,
    )


def due_of(claim: Claim) -> terms.Due | None:
    """Return what the rulebook's clock does next for the sides that are ours."""
    if claim.has_ended or claim.status == ClaimStatus.DECIDED or claim.opened_at is None:
        return None
    ours = {terms.Role(role) for role in claim.ours}
    return machine.next_clock(book_of(claim.rulebook_id), machine_facts(claim), ours=ours)


def clock_of(claim: Claim) -> tuple[terms.Due | None, ClaimStatus | None]:
    """Return what the rulebook's clock does next, as `due_of`, and the status that the claim has
    then."""
    due = due_of(claim)
    if due is None:
        return None, None
    move = machine.move(
        book_of(claim.rulebook_id),
        machine_facts(claim),
        event=due.event,
        actor=due.actor,
        reason=due.reason.value,
        as_of=due.at,
    )
    return due, status_of(move.status)


def choices_of(claim: Claim, role: Role, *, as_of: datetime) -> tuple[terms.Choice, ...]:
    """Return what that side may do now, with its reasons."""
    if claim.has_ended or claim.status == ClaimStatus.DECIDED or role not in claim.ours:
        return ()
    book = book_of(claim.rulebook_id)
    return machine.allowed(book, machine_facts(claim), actor=terms.Actor(role), as_of=as_of)


# --- what the workflow reads ----------------------------------------------------------------------
def facts_of(claim: Claim, waiting: Waiting, *, as_of: datetime, joins: bool = False) -> ClaimFacts:
    """Return the claim's state for a workflow at `as_of`."""
    due = due_of(claim)
    fields: Mapping[str, Any] = vars(waiting)
    return ClaimFacts(
        **fields,
        row_id=str(claim.pk),
        claim_id=claim.claim_id,
        entry_id=claim.entry_ref,
        step=_step(claim),
        due_at=due.at if due else None,
        due_seconds=max((due.at - as_of).total_seconds(), 0.0) if due else None,
        joins=joins,
        outbound=bool(claim.key),
        timings=queue_timings(),
    )


def _step(claim: Claim) -> str:
    if claim.has_ended:
        return ""
    if claim.told_at is None:
        return "tell"
    if claim.status == ClaimStatus.DECIDED:
        ends = {ClaimStatus.CANCELLED: "cancel", ClaimStatus.EXPIRED: "expire"}
        return ends.get(ClaimStatus(claim.decision_leads_to), "complete")
    if completes_itself(claim):
        return "complete"
    return "wait"


def completes_itself(claim: Claim) -> bool:
    """Return whether the claimer's side completes a confirmed claim at once: a portability claim
    waits for nobody; the new owner of a key proves first that they have it, unless the rulebook
    asks nothing of them. Not while a person is asked about the claim: the directory has refused."""
    return (
        claim.status == ClaimStatus.CONFIRMED
        and claim.claimer_ours
        and (claim.claim_type == "PORTABILITY" or confirmation_is_all(claim))
        and not requests_about(CLAIM, claim.pk, kind=CLAIM_ATTENTION_KIND).open().exists()
    )


def confirmation_is_all(claim: Claim) -> bool:
    """Return whether the rulebook completes a claim with the donor's confirmation: it knows of no
    confirmed ones, which only the directory has."""
    rules = book_of(claim.rulebook_id)
    claim_type = terms.ClaimType(claim.claim_type)
    return not rules.rows_from(claim_type, terms.ClaimStatus.CONFIRMED)


# --- ends -----------------------------------------------------------------------------------------
def claim_end(
    claim: Claim,
    status: ClaimStatus,
    *fields: str,
    as_of: datetime,
    code: str = "",
    detail: str = "",
) -> None:
    """End the locked claim for good, with its event. Joins the caller's transaction."""
    ended = process.ended(claim, status, as_of=as_of, code=code, detail=detail)
    save(claim, *ended, *fields)
    claim_event(claim, status.value, as_of=as_of)
    claim_tell_joined(claim, event=f"ended:{status}")


def claim_event(claim: Claim, what: str, *, as_of: datetime) -> None:
    """Write an event about the locked claim. Joins the caller's transaction."""
    event_emit(
        type=f"claim.{what}",
        key=event_key(claim),
        claim_id=claim.claim_id,
        entry_id=claim.entry_ref,
        occurred_at=as_of,
        data={
            "claim_type": claim.claim_type,
            "status": claim.status,
            "claimer_ispb": claim.claimer_ispb,
            "donor_ispb": claim.donor_ispb,
            "key_type": claim.key_type,
            "reason": claim.decision_reason,
            "decided_by": claim.decided_by,
        },
    )


def event_key(claim: Claim) -> str:
    """Return what orders the claim's events: the key that it is about, as far as it is known."""
    return claim.key or claim.entry_ref or claim.claim_id


def claim_wake(claim: Claim, *, event: str) -> None:
    """Have the claim's workflow, and those that joined it, read the row. Joins the caller's
    transaction; once per `event`."""
    process.wake(PROCESS, claim, signal=SIGNAL_CHANGED, event=event)
    claim_tell_joined(claim, event=event)


def claim_tell_joined(claim: Claim, *, event: str) -> None:
    """Wake the workflows that others started for the claim besides its own."""
    for number, workflow_id in enumerate(claim.joined):
        engine.workflow_signal(
            key=f"{CLAIM}:{claim.pk}:joined:{number}:{event}",
            workflow_id=workflow_id,
            task_queue=TASK_QUEUE,
            name=SIGNAL_CHANGED,
            subject_type=CLAIM,
            subject_id=str(claim.pk),
        )


def clean_claim_type(raw: object) -> str:
    """Return PORTABILITY or OWNERSHIP. Raises Invalid `claim_type_invalid`."""
    try:
        return terms.ClaimType(raw).value  # type: ignore[arg-type]
    except ValueError:
        raise Invalid(
            _("The type of a claim is PORTABILITY or OWNERSHIP."),
            code="claim_type_invalid",
            field="claim_type",
        ) from None
