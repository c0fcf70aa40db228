"""Entries for tests of the synchronisation, and what plain Python says of their CIDs."""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

from apps.pix.contracts import EntryStatus, KeyType, Origin
from apps.pix.models import Entry

ISPB = "12345678"


def make_entry(number: int = 1, **columns: Any) -> Entry:
    """An active entry of ours, saved."""
    entry = new_entry(number, **columns)
    entry.save(force_insert=True)
    entry.refresh_from_db()
    return entry


def new_entry(number: int = 1, **columns: Any) -> Entry:
    """An active entry of ours, in no table."""
    said: dict[str, Any] = {
        "entry_id": f"ENTRY-{number}-{uuid4().hex[:8]}",
        "key_type": KeyType.PHONE,
        "key": f"+55619{number:08d}",
        "participant": ISPB,
        "branch": "0001",
        "account_number": f"{number:010d}",
        "account_type": "CACC",
        "owner_type": "NATURAL_PERSON",
        "tax_id": "11122233396",
        "name": "João Silva",
        "request_id": uuid4(),
        "status": EntryStatus.ACTIVE,
        "origin": Origin.DIRECTORY,
    }
    return Entry(**{**said, **columns})


def cid_of(entry: Entry) -> bytes:
    """As the directory computes it, in plain Python."""
    attributes = (
        entry.key_type,
        entry.key,
        entry.tax_id,
        entry.name,
        entry.trade_name,
        entry.participant,
        entry.branch,
        entry.account_number,
        entry.account_type,
    )
    assert entry.request_id is not None
    key = UUID(str(entry.request_id)).bytes
    return hmac.new(key, "&".join(attributes).encode(), hashlib.sha256).digest()


def in_bucket_of(entry: Entry, *, number: int) -> Entry:
    """Another entry whose CID begins with the same two bytes."""
    wanted, other = cid_of(entry)[:2], new_entry(number)
    while cid_of(other)[:2] != wanted:
        other.request_id = uuid4()
    return other


def xor(cids: Iterable[bytes]) -> str:
    """The verifier of these CIDs: 64 digits."""
    folded = 0
    for cid in cids:
        folded ^= int.from_bytes(cid)
    return f"{folded:064x}"
