"""What follows the end of a claim: whoever asked for it is told."""

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext

from apps.engine import process
from apps.notifications.services import notify
from apps.pix.contracts import EVENTS_TOPIC, ClaimStatus
from apps.pix.contracts.claims import CLAIM_ENDED, ClaimLook
from apps.pix.models import Claim
from apps.pix.services.claim_rows import PROCESS, claim_event, claim_lock, event_key
from apps.streams.selectors import is_emitted


def claim_confirm_sent(look: ClaimLook) -> None:
    """Tell whoever asked for the claim how it has ended, once. No-op for a claim that came from
    outside, and for one that has not ended."""
    claim = Claim.objects.select_related("requested_by").get(pk=process.id_of(PROCESS, look.row_id))
    if claim.requested_by is None or not claim.has_ended:
        return
    titles = {
        ClaimStatus.COMPLETED: gettext("Claim {claim} is completed: the key is the claimer's"),
        ClaimStatus.CANCELLED: gettext("Claim {claim} was cancelled"),
        ClaimStatus.EXPIRED: gettext("Claim {claim} has expired: the donor did not answer"),
    }
    with transaction.atomic():
        notify(
            key=f"claim:{claim.pk}:{claim.status}",
            recipients=[claim.requested_by],
            kind=CLAIM_ENDED,
            title=titles[ClaimStatus(claim.status)].format(claim=claim.claim_id),
            text=claim.error_detail,
            url=reverse("claim", args=[claim.pk]),
        )


def claim_event_ensure(look: ClaimLook) -> None:
    """Have the event of the claim's end in the outbox. It was written with the end itself; a
    database that was restored in between may have lost it."""
    with transaction.atomic(durable=True):
        claim = claim_lock(look.row_id)
        at, name = claim.settled_at, f"claim.{claim.status}"
        if at and not is_emitted(EVENTS_TOPIC, key=event_key(claim), type=name, since=at):
            claim_event(claim, claim.status, as_of=at)
