"""Words of synchronisations on shared pages: states, codes, next steps."""

from apps.common.language import lazy as _
from apps.pix.contracts import SYNC_RUN
from apps.pix.contracts.sync import (
    DifferenceKind,
    DifferenceState,
    SyncPhase,
    SyncStatus,
    SyncTrigger,
)

TONES: dict[str, str] = {
    SyncStatus.OK: "good",
    SyncStatus.DIFFERS: "warn",
    DifferenceState.REPAIRED: "good",
    DifferenceState.LEFT: "warn",
}

WORDS: dict[str, str] = {
    SYNC_RUN: _("synchronisation of keys"),
    SyncStatus.OK: _("equal"),
    SyncStatus.DIFFERS: _("differs"),
    SyncTrigger.PERSON: _("a person"),
    SyncTrigger.DAILY: _("the schedule"),
    DifferenceKind.MISSING: _("missing here"),
    DifferenceKind.EXTRA: _("only here"),
    DifferenceKind.CHANGED: _("other contents"),
    DifferenceState.REPAIRED: _("repaired"),
    DifferenceState.LEFT: _("left"),
    f"sync_{SyncPhase.VERIFY}": _("asking the directory"),
    f"sync_{SyncPhase.REPLAY}": _("reading its log"),
    f"sync_{SyncPhase.REPLAYED}": _("repairing what its log says"),
    f"sync_{SyncPhase.VERIFY_AGAIN}": _("asking the directory again"),
    f"sync_{SyncPhase.RECEIVE}": _("receiving its files"),
    f"sync_{SyncPhase.COMPARE}": _("comparing"),
    f"sync_{SyncPhase.REPAIR}": _("repairing"),
    f"sync_{SyncPhase.VERIFY_LAST}": _("asking the directory at last"),
    f"sync_{SyncPhase.REPORT}": _("writing the report"),
}

#: Codes that rows keep of what was left, or failed.
CODES = {
    "under_claim": _("under a claim"),
    "under_change": _("being changed"),
    "touched_since": _("touched since"),
    "gone_there": _("gone there meanwhile"),
    "gone_here": _("gone here meanwhile"),
    "known_there": _("known there after all"),
    "repair_refused": _("repair refused"),
    "cid_mismatch": _("other content id"),
    "directory_entry_invalid": _("entry cannot be kept"),
    "directory_entry_foreign": _("another participant's"),
    "file_invalid": _("not a file of content ids"),
    "file_duplicates": _("content id twice in the file"),
    "file_corrupt": _("file corrupt"),
    "file_unavailable": _("file unavailable"),
    "file_too_large": _("file too large"),
    "sync_overdue": _("no equal synchronisation for too long"),
}

NEXT_STEPS = {
    "participant_not_ours": _("Choose a participant that this installation acts for."),
    "sync_running": _("Nothing was begun. Look at the one that runs, or stop it first."),
    "sync_not_ended": _("Wait until it has ended, or take the CSV file."),
    "sync_type_invalid": _("Send a short text, or leave it out."),
    "last_sync_date_invalid": _("Send a date, or leave it out."),
}

ACTIONS = {
    "sync_run.requested": _("Began the synchronisation"),
    "sync_run.repair_asked": _("Asked whether so much is repaired"),
    "sync_run.repair_approved": _("Let it be repaired"),
    "sync_run.repair_refused": _("Did not let it be repaired"),
    "sync_run.ok": _("Both sides are equal"),
    "sync_run.differs": _("Both sides still differ"),
    "sync_run.failed": _("It failed"),
    "sync_run.stopped": _("Stopped it"),
    "sync_run.restarted": _("Began its workflow again"),
    "sync_run.overdue_left": _("Left it to the next daily one"),
}

TRIED = {
    "sync_run.request": _("Tried to begin a synchronisation"),
    "sync_run.stop": _("Tried to stop it"),
    "sync_run.report": _("Tried to read the report"),
}
