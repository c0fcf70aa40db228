"""A claim that nobody carries waits on, and a person is asked: "carry on" starts it from the
row."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.utils.translation import gettext

from apps.approvals.attention import Attention
from apps.approvals.subject import Decided
from apps.engine import process
from apps.engine.contracts import CommandKind
from apps.engine.process import why_closed, why_undeliverable
from apps.pix.contracts import ClaimStatus
from apps.pix.contracts.claims import CLAIM_ATTENTION_KIND
from apps.pix.models import Claim
from apps.pix.services.claim_rows import PROCESS, claim_end, claim_lock, claim_wake, record

if TYPE_CHECKING:
    from apps.engine.models import EngineCommand, WorkflowRun


def _carry_on(claim: Claim, decided: Decided) -> None:
    if claim.has_ended:
        return
    if process.is_carried(PROCESS, claim):
        # Its workflow tries again what the directory has refused.
        claim_wake(claim, event=f"attention:{decided.request_id}")
        return
    process.start_again(PROCESS, claim, key=f"attention:{decided.request_id}")


def _give_up(claim: Claim, decided: Decided) -> None:
    claim_end(
        claim,
        ClaimStatus.CANCELLED,
        as_of=decided.as_of,
        code="given_up",
        detail=decided.detail or gettext("A person decided not to carry on."),
    )


def _what_reject_does(claim: Claim) -> str:
    if claim.directory_id:
        return gettext("End the claim here. At the directory it stays as it is.")
    return gettext("End the claim as cancelled.")


ATTENTION = Attention(
    row=PROCESS,
    kind=CLAIM_ATTENTION_KIND,
    reject=_what_reject_does,
    on_carry_on=_carry_on,
    on_give_up=_give_up,
)


def claim_ask(claim: Claim, *, code: str, detail: str, as_of: datetime) -> None:
    """Ask a person about the locked claim. Joins the caller's transaction."""
    ATTENTION.ask(claim, code=code, detail=detail, as_of=as_of)


def claim_closed(claim_id: UUID | str, run: "WorkflowRun", *, as_of: datetime) -> None:
    """Ask a person about a claim whose workflow has ended without it. Joins the caller's
    transaction. A decision made after that has started it again already."""
    claim = process.carried(PROCESS, claim_id, run.workflow_id)
    if claim is None or process.is_carried(PROCESS, claim):
        return
    decided = claim.decided_at if claim.status == ClaimStatus.DECIDED else None
    later = decided is not None and run.closed_at is not None and decided > run.closed_at
    if later and process.restart(PROCESS, claim.pk):
        record(claim, "claim.restarted", claim_id=claim.claim_id)
        return
    claim_ask(claim, code="workflow_closed", detail=why_closed(run), as_of=as_of)


def claim_undeliverable(command: "EngineCommand", *, as_of: datetime) -> None:
    """A message could not reach the claim's workflow. A decision starts it again from the row;
    anything else asks a person. Joins the caller's transaction."""
    claim = process.carried(PROCESS, command.subject_id, command.workflow_id)
    if claim is None:
        # It has ended, or the message was for a workflow that only waited for it.
        return
    claim = claim_lock(claim.pk)
    if claim.status == ClaimStatus.DECIDED and command.kind == CommandKind.SIGNAL:
        if process.restart(PROCESS, claim.pk):
            record(claim, "claim.restarted", claim_id=claim.claim_id)
        return
    claim_ask(claim, code="workflow_unreachable", detail=why_undeliverable(command), as_of=as_of)
