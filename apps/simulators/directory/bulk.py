"""Many entries at once, and changes behind everybody's back."""

import itertools
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any
from uuid import UUID, uuid4

from apps.pix.bridge import directory_pb2 as pb
from apps.simulators.directory import cids, control_pb2, entries
from apps.simulators.directory.refusals import Refused
from apps.simulators.directory.store import Store, microseconds

#: So many entries at a time are told, and read.
BATCH = 2000
#: Not more changes in one go than a test means.
MOST_CHANGES = 1_000_000


def load(store: Store, request: Any) -> int:
    """Take these entries as if they had always been there: verifiers, no events. How many. Raises
    Refused for a key that is there."""
    now = store.now()
    known = {row["ispb"] for row in store.db.execute("SELECT ispb FROM participants")}
    moved: dict[tuple[str, str], int] = defaultdict(int)
    counts: Counter[tuple[str, str]] = Counter()
    rows = []
    for loaded in request.entries:
        entry = loaded.entry
        row = entries.row_of(entry, entries.check_request_id(loaded.request_id))
        if row["participant"] not in known or row["key_type"] not in cids.KEY_TYPES:
            raise Refused("EntryInvalid", "Not an entry.", field="key", value=row["key"])
        row["created_at"] = microseconds(entry.created_at) if entry.HasField("created_at") else now
        row["owned_since"] = (
            microseconds(entry.owned_since) if entry.HasField("owned_since") else row["created_at"]
        )
        rows.append(row)
        place = row["participant"], row["key_type"]
        moved[place] ^= int.from_bytes(row["cid"])
        counts[place] += 1
    try:
        entries.insert(store.db, rows)
    except sqlite3.IntegrityError as error:
        raise Refused("EntryAlreadyExists", "One of the keys is registered.") from error
    for place, xor in moved.items():
        store.moved(*place, xor.to_bytes(32), count=counts[place])
    return len(rows)


def dump(store: Store, request: Any) -> Iterator[pb.CidEntry]:
    """Yield all entries of a participant as they were when this began."""
    with store.reading() as db:
        rows = db.execute(
            "SELECT * FROM entries WHERE participant = ? AND ? IN ('', key_type)",
            (request.participant, request.key_type),
        )
        while batch := rows.fetchmany(BATCH):
            for row in batch:
                yield pb.CidEntry(
                    cid=row["cid"].hex(),
                    request_id=row["request_id"],
                    entry=entries.plain_message(row),
                )


def tamper(store: Store, request: Any) -> Any:
    """Rename some owners, remove and add some entries: what others have is not theirs then. Keys
    under a claim stay as they are."""
    wanted = (request.changed, request.missing, request.extra)
    if not all(0 <= one <= MOST_CHANGES for one in wanted):
        raise Refused("BadRequest", f"From 0 to {MOST_CHANGES}.")
    if store.behaviour(request.participant) is None:
        raise Refused("ParticipantInvalid", f"There is no participant {request.participant}.")
    if request.key_type and request.key_type not in cids.KEY_TYPES:
        raise Refused("BadRequest", f"A type is one of {', '.join(cids.KEY_TYPES)}.")
    victims = store.db.execute(
        "SELECT * FROM entries WHERE participant = ? AND ? IN ('', key_type) AND lookup NOT IN "
        "(SELECT lookup FROM claims WHERE status NOT IN ('CANCELLED', 'COMPLETED')) "
        "ORDER BY random() LIMIT ?",
        (request.participant, request.key_type, request.changed + request.missing),
    ).fetchall()
    if len(victims) < request.changed + request.missing:
        raise Refused("BadRequest", f"There are only {len(victims)} entries.")
    for row in victims[: request.changed]:
        entry = entries.plain_message(row)
        entry.owner.name = f"{entry.owner.name[:140]} {uuid4().hex[:6]}"
        entries.removed(store, row, silently=True)
        entries.added(
            store,
            entries.row_of(entry, row["request_id"]),
            created_at=row["created_at"],
            owned_since=row["owned_since"],
            silently=True,
        )
    for row in victims[request.changed :]:
        entries.removed(store, row, silently=True)
    for entry in itertools.islice(_strange(store, request), request.extra):
        now = store.now()
        row = entries.row_of(entry, str(uuid4()))
        entries.added(store, row, created_at=now, owned_since=now, silently=True)
    return control_pb2.TamperResponse(
        changed=request.changed, missing=request.missing, extra=request.extra
    )


def _strange(store: Store, request: Any) -> Iterator[pb.Entry]:
    """Entries that nobody registered."""
    random = Random()  # noqa: S311 - no secrets
    while True:
        key_type = request.key_type or random.choice(("PHONE", "EMAIL", "EVP"))
        tax_id = f"{random.randrange(10**11):011}"
        company = f"{random.randrange(10**14):014}"
        key = {
            "CPF": tax_id,
            "CNPJ": company,
            "PHONE": f"+5511{random.randrange(10**9):09}",
            "EMAIL": f"tampered-{random.randrange(10**12)}@stranger.example",
            "EVP": str(UUID(int=random.getrandbits(128), version=4)),
        }[key_type]
        if entries.find(store, key) is not None:
            continue
        legal = key_type == "CNPJ"
        yield pb.Entry(
            key_type=key_type,
            key=key,
            account=pb.Account(
                participant=request.participant,
                branch="0001",
                number=f"{random.randrange(10**10):010}",
                type="CACC",
            ),
            owner=pb.Owner(
                type="LEGAL_PERSON" if legal else "NATURAL_PERSON",
                tax_id=company if legal else tax_id,
                name="Nobody Known",
            ),
        )
