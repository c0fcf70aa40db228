"""Keys in full, which only some may read, and every reading is in the trail; and the search for an
exact key."""

from apps.accounts.models import User
from apps.common.errors import NotAllowed, NotFound
from apps.common.language import lazy as _
from apps.engine import process
from apps.pix.keys import clean_key, clean_key_type
from apps.pix.models import Entry
from apps.pix.services.entry_rows import ENTRY_ROW, entry_named, shown

VIEW, FULL = "pix.view_entry", "pix.read_full_key"


def full_key_read(*, entry_id: object, by: User, via: str) -> Entry:
    """Return the entry, whose key may now be shown in full; the reading is audited.

    Raises, each audited: NotFound; NotAllowed `permission_denied`.
    """
    with process.audited(ENTRY_ROW, "read_full_key", entry_id, by=by, via=via):
        if not by.has_perm(VIEW):
            raise NotFound(ENTRY_ROW.missing)
        entry = entry_named(entry_id)
        if not by.has_perm(FULL):
            raise NotAllowed(_("You may not read keys in full."), code="permission_denied")
        process.record(ENTRY_ROW, entry, "entry.full_key_read", by=by, via=via, key=shown(entry))
        return entry


def entry_find(*, key_type: str, key: str, by: User, via: str) -> Entry:
    """Return our newest entry of exactly this key, a living one first.

    Raises, each audited: NotAllowed `permission_denied`; Invalid `key_type_invalid`,
    `key_invalid`; NotFound `key_unknown`.
    """
    with process.audited(ENTRY_ROW, "find", by=by, via=via):
        if not by.has_perm(VIEW):
            raise NotAllowed(_("You may not look keys up."), code="permission_denied")
        kind = clean_key_type(key_type)
        named = {"key_type": kind, "key": clean_key(kind, key)}
        found = Entry.objects.live().filter(**named).first()
        found = found or Entry.objects.filter(**named).first()
        if found is None:
            raise NotFound(_("There is no such key here."), code="key_unknown")
        return found
