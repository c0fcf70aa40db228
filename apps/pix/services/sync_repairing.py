"""The repair of one difference: the directory wins, nothing is written there.

Each is a transaction of its own, with audit entry and event, and is done once: its row says so. An
entry under an open claim or change, or touched since the directory was asked, is left for the next
run, which sees both sides as they are then.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.audit.contracts import ENGINE
from apps.audit.services import entry_record
from apps.common.errors import Conflict, DomainError
from apps.common.identifiers import new_id
from apps.common.language import lazy as _
from apps.pix.bridge.client import directory
from apps.pix.bridge.problems import DirectoryRefused
from apps.pix.bridge.shapes import CidEntry
from apps.pix.contracts import ENTRY, EntryStatus, Origin
from apps.pix.contracts.sync import DifferenceKind, DifferenceState
from apps.pix.keys import masked_key
from apps.pix.models import CidEvent, Claim, Entry, EntryChange, SyncDifference, SyncRun
from apps.pix.models.entries import LIVE, OPEN_CHANGES
from apps.pix.services.directory_entries import columns_of
from apps.pix.services.entry_rows import copy_end_later
from apps.pix.services.events import event_emit
from apps.pix.sync.deadlocks import again_after_deadlock

#: Columns that the report shows of an entry before and after: no personal data.
SHOWN = ("participant", "branch", "account_type", "owner_type", "status")


def difference_repair(run: SyncRun, pk: int) -> None:
    """Repair a pending difference, or leave it and say why. No-op for one that has its outcome.

    Raises DirectoryUnavailable, and what the directory refuses besides `directory_not_found`.
    """
    difference = SyncDifference.objects.filter(pk=pk, state=DifferenceState.PENDING).first()
    if difference is None:
        return
    there = _look_up(run, difference)
    repair = _take_over if difference.kind == DifferenceKind.MISSING else _remove

    def transact() -> None:
        with transaction.atomic(durable=True):
            now = SyncDifference.objects.select_for_update(no_key=True).filter(
                pk=pk, state=DifferenceState.PENDING
            )
            if row := now.first():
                repair(run, row, there)

    try:
        again_after_deadlock(transact)
    except DomainError as refused:
        settle_left(difference, why=refused.code, detail=refused.recorded)


def settle_left(difference: SyncDifference, *, why: str, detail: str = "", key: str = "") -> None:
    """Leave a difference for the next run, and say why."""
    SyncDifference.objects.filter(pk=difference.pk, state=DifferenceState.PENDING).update(
        state=DifferenceState.LEFT,
        why=why[:60],
        detail=detail[:500],
        key=key or difference.key,
        entry=difference.entry,
        settled_at=timezone.now(),
    )


def _look_up(run: SyncRun, difference: SyncDifference) -> CidEntry | None:
    cid = bytes(difference.cid).hex()
    try:
        return directory().entry_get_by_cid(participant=run.participant, cid=cid)
    except DirectoryRefused as refused:
        if refused.code != "directory_not_found":
            raise
        return None


# --- the two kinds, in the transaction that has locked the difference -----------------------------
def _take_over(run: SyncRun, difference: SyncDifference, there: CidEntry | None) -> None:
    """Write what the directory has, as a new entry or over the one that has its key."""
    if there is None:
        settle_left(difference, why="gone_there")
        return
    columns = columns_of(there.entry, request_id=there.request_id)
    if (columns["participant"], columns["key_type"]) != (run.participant, difference.key_type):
        raise Conflict(_("Its entry is another participant's."), code="directory_entry_foreign")
    entry = (
        Entry.objects.select_for_update(no_key=True)
        .filter(key_type=columns["key_type"], key=columns["key"], status__in=LIVE)
        .first()
    )
    difference.key = masked_key(columns["key_type"], columns["key"])
    difference.entry = entry.pk if entry else None
    if why := _busy(run, difference, entry, columns["key_type"], columns["key"]):
        settle_left(difference, why=why)
        return
    now = timezone.now()
    if entry is None:
        pk = new_id()
        entry = Entry(id=pk, entry_id=str(pk), origin=Origin.DIRECTORY, created_at=now)
        ours, before = None, {}
    else:
        ours, before = entry.cid, _shown(entry)
        entry.version += 1
    for name, value in columns.items():
        setattr(entry, name, value)
    entry.updated_at = now
    entry.save()
    copy_end_later(entry.key_type, entry.key)
    entry.refresh_from_db(fields=["cid"])
    if bytes(entry.cid) != bytes(difference.cid):
        # Undone with everything above: it would differ again tomorrow.
        raise Conflict(_("What the directory says has another CID."), code="cid_mismatch")
    changed = before and ours is not None
    if ours is not None:
        # The same entry: our CID of it is a difference no more.
        SyncDifference.objects.filter(
            run=run,
            key_type=difference.key_type,
            cid=bytes(ours),
            kind=DifferenceKind.EXTRA,
            state=DifferenceState.PENDING,
        ).delete()
    difference.kind = DifferenceKind.CHANGED if changed else DifferenceKind.MISSING
    difference.ours = bytes(ours) if ours is not None else None
    difference.entry, difference.before, difference.after = entry.pk, before, _shown(entry)
    _repaired(run, difference, entry, "updated" if before else "created", now)


def _remove(run: SyncRun, difference: SyncDifference, there: CidEntry | None) -> None:
    """Remove what only we have. Never made there: an EVP could not be."""
    entry = (
        Entry.objects.select_for_update(no_key=True)
        .filter(
            participant=run.participant, key_type=difference.key_type, cid=bytes(difference.cid)
        )
        .first()
    )
    if entry is None:
        settle_left(difference, why="gone_here")
        return
    difference.entry = entry.pk
    difference.key = masked_key(entry.key_type, entry.key)
    if there is not None:
        # The file is older than the entry, or wrong: the directory has it now.
        settle_left(difference, why="known_there")
        return
    if why := _busy(run, difference, entry, entry.key_type, entry.key):
        settle_left(difference, why=why)
        return
    now = timezone.now()
    copy_end_later(entry.key_type, entry.key)
    difference.before = _shown(entry)
    entry.status, entry.removed_at, entry.updated_at = EntryStatus.REMOVED, now, now
    entry.version += 1
    entry.save(update_fields=["status", "removed_at", "updated_at", "version"])
    difference.after = _shown(entry)
    _repaired(run, difference, entry, "removed", now)


def _busy(
    run: SyncRun, difference: SyncDifference, entry: Entry | None, key_type: str, key: str
) -> str:
    """Return why the key is left alone in this run, or an empty text."""
    if Claim.objects.unsettled().filter(key_type=key_type, key=key).exists():
        return "under_claim"
    if entry is not None:
        if EntryChange.objects.filter(entry=entry, status__in=OPEN_CHANGES).exists():
            return "under_change"
        if entry.status != EntryStatus.ACTIVE and entry.request_id is None:
            # Nobody has sent it: its owner has not proved to have the phone or mailbox.
            return "under_change"
    asked_at = run.verdicts.values_list("asked_at", flat=True).get(key_type=difference.key_type)
    if asked_at is None:
        return ""
    about = Q(cid=bytes(difference.cid))
    if entry is not None:
        about |= Q(entry=entry.pk)
    touched = CidEvent.objects.filter(
        about, participant=run.participant, key_type=key_type, at__gte=asked_at
    )
    return "touched_since" if touched.exists() else ""


def _repaired(
    run: SyncRun, difference: SyncDifference, entry: Entry, what: str, now: datetime
) -> None:
    difference.state, difference.settled_at = DifferenceState.REPAIRED, now
    difference.save()
    body: dict[str, Any] = {"reason": "RECONCILIATION", "sync_run": str(run.pk)}
    entry_record(
        action=f"entry.{what}",
        subject_type=ENTRY,
        subject_id=str(entry.pk),
        by=ENGINE,
        body={**body, "before": difference.before, "after": difference.after},
    )
    event_emit(
        type=f"entry.{what}",
        key=entry.key,
        entry_id=entry.entry_id,
        occurred_at=now,
        data={**body, "key_type": entry.key_type, "status": entry.status},
    )


def _shown(entry: Entry) -> dict[str, str]:
    return {name: str(getattr(entry, name)) for name in SHOWN}
