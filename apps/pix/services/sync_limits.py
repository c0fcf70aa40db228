"""How much a run repairs without asking a person."""

from django.conf import settings

from apps.pix.contracts.sync import DifferenceState
from apps.pix.models import SyncDifference, SyncRun, SyncVerdict

#: So many differences of a type are always repaired: they may be all the keys of a small one.
ALWAYS = 100


def pending_of(run: SyncRun, verdict: SyncVerdict) -> int:
    """Return how many differences of the type wait for their repair. An entry with other contents
    counts twice, because both sides have a CID that the other one does not."""
    return SyncDifference.objects.filter(
        run=run, key_type=verdict.key_type, state=DifferenceState.PENDING
    ).count()


def is_too_much(run: SyncRun, verdict: SyncVerdict) -> bool:
    """Return whether a person decides about the type: more than SYNC_REPAIR_PERCENT of its keys on
    the larger side, and more than ALWAYS."""
    number = pending_of(run, verdict)
    keys = max(verdict.ours, verdict.theirs or 0)
    return number > ALWAYS and number * 100 > settings.SYNC_REPAIR_PERCENT * keys
