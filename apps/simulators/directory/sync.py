"""Reconciliation: the directory's rules of section 4."""

import re
from collections.abc import Iterator
from hashlib import sha256
from uuid import uuid4

from apps.pix.bridge import directory_pb2 as pb
from apps.simulators.directory import cids, entries, listing
from apps.simulators.directory.refusals import Refused, not_found
from apps.simulators.directory.store import Store, timestamp

_VERIFIER = re.compile(r"[0-9a-f]{64}")
_EVENTS_USUAL, _EVENTS_MOST = 100, 200
CHUNK = 1024 * 1024
#: CIDs that are written in one go.
_BATCH = 20_000


def verify(store: Store, request: pb.VerifyRequest) -> pb.Verification:
    """Whether both sides have the same."""
    _key_type(request.key_type)
    if not _VERIFIER.fullmatch(request.verifier):
        raise Refused("BadRequest", "64 digits.", field="verifier", value=request.verifier)
    value, _entries = store.verifier(request.participant, request.key_type)
    return pb.Verification(
        id=str(uuid4()),
        result="OK" if value.hex() == request.verifier else "NOK",
        verified_at=timestamp(store.now()),
    )


def events(store: Store, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
    """What came and went in the window."""
    _key_type(request.key_type)
    since, until = listing.window(store, request.since, request.until)
    limit = listing.limit_of(request.limit, _EVENTS_USUAL, _EVENTS_MOST)
    rows = store.db.execute(
        "SELECT type, cid, at, verifier FROM events WHERE participant = ? AND key_type = ? "
        "AND at BETWEEN ? AND ? ORDER BY at LIMIT ?",
        (request.participant, request.key_type, since, until, limit + 1),
    ).fetchall()
    answer = pb.ListEventsResponse(has_more=len(rows) > limit)
    rows = rows[:limit]
    for row in rows:
        answer.events.add(type=row["type"], cid=row["cid"].hex(), at=timestamp(row["at"]))
    if rows:
        answer.verifier_start = rows[0]["verifier"].hex()
        answer.verifier_end = rows[-1]["verifier"].hex()
    return answer


def create_file(store: Store, request: pb.CreateFileRequest) -> pb.CidFile:
    """Write all CIDs of now into a file. It is there when it is asked for."""
    _key_type(request.key_type)
    id = str(uuid4())
    digest, size = sha256(), 0
    rows = store.db.execute(
        "SELECT cid FROM entries WHERE participant = ? AND key_type = ?",
        (request.participant, request.key_type),
    )
    with (store.files / id).open("wb") as file:
        while batch := rows.fetchmany(_BATCH):
            data = "".join(f"{row['cid'].hex()}\n" for row in batch).encode()
            digest.update(data)
            size += file.write(data)
    store.db.execute(
        "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)",
        (
            *(id, request.participant, request.key_type, store.now()),
            *(size, digest.hexdigest()),
        ),
    )
    file_message = _file(store, id, request.participant)
    return pb.CidFile(
        id=id,
        key_type=request.key_type,
        status="REQUESTED",
        requested_at=file_message.requested_at,
    )


def get_file(store: Store, request: pb.GetFileRequest) -> pb.CidFile:
    """What has become of a file."""
    return _file(store, request.id, request.participant)


def download(store: Store, request: pb.DownloadFileRequest) -> Iterator[pb.Chunk]:
    """The bytes from the offset on."""
    with store.transaction():
        file = _file(store, request.id, request.participant)
    if not 0 <= request.offset <= file.bytes:
        raise Refused("BadRequest", "Beyond the file.", field="offset", value=str(request.offset))
    offset = request.offset
    with (store.files / file.id).open("rb") as bytes_of:
        bytes_of.seek(offset)
        while data := bytes_of.read(CHUNK):
            yield pb.Chunk(offset=offset, data=data)
            offset += len(data)


def entry_by_cid(store: Store, request: pb.GetEntryByCidRequest) -> pb.CidEntry:
    """The participant's own entry of that CID."""
    cid = request.cid if _VERIFIER.fullmatch(request.cid) else ""
    row = store.db.execute(
        "SELECT * FROM entries WHERE cid = ? AND participant = ?",
        (bytes.fromhex(cid), request.participant),
    ).fetchone()
    if row is None:
        raise not_found("CID")
    return pb.CidEntry(cid=cid, request_id=row["request_id"], entry=entries.message(store, row))


def _file(store: Store, id: str, participant: str) -> pb.CidFile:
    row = store.db.execute(
        "SELECT * FROM files WHERE id = ? AND participant = ?", (id, participant)
    ).fetchone()
    if row is None:
        raise not_found("file")
    return pb.CidFile(
        id=row["id"],
        key_type=row["key_type"],
        status="AVAILABLE",
        requested_at=timestamp(row["made_at"]),
        made_at=timestamp(row["made_at"]),
        bytes=row["bytes"],
        sha256=row["sha256"],
    )


def _key_type(key_type: str) -> None:
    if key_type not in cids.KEY_TYPES:
        raise Refused("BadRequest", "There is no such type.", field="key_type", value=key_type)
