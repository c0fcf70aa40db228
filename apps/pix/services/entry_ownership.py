"""What a claim does to entries: the donor's is removed, the claimer's made. Shared with claims."""

from datetime import datetime

from django.utils import timezone

from apps.common.failpoints import failpoint
from apps.engine import process
from apps.pix.contracts import ClaimType, EntryStatus, Origin
from apps.pix.models import Claim, Entry
from apps.pix.services.entry_ending import emit, remove
from apps.pix.services.entry_rows import (
    ENTRY_ROW,
    copy_end_later,
    entry_lock,
    key_lock,
    shown,
)


def entry_ownership_update(
    claim: Claim,
    *,
    as_of: datetime,
    created_at: datetime | None = None,
    owned_since: datetime | None = None,
) -> Entry | None:
    """Give the entry of a completed claim to its claimer; return the claimer's entry, or None if
    the claimer is not ours and the key is in the directory, where we keep no copy of it.

    The donor's live entry is removed; the claimer's is made active with the id that others know
    the entry by, and with the claim's request id. Its owner has it since `owned_since`, where the
    directory said so; else for a portability since the donor's entry says, for an ownership claim
    since now. Of a claim without a key the entry `entry_ref` is made without one, whoever claims:
    it is not in the directory, and stays out of the sync.

    Once, however often it is called. Joins the caller's transaction, which has the claim's lock.
    """
    if claim.key:
        key_lock(claim.key_type, claim.key)
    if (known := _made(claim)) is not None:
        return known
    donor = donor_entry_remove(claim, as_of=as_of)
    before = donor or _former(claim)
    if claim.key and not claim.claimer_ours:
        return None
    entry = _claimers(claim, before, as_of=as_of, created_at=created_at, owned_since=owned_since)
    # The directory has decided that the account has room for it.
    entry.save(force_insert=True)
    failpoint("entry_ownership.uncommitted")
    process.record(
        ENTRY_ROW,
        entry,
        "entry.ownership_changed",
        claim=claim.claim_id,
        key=shown(entry),
        donor=claim.donor_ispb,
        claimer=claim.claimer_ispb,
    )
    emit(
        "entry.ownership_changed",
        entry,
        as_of=as_of,
        claim_id=claim.claim_id,
        donor=claim.donor_ispb,
        claimer=claim.claimer_ispb,
    )
    process.tell(ENTRY_ROW, entry, "status")
    copy_end_later(entry.key_type, entry.key)
    return entry


def donor_entry_remove(claim: Claim, *, as_of: datetime) -> Entry | None:
    """Remove the donor's live entry here, as the directory does when a claim is confirmed; return
    it, or None without one. Joins the caller's transaction, which has the claim's lock."""
    if claim.key:
        key_lock(claim.key_type, claim.key)
    live = Entry.objects.live()
    if claim.key:
        rows = live.filter(key_type=claim.key_type, key=claim.key)
    else:
        rows = live.filter(entry_id=claim.entry_ref) if claim.entry_ref else live.none()
    found = rows.exclude(request_id=claim.request_id).first()
    if found is None:
        return None
    entry = entry_lock(found.pk)
    if entry.has_ended:
        return entry
    remove(entry, as_of=as_of)
    process.record(ENTRY_ROW, entry, "entry.claimed", claim=claim.claim_id, key=shown(entry))
    if claim.key:
        emit("entry.deleted", entry, as_of=as_of, claim_id=claim.claim_id)
    return entry


# --- helpers --------------------------------------------------------------------------------------
def _made(claim: Claim) -> Entry | None:
    return Entry.objects.filter(request_id=claim.request_id).first()


def _former(claim: Claim) -> Entry | None:
    """Return the donor's entry that the claim's confirmation has removed."""
    removed = Entry.objects.filter(status=EntryStatus.REMOVED, participant=claim.donor_ispb)
    if claim.key:
        removed = removed.filter(key_type=claim.key_type, key=claim.key)
    else:
        removed = removed.filter(entry_id=claim.entry_ref)
    return removed.order_by("-removed_at").first()


def _claimers(
    claim: Claim,
    before: Entry | None,
    *,
    as_of: datetime,
    created_at: datetime | None,
    owned_since: datetime | None,
) -> Entry:
    kept = before.ownership_at if before and claim.claim_type == ClaimType.PORTABILITY else None
    entry = Entry(
        key_type=claim.key_type,
        key=claim.key,
        participant=claim.claimer_ispb,
        branch=claim.branch,
        account_number=claim.account_number,
        account_type=claim.account_type,
        account_opened_at=claim.account_opened_at,
        owner_type=claim.owner_type,
        tax_id=claim.tax_id,
        name=claim.name,
        trade_name=claim.trade_name,
        request_id=claim.request_id,
        status=EntryStatus.ACTIVE,
        origin=Origin(claim.origin),
        ownership_at=owned_since or kept or created_at or as_of,
        created_at=created_at or as_of,
        updated_at=max(as_of, timezone.now()),
    )
    entry.entry_id = _name(claim, before) or str(entry.pk)
    return entry


def _name(claim: Claim, before: Entry | None) -> str:
    """Return the id that others know the entry by, if no other entry has it now."""
    name = before.entry_id if before else claim.entry_ref
    taken = Entry.objects.live().filter(entry_id=name).exists() if name else True
    return "" if taken else name
