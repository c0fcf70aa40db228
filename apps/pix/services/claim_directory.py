"""Claims at the directory: each changing call is sent once, and its answer kept as JSON."""

from datetime import datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime

from apps.pix.bridge.client import directory
from apps.pix.bridge.problems import DirectoryRefused
from apps.pix.bridge.shapes import DirectoryAccount, DirectoryClaim, DirectoryOwner
from apps.pix.contracts import Role
from apps.pix.models import Claim
from apps.pix.services.directory_calls import Answer, directory_call

#: Activities of this queue end within 25 s; one of them makes at most three calls.
WITHIN = 7.0
#: The directory's clock and ours differ.
SKEW = timedelta(minutes=5)
#: The statuses of a claim that is over, in the directory's words.
OVER = frozenset({"COMPLETED", "CANCELLED"})


def create(claim: Claim) -> Answer:
    """Open the claim at the directory as its claimer. A claim has no request id there, so one whose
    answer was lost is found by its key and its claimer."""

    def send() -> Answer:
        found = directory().claim_create(
            participant=claim.claimer_ispb,
            type=claim.claim_type,
            key_type=claim.key_type,
            key=claim.key,
            claimer_account=_account(claim),
            claimer=_owner(claim),
            within=WITHIN,
        )
        return answer_of(found)

    return directory_call(
        key=f"claim:{claim.pk}:create",
        operation="Claims.Create",
        participant=claim.claimer_ispb,
        send=send,
        look_up=lambda: _found(claim),
    )


def _found(claim: Claim) -> Answer | None:
    """Return the claim for this key that the directory has had since ours was opened."""
    since = claim.created_at - SKEW
    while True:
        page = directory().claims_list(
            participant=claim.claimer_ispb, role="CLAIMER", modified_from=since, within=WITHIN
        )
        for one in page.claims:
            mine = (one.key_type, one.key) == (claim.key_type, claim.key)
            taken = Claim.objects.filter(directory_id=one.id).exclude(pk=claim.pk).exists()
            if mine and one.type == claim.claim_type and one.status not in OVER and not taken:
                return answer_of(one)
        if not page.has_more or page.claims[-1].modified_at <= since:
            return None
        since = page.claims[-1].modified_at


def acknowledge(claim: Claim) -> Answer:
    """Say as the donor's participant that the claim has come."""
    return _act(
        claim,
        "acknowledge",
        Role.DONOR,
        lambda ispb: answer_of(
            directory().claim_acknowledge(
                participant=ispb, claim_id=claim.directory_id, within=WITHIN
            )
        ),
        done=("WAITING_RESOLUTION", "CONFIRMED"),
    )


def confirm(claim: Claim, reason: str) -> Answer:
    """Confirm as the donor's participant."""
    return _act(
        claim,
        "confirm",
        Role.DONOR,
        lambda ispb: answer_of(
            directory().claim_confirm(
                participant=ispb, claim_id=claim.directory_id, reason=reason, within=WITHIN
            )
        ),
        done=("CONFIRMED", "COMPLETED"),
    )


def cancel(claim: Claim, role: Role, reason: str) -> Answer:
    """Cancel as the participant of that side."""
    return _act(
        claim,
        "cancel",
        role,
        lambda ispb: answer_of(
            directory().claim_cancel(
                participant=ispb, claim_id=claim.directory_id, reason=reason, within=WITHIN
            )
        ),
        done=("CANCELLED",),
    )


def complete(claim: Claim) -> Answer:
    """Complete as the claimer's participant, by the claim's request id."""

    def send(ispb: str) -> Answer:
        completed = directory().claim_complete(
            participant=ispb,
            claim_id=claim.directory_id,
            request_id=str(claim.request_id),
            within=WITHIN,
        )
        return {
            **answer_of(completed.claim),
            "created_at": _text(completed.created_at),
            "owned_since": _text(completed.owned_since),
        }

    return _act(claim, "complete", Role.CLAIMER, send, done=("COMPLETED",))


def current(claim: Claim) -> DirectoryClaim:
    """Return the claim as the directory has it now."""
    ispb = claim.claimer_ispb if claim.claimer_ours else claim.donor_ispb
    return directory().claim_get(participant=ispb, claim_id=claim.directory_id, within=WITHIN)


def answer_of(found: DirectoryClaim) -> Answer:
    """Return what is kept of the directory's claim."""
    return {
        "id": found.id,
        "status": found.status,
        "donor": found.donor_participant,
        "resolution_ends_at": _text(found.resolution_ends_at),
        "completion_ends_at": _text(found.completion_ends_at),
        "modified_at": _text(found.modified_at),
        "cancel_reason": found.cancel_reason,
        "cancelled_by": found.cancelled_by,
        "confirm_reason": found.confirm_reason,
    }


def moment(answer: Answer, name: str) -> datetime | None:
    """Return a time of a kept answer."""
    return parse_datetime(answer.get(name) or "")


# --- helpers --------------------------------------------------------------------------------------
def _act(claim: Claim, verb: str, role: Role, send: Any, *, done: tuple[str, ...]) -> Answer:
    ispb = claim.donor_ispb if role is Role.DONOR else claim.claimer_ispb

    def look_up() -> Answer | None:
        # A repeat is refused by its status: whether it was done says the status itself.
        try:
            found = current(claim)
        except DirectoryRefused:
            return None
        return answer_of(found) if found.status in done else None

    return directory_call(
        key=f"claim:{claim.pk}:{verb}",
        operation=f"Claims.{verb.capitalize()}",
        participant=ispb,
        send=lambda: send(ispb),
        look_up=look_up,
    )


def _account(claim: Claim) -> DirectoryAccount:
    return DirectoryAccount(
        participant=claim.claimer_ispb,
        number=claim.account_number,
        type=claim.account_type,
        branch=claim.branch,
        opened_at=claim.account_opened_at,
    )


def _owner(claim: Claim) -> DirectoryOwner:
    return DirectoryOwner(
        type=claim.owner_type,
        tax_id=claim.tax_id,
        name=claim.name,
        trade_name=claim.trade_name,
    )


def _text(at: datetime | None) -> str:
    return at.isoformat() if at else ""
