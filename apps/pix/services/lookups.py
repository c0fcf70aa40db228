"""Looking a key up: ours in our table, everybody else's in the directory, what was read recently in
Redis."""

from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime

from django.db import connection

from apps.accounts.models import User
from apps.audit.services import entry_record, refusals
from apps.common.copies import Copies
from apps.common.errors import Conflict, NotAllowed, NotFound
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.pix.bridge.client import directory
from apps.pix.bridge.problems import DirectoryRefused
from apps.pix.contracts import ENTRY, EntryStatus
from apps.pix.holders import clean_ispb
from apps.pix.keys import clean_key, clean_key_type, masked_key
from apps.pix.models import Entry, Participant

VIEW = "pix.view_entry"
COPIES = Copies("pix-entries", seconds=60, away="entries are read without their copy in Redis")
#: Seconds that the directory may take for an answer that somebody waits for.
WITHIN = 10.0


@dataclass(frozen=True)
class FoundEntry:
    """An entry that was looked up. `source`: `here` (our table), `directory`, or `copy` (what one
    of them said within the last minute). `entry_id`: of ours."""

    key_type: str
    key: str
    participant: str
    branch: str
    account_number: str
    account_type: str
    owner_type: str
    tax_id: str
    name: str
    trade_name: str
    ownership_at: str = ""
    entry_id: str = ""
    source: str = ""


def entry_lookup(
    *, key_type: str, key: str, by: User, via: str, participant: str = ""
) -> FoundEntry:
    """Return who has a key now, audited with the key masked.

    Our own active entries come from the table, others from the directory, asked as `participant`
    (ours; empty: the first of ours), and either from its copy in Redis for a minute. Without Redis
    nothing is copied. Raises, each audited: NotAllowed `permission_denied`; Invalid
    `key_type_invalid`, `key_invalid`, `ispb_invalid`; Conflict `participant_not_ours`; NotFound
    `key_unknown`; what the directory refuses; DirectoryUnavailable `directory_unavailable`.
    """
    with refusals(action="entry.lookup", subject_type=ENTRY, subject_id="", by=by, via=via):
        if not by.has_perm(VIEW):
            raise NotAllowed(_("You may not look keys up."), code="permission_denied")
        kind = clean_key_type(key_type)
        key = clean_key(kind, key)
        asks = participant_of_ours(participant)
        found = _copied(kind, key) or _read(kind, key, asks)
        entry_record(
            action="entry.looked_up",
            subject_type=ENTRY,
            subject_id=found.entry_id,
            by=by,
            via=via,
            body={"key": masked_key(kind, key), "participant": asks, "source": found.source},
        )
        return found


def copy_end(key_type: str, key: str) -> None:
    """End the copy of a key, and refuse those that slower readers made before now. Call it after
    the commit of a write."""
    COPIES.end(_name(key_type, key), row=_moment())


def participant_of_ours(ispb: str = "") -> str:
    """Return the participant if it is ours; without one the first of ours. Raises Invalid
    `ispb_invalid`, Conflict `participant_not_ours`."""
    ours = Participant.objects.filter(ours=True)
    if ispb:
        ours = ours.filter(ispb=clean_ispb(ispb))
    found = ours.order_by("ispb").values_list("ispb", flat=True).first()
    if found is None:
        raise Conflict(
            _("This installation does not act for that participant."), code="participant_not_ours"
        )
    return found


# --- helpers --------------------------------------------------------------------------------------
def _name(key_type: str, key: str) -> str:
    return f"{key_type}:{key}"


def _moment() -> int:
    """Return the database's clock in microseconds: what tells a late reader from a write. The
    clocks of workers and sites may differ."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(cursor.fetchone()[0])


def _copied(key_type: str, key: str) -> FoundEntry | None:
    document = COPIES.get(_name(key_type, key))
    names = {field.name for field in fields(FoundEntry)}
    whole = isinstance(document, dict) and document.keys() == names
    if not whole or not all(isinstance(value, str) for value in document.values()):
        return None
    return FoundEntry(**{**document, "source": "copy"})


def _read(key_type: str, key: str, asks: str) -> FoundEntry:
    # Taken before the read: a write that commits during it has a later one, and wins.
    began = _moment()
    entry = Entry.objects.filter(
        key_type=key_type,
        key=key,
        status=EntryStatus.ACTIVE,
        participant__in=Participant.objects.filter(ours=True).values("ispb"),
    ).first()
    found = _ours(entry) if entry is not None else _theirs(key_type, key, asks)
    failpoint("entry_lookup.read")
    COPIES.put(_name(key_type, key), asdict(replace(found, source="")), row=began)
    return found


def _ours(entry: Entry) -> FoundEntry:
    return FoundEntry(
        key_type=entry.key_type,
        key=entry.key,
        participant=entry.participant,
        branch=entry.branch,
        account_number=entry.account_number,
        account_type=entry.account_type,
        owner_type=entry.owner_type,
        tax_id=entry.tax_id,
        name=entry.name,
        trade_name=entry.trade_name,
        ownership_at=_time(entry.ownership_at),
        entry_id=entry.entry_id,
        source="here",
    )


def _theirs(key_type: str, key: str, asks: str) -> FoundEntry:
    try:
        answer = directory().entry_get(participant=asks, key=key, within=WITHIN)
    except DirectoryRefused as refused:
        if refused.code == "directory_not_found":
            raise NotFound(_("Nobody has this key."), code="key_unknown") from refused
        raise
    account, owner = answer.account, answer.owner
    return FoundEntry(
        key_type=key_type,
        key=answer.key,
        participant=account.participant,
        branch=account.branch,
        account_number=account.number,
        account_type=account.type,
        owner_type=owner.type,
        tax_id=owner.tax_id,
        name=owner.name,
        trade_name=owner.trade_name,
        ownership_at=_time(answer.owned_since),
        source="directory",
    )


def _time(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""
