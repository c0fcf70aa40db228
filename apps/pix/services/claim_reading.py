"""The key of a claim in full, which only some may read, and every reading is in the trail."""

from apps.accounts.models import User
from apps.common.errors import NotAllowed
from apps.common.language import lazy as _
from apps.engine import process
from apps.pix.models import Claim
from apps.pix.services.claim_rows import PROCESS, record
from apps.pix.services.entry_reading import FULL


def claim_key_read(*, claim_id: object, by: User, via: str) -> Claim:
    """Return the claim, whose key and tax id may now be shown in full; the reading is audited.

    Raises, each audited: NotFound, also for a claim that they may not see; NotAllowed
    `permission_denied`.
    """
    with process.audited(PROCESS, "read_full_key", claim_id, by=by, via=via):
        rows = Claim.objects.visible_to(by)
        claim = rows.filter(pk=process.id_of(PROCESS, str(claim_id))).first()
        if claim is None:
            raise process.unknown(PROCESS)
        if not by.has_perm(FULL):
            raise NotAllowed(_("You may not read keys in full."), code="permission_denied")
        record(claim, "claim.full_key_read", by=by, via=via, claim_id=claim.claim_id)
        return claim
