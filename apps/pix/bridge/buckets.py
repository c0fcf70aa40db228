"""The directory's token buckets, as data: what an operation draws from, and how it fills again."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bucket:
    """Holds `size` calls at most, and gets `refill` of them back a minute."""

    refill: float
    size: int


#: Per participant; version 2 of the directory's interface. DIRECTORY_BUCKETS replaces some.
BUCKETS: dict[str, Bucket] = {
    "ENTRIES_READ": Bucket(25_000, 50_000),
    "ENTRIES_WRITE": Bucket(1200, 36_000),
    "ENTRIES_UPDATE": Bucket(600, 600),
    "CLAIMS_READ": Bucket(600, 18_000),
    "CLAIMS_WRITE": Bucket(1200, 36_000),
    "CLAIMS_LIST_WITH_ROLE": Bucket(40, 200),
    "CLAIMS_LIST_WITHOUT_ROLE": Bucket(10, 50),
    "INFRACTIONS_READ": Bucket(600, 18_000),
    "INFRACTIONS_WRITE": Bucket(1200, 36_000),
    "INFRACTIONS_LIST_WITH_ROLE": Bucket(40, 200),
    "INFRACTIONS_LIST_WITHOUT_ROLE": Bucket(10, 50),
    "SYNC_VERIFICATIONS_WRITE": Bucket(10, 50),
    "CIDS_FILES_WRITE": Bucket(40 / 1440, 200),
    "CIDS_FILES_READ": Bucket(10, 50),
    "CIDS_EVENTS_LIST": Bucket(20, 100),
    "CIDS_ENTRIES_READ": Bucket(1200, 36_000),
}
#: Operation → bucket. A file's bytes draw from none.
GROUPS: dict[str, str] = {
    "Entries.Create": "ENTRIES_WRITE",
    "Entries.Get": "ENTRIES_READ",
    "Entries.Update": "ENTRIES_UPDATE",
    "Entries.Delete": "ENTRIES_WRITE",
    "Claims.Create": "CLAIMS_WRITE",
    "Claims.Get": "CLAIMS_READ",
    "Claims.List": "CLAIMS_LIST",
    "Claims.Acknowledge": "CLAIMS_WRITE",
    "Claims.Confirm": "CLAIMS_WRITE",
    "Claims.Cancel": "CLAIMS_WRITE",
    "Claims.Complete": "CLAIMS_WRITE",
    "Infractions.Create": "INFRACTIONS_WRITE",
    "Infractions.Get": "INFRACTIONS_READ",
    "Infractions.List": "INFRACTIONS_LIST",
    "Infractions.Acknowledge": "INFRACTIONS_WRITE",
    "Infractions.Close": "INFRACTIONS_WRITE",
    "Infractions.Cancel": "INFRACTIONS_WRITE",
    "Sync.Verify": "SYNC_VERIFICATIONS_WRITE",
    "Sync.ListEvents": "CIDS_EVENTS_LIST",
    "Sync.CreateFile": "CIDS_FILES_WRITE",
    "Sync.GetFile": "CIDS_FILES_READ",
    "Sync.GetEntryByCid": "CIDS_ENTRIES_READ",
}
#: What a key that is not there costs who asked for it; everything else costs 1.
NOT_FOUND_COST = 3


def group_of(operation: str, role: str = "") -> str:
    """Return the bucket of an operation, "" when it draws from none; lists with a role have one of
    their own."""
    group = GROUPS.get(operation, "")
    if operation.endswith(".List"):
        return f"{group}_WITH_ROLE" if role else f"{group}_WITHOUT_ROLE"
    return group


def cost_of(operation: str, status: int) -> int:
    """Return what a call costs after its answer; an error of the directory's own costs nothing.

    `status`: HTTP's.
    """
    if status >= 500:
        return 0
    return NOT_FOUND_COST if operation == "Entries.Get" and status == 404 else 1
