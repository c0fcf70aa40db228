"""Keys in full, which only some may read, and every reading is in the trail; and the search for an
exact key."""

from collections.abc import Callable
from typing import TypeVar

from apps.accounts.models import User
from apps.common.errors import NotAllowed, NotFound
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.process import SubjectRow
from apps.pix.keys import clean_key, clean_key_type, masked_key
from apps.pix.models import Claim, Entry
from apps.pix.services import claim_rows
from apps.pix.services.entry_rows import ENTRY_ROW, entry_named, unknown

R = TypeVar("R", Claim, Entry)

VIEW, FULL = "pix.view_entry", "pix.read_full_key"


def entry_key_read(*, entry_id: object, by: User, via: str) -> Entry:
    """Return the entry, whose key may now be shown in full; the reading is audited.

    Raises, each audited: NotFound; NotAllowed `permission_denied`.
    """

    def seen() -> Entry:
        if not by.has_perm(VIEW):
            raise unknown()
        return entry_named(entry_id)

    return _key_read(ENTRY_ROW, seen, entry_id, by=by, via=via)


def claim_key_read(*, claim_id: object, by: User, via: str) -> Claim:
    """Return the claim, whose key and tax id may now be shown in full; the reading is audited.

    Raises, each audited: NotFound, also for a claim that they may not see; NotAllowed
    `permission_denied`.
    """

    def seen() -> Claim:
        pk = process.id_of(claim_rows.PROCESS, str(claim_id))
        claim = Claim.objects.visible_to(by).filter(pk=pk).first()
        if claim is None:
            raise process.unknown(claim_rows.PROCESS)
        return claim

    return _key_read(claim_rows.PROCESS, seen, claim_id, by=by, via=via)


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


def _key_read(
    kind: SubjectRow[R], seen: Callable[[], R], identifier: object, *, by: User, via: str
) -> R:
    """Let the user read the key of the row that `seen()` finds, and write so into the trail: the
    key masked, and the id by which others know the row."""
    with process.audited(kind, "read_full_key", identifier, by=by, via=via):
        row = seen()
        if not by.has_perm(FULL):
            raise NotAllowed(_("You may not read keys in full."), code="permission_denied")
        said = {"key": masked_key(row.key_type, row.key), f"{kind.noun}_id": str(row)}
        process.record(kind, row, f"{kind.subject}.full_key_read", by=by, via=via, **said)
        return row
