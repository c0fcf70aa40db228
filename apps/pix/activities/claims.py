"""Activities of claims, by the names that other systems know: each calls one service."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from structlog.contextvars import bound_contextvars
from temporalio import activity

from apps.common.correlation import get_logger
from apps.pix.contracts.claims import ClaimFacts, ClaimLook, ClaimOpening
from apps.pix.services import claim_carrying, claim_confirming, claims

logger = get_logger(__name__)


@activity.defn(name="ValidateClaimEligibilityActivity")
def validate_eligibility(opening: ClaimOpening) -> None:
    """Refuse a claim that could not be opened, before it has a row."""
    with _logged(claim_id=opening.request.claim_id, entry_id=opening.request.entry_id):
        claims.claim_validate(opening)


@activity.defn(name="CreateClaimActivity")
def create_claim(opening: ClaimOpening) -> ClaimFacts:
    """Open the claim of this workflow."""
    with _logged(claim_id=opening.request.claim_id, entry_id=opening.request.entry_id):
        facts = claims.claim_adopt(opening)
    with _logged(claim_id=facts.claim_id, entry_id=facts.entry_id):
        logger.info("ClaimWorkflow started", workflow_id=opening.workflow_id)
    return facts


@activity.defn(name="NotifyDonorActivity")
def notify_donor(look: ClaimLook) -> ClaimFacts:
    """Tell the directory and the donor of the claim."""
    return _of_row(claim_carrying.claim_tell, look)


@activity.defn(name="GetClaimStatusActivity")
def get_claim_status(look: ClaimLook) -> ClaimFacts:
    """Read the claim, after whatever came from outside and the clock."""
    return _of_row(claim_carrying.claim_look, look)


@activity.defn(name="CompleteClaimActivity")
def complete_claim(look: ClaimLook) -> ClaimFacts:
    """Carry out a confirmation, or the completion."""
    return _of_row(claim_carrying.claim_carry, look)


@activity.defn(name="CancelClaimActivity")
def cancel_claim(look: ClaimLook) -> ClaimFacts:
    """Carry out a cancellation."""
    return _of_row(claim_carrying.claim_carry, look)


@activity.defn(name="ExpireClaimActivity")
def expire_claim(look: ClaimLook) -> ClaimFacts:
    """Carry out what silence means."""
    return _of_row(claim_carrying.claim_carry, look)


@activity.defn(name="SendClaimConfirmationActivity")
def send_confirmation(look: ClaimLook) -> None:
    """Tell whoever asked how the claim has ended."""
    _of_row(claim_confirming.claim_confirm_sent, look)


@activity.defn(name="PublishClaimEventActivity")
def publish_event(look: ClaimLook) -> None:
    """Have the event of the claim's end in the outbox. It was written with the end itself."""
    _of_row(claim_confirming.claim_event_ensure, look)


ACTIVITIES: list[Callable[..., Any]] = [
    validate_eligibility,
    create_claim,
    notify_donor,
    get_claim_status,
    complete_claim,
    cancel_claim,
    expire_claim,
    send_confirmation,
    publish_event,
]


def _of_row(call: Callable[[ClaimLook], Any], look: ClaimLook) -> Any:
    with _logged(**claims.claim_ids_of(look.row_id)):
        return call(look)


@contextmanager
def _logged(**ids: str) -> Iterator[None]:
    """Bind the ids for every line that is logged inside."""
    with bound_contextvars(**{name: value for name, value in ids.items() if value}):
        yield
