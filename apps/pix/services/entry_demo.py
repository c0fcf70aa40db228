"""The demo's participants and keys. Idempotent by ispb, and by a request id made of the key.

The keys go to the directory by their own workflows, as any other: so the two sides are equal
whenever the engine and the directory come up, and stay it if either is emptied. Nobody is sent a
code for a demo. Outside checks rely on the participants' numbers.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.accounts.demo_users import SEEDER
from apps.accounts.models import User
from apps.common.canonical_json import digest
from apps.common.identifiers import new_id
from apps.engine import process
from apps.pix.contracts import ChangeKind, ChangeStatus, EntryStatus, Origin
from apps.pix.contracts.entries import (
    USER_REQUESTED,
    AccountGiven,
    CreateEntryRequest,
    OwnerGiven,
)
from apps.pix.models import Entry, EntryChange, Participant
from apps.pix.services.entries import entry_insert, requested
from apps.pix.services.entry_checks import cleaned
from apps.pix.services.entry_rows import PROCESS
from apps.web.demo import table


def participants_seed() -> int:
    """Create the demo's participants, whose names are the file's; return how many there are."""
    participants: list[dict[str, Any]] = table("pix", "participants", dict)
    for one in participants:
        Participant.objects.update_or_create(
            ispb=one["ispb"], defaults={"name": one["name"], "ours": one["ours"] == "yes"}
        )
    return len(participants)


def keys_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Create what is missing; yield a line of progress."""
    participants = participants_seed()
    keys: list[dict[str, Any]] = table("pix", "keys", dict)
    made = sum(_key(people["officer"], **row) for row in keys)
    yield f"{participants} participants, and {made} Pix keys on their way to the directory"


def _key(by: User, **row: str) -> bool:
    request_id = _stable(row)
    if Entry.objects.filter(request_id=request_id).exists():
        return False
    columns = cleaned(
        CreateEntryRequest(
            key_type=row["key_type"],
            key=row["key"],
            account=AccountGiven(row["participant"], row["branch"], row["number"], row["type"]),
            owner=OwnerGiven(row["owner_type"], row["tax_id"], row["name"], row["trade_name"]),
        )
    )
    now, pk = timezone.now(), new_id()
    with transaction.atomic():
        entry = entry_insert(columns, status=EntryStatus.PENDING, origin=Origin.HERE, as_of=now)
        entry.request_id = request_id
        entry.save(update_fields=["request_id"])
        change = EntryChange.objects.create(
            id=pk,
            workflow_id=process.workflow_id_of(PROCESS, pk),
            entry=entry,
            kind=ChangeKind.CREATE,
            reason=USER_REQUESTED,
            request_id=request_id,
            status=ChangeStatus.RUNNING,
            origin=Origin.HERE,
            requested_by=by,
            request_digest=digest(columns),
            created_at=now,
        )
        requested(change, by=SEEDER, via="command")
        process.start(PROCESS, change)
    return True


def _stable(row: dict[str, str]) -> UUID:
    """Return the same id of the call for the same row: the directory then knows it again, also
    when this database was made anew."""
    name = "|".join(["demo", *row.values()])
    return UUID(bytes=sha256(name.encode()).digest()[:16], version=4)
