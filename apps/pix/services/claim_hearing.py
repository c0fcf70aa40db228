"""What the directory's lists say of claims: those that others open against our participants, and
what the other side of ours has done."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from django.db import transaction

from apps.common.canonical_json import digest
from apps.common.identifiers import new_id
from apps.engine import process
from apps.pix import keys
from apps.pix.bridge.client import directory
from apps.pix.bridge.shapes import DirectoryClaim
from apps.pix.contracts import Origin, Role
from apps.pix.models import Claim
from apps.pix.services.claim_carrying import claim_follow, note
from apps.pix.services.claim_directory import OVER, answer_of
from apps.pix.services.claim_rows import PROCESS, claim_lock, claim_wake
from apps.pix.services.claims import claim_recorded
from apps.pix.services.entry_rows import key_lock
from apps.pix.services.polling import Resource
from apps.pix.services.rulebooks import rulebook_active
from apps.pix.services.shared import DIRECTORY, is_ours


def claim_heard(found: DirectoryClaim, *, as_of: datetime) -> Claim | None:
    """Take over what the directory has of a claim; return the row, or None for one that is none of
    ours, or over. A claim that nobody here knows gets its row and its workflow. Idempotent."""
    known = Claim.objects.filter(directory_id=found.id).first()
    if known is None:
        with transaction.atomic(durable=True):
            known = _mine(found) or _made(found, as_of=as_of)
        return known
    before = known.version
    claim_follow(known.pk, answer_of(found))
    with transaction.atomic(durable=True):
        claim = claim_lock(known.pk)
        if claim.version != before and not claim.has_ended:
            claim_wake(claim, event=f"directory:{claim.version}")
        return claim


def _mine(found: DirectoryClaim) -> Claim | None:
    """Return our own claim for this key whose id at the directory is not known yet: the step that
    has opened it looks it up itself."""
    rows = Claim.objects.unsettled().filter(
        key_type=found.key_type, key=found.key, directory_id="", claimer_ours=True
    )
    return rows.filter(claimer_ispb=found.claimer_participant).first()


def _made(found: DirectoryClaim, *, as_of: datetime) -> Claim | None:
    if found.status in OVER:
        return None
    account, owner = found.claimer_account, found.claimer
    key_lock(found.key_type, found.key)
    if known := Claim.objects.filter(directory_id=found.id).first():
        return known
    claim = Claim(
        id=new_id(),
        claim_id=found.id,
        workflow_id=f"claim-{found.id}",
        claim_type=found.type,
        key_type=found.key_type,
        key=keys.key_as_sent(found.key_type, found.key),
        claimer_ispb=account.participant,
        donor_ispb=found.donor_participant,
        claimer_ours=is_ours(account.participant),
        donor_ours=is_ours(found.donor_participant),
        branch=account.branch,
        account_number=account.number,
        account_type=account.type,
        account_opened_at=account.opened_at,
        owner_type=owner.type,
        tax_id=owner.tax_id,
        name=owner.name,
        trade_name=owner.trade_name,
        rulebook=rulebook_active(),
        origin=Origin.DIRECTORY,
        request_digest=digest([found.id]),
        created_at=as_of,
    )
    note(claim, answer_of(found))
    claim.save(force_insert=True)
    claim_recorded(claim, by=DIRECTORY, via="directory")
    process.start(PROCESS, claim)
    process.tell(PROCESS, claim, "status")
    return claim


def _listed(
    *, role: Role, participant: str, modified_from: datetime, limit: int
) -> tuple[Sequence[DirectoryClaim], bool]:
    page = directory().claims_list(
        participant=participant, role=role.value, modified_from=modified_from, limit=limit
    )
    return page.claims, page.has_more


#: Asked by role: that list may be read more often.
POLLED = tuple(
    Resource(f"claims-{role.lower()}", partial(_listed, role=role), claim_heard) for role in Role
)
