"""Where the simulated directory keeps what it knows: one SQLite file, which survives a kill.

All writes take one lock and one transaction. Times are whole microseconds; the clock can be put
forward.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from apps.simulators.directory import cids

SECOND = 1_000_000
DAY = 86_400 * SECOND
#: What a participant that is not ours does: `agrees` and `refuses` answer at once.
BEHAVIOURS = ("ours", "agrees", "refuses", "silent")
PARTICIPANTS = (
    ("12345678", "Banco Countersign", "ours"),
    ("87654321", "Banco Segundo", "ours"),
    ("11111111", "Banco Concorde", "agrees"),
    ("22222222", "Banco Recusa", "refuses"),
    ("33333333", "Banco Silente", "silent"),
)
#: Lists show a change so many seconds after it.
LAG_SECONDS = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS participants (
    ispb TEXT PRIMARY KEY, name TEXT NOT NULL, behaviour TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, lookup TEXT NOT NULL UNIQUE,
    key_type TEXT NOT NULL, key TEXT NOT NULL,
    participant TEXT NOT NULL, branch TEXT NOT NULL, number TEXT NOT NULL,
    account_type TEXT NOT NULL, opened_at INTEGER,
    owner_type TEXT NOT NULL, tax_id TEXT NOT NULL, name TEXT NOT NULL, trade_name TEXT NOT NULL,
    created_at INTEGER NOT NULL, owned_since INTEGER NOT NULL,
    request_id TEXT NOT NULL, cid BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS entries_cid ON entries (cid);
CREATE INDEX IF NOT EXISTS entries_number ON entries (number COLLATE NOCASE);
CREATE TABLE IF NOT EXISTS requests (
    participant TEXT, request_id TEXT, cid BLOB NOT NULL, key TEXT NOT NULL, answer BLOB NOT NULL,
    PRIMARY KEY (participant, request_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, participant TEXT NOT NULL, key_type TEXT NOT NULL, type TEXT NOT NULL,
    cid BLOB NOT NULL, at INTEGER NOT NULL, verifier BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS events_at ON events (participant, key_type, at);
CREATE TABLE IF NOT EXISTS verifiers (
    participant TEXT, key_type TEXT, value BLOB NOT NULL, entries INTEGER NOT NULL,
    PRIMARY KEY (participant, key_type)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (
    id TEXT PRIMARY KEY, lookup TEXT NOT NULL, donor TEXT NOT NULL, claimer TEXT NOT NULL,
    status TEXT NOT NULL, created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL,
    owned_since INTEGER, body BLOB NOT NULL) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS claims_open ON claims (lookup)
    WHERE status IN ('OPEN', 'WAITING_RESOLUTION', 'CONFIRMED');
CREATE INDEX IF NOT EXISTS claims_donor ON claims (donor, modified_at);
CREATE INDEX IF NOT EXISTS claims_claimer ON claims (claimer, modified_at);
CREATE TABLE IF NOT EXISTS infractions (
    id TEXT PRIMARY KEY, transaction_id TEXT NOT NULL, reason TEXT NOT NULL,
    reporter TEXT NOT NULL, counterparty TEXT NOT NULL, status TEXT NOT NULL,
    modified_at INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS infractions_transaction ON infractions (transaction_id);
CREATE INDEX IF NOT EXISTS infractions_reporter ON infractions (reporter, modified_at);
CREATE INDEX IF NOT EXISTS infractions_counterparty ON infractions (counterparty, modified_at);
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, participant TEXT NOT NULL, key_type TEXT NOT NULL,
    made_at INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS tasks_at ON tasks (at);
"""
_TABLES = (
    *("participants", "entries", "requests", "events", "verifiers", "claims"),
    *("infractions", "files", "tasks"),
)


class Store:
    """The file at `path`, and beside it a folder with the files of CIDs that were ordered."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.files = path.with_name(f"{path.stem}-files")
        self.files.mkdir(exist_ok=True)
        self._lock = threading.RLock()
        self._last = 0
        self.db = self._connect()
        self.db.executescript(_SCHEMA)
        with self.transaction():
            self._read()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is kept, or nothing; one caller at a time."""
        with self._lock:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own, which sees what was committed: for what takes long."""
        db = self._connect()
        try:
            yield db
        finally:
            db.close()

    def reset(self, *, lag_seconds: float = LAG_SECONDS) -> None:
        """Forget everything, also how far the clock was put forward."""
        with self.transaction() as db:
            for table in _TABLES:
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
            self._write("lag", lag_seconds)
            self._write("ahead", 0)
            self._last = 0
            self._read()
        for file in self.files.iterdir():
            file.unlink()

    # --- the clock ------------------------------------------------------------------------------
    def now(self) -> int:
        """Microseconds since 1970, by the clock of the simulator."""
        return time.time_ns() // 1000 + self.ahead

    def stamp(self) -> int:
        """The time of a change: no two have the same one."""
        self._last = max(self._last + 1, self.now())
        return self._last

    # --- within a transaction -------------------------------------------------------------------
    def advance(self, microseconds: int) -> None:
        """Put the clock forward."""
        self._write("ahead", self.ahead + microseconds)
        self._read()

    def behaviour(self, participant: str) -> str | None:
        """What the participant does; None: there is no such participant."""
        row = self.db.execute(
            "SELECT behaviour FROM participants WHERE ispb = ?", (participant,)
        ).fetchone()
        return row[0] if row else None

    def moved(self, participant: str, key_type: str, cid: bytes, *, count: int) -> bytes:
        """Move the verifier by a CID, or by the XOR of several; `count` more entries. The new
        one."""
        value, entries = self.verifier(participant, key_type)
        value = cids.xor(value, cid)
        self.db.execute(
            "REPLACE INTO verifiers VALUES (?, ?, ?, ?)",
            (participant, key_type, value, entries + count),
        )
        return value

    def verifier(self, participant: str, key_type: str) -> tuple[bytes, int]:
        """The verifier, and how many entries are in it."""
        row = self.db.execute(
            "SELECT value, entries FROM verifiers WHERE participant = ? AND key_type = ?",
            (participant, key_type),
        ).fetchone()
        return (row[0], row[1]) if row else (cids.EMPTY, 0)

    def logged(self, type: str, participant: str, key_type: str, cid: bytes) -> None:
        """A CID came or went: the verifier moves, and the event log says so."""
        value = self.moved(participant, key_type, cid, count=1 if type == "ADDED" else -1)
        self.db.execute(
            "INSERT INTO events (participant, key_type, type, cid, at, verifier) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (participant, key_type, type, cid, self.stamp(), value),
        )

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        db.row_factory = sqlite3.Row
        for pragma in (
            "journal_mode=WAL",
            # What was committed survives the end of the process, if not that of the machine.
            "synchronous=OFF",
            "wal_autocheckpoint=20000",
            "cache_size=-131072",
            "busy_timeout=30000",
        ):
            db.execute(f"PRAGMA {pragma}")
        return db

    def _read(self) -> None:
        self.db.executemany("INSERT OR IGNORE INTO participants VALUES (?, ?, ?)", PARTICIPANTS)
        kept = dict(self.db.execute("SELECT name, value FROM meta").fetchall())
        self.ahead = int(kept.get("ahead", 0))
        self.lag = int(float(kept.get("lag", LAG_SECONDS)) * SECOND)
        latest = self.db.execute("SELECT COALESCE(MAX(at), 0) FROM events").fetchone()[0]
        self._last = max(self._last, latest)

    def _write(self, name: str, value: float) -> None:
        self.db.execute("REPLACE INTO meta VALUES (?, ?)", (name, value))


def timestamp(microseconds: int) -> Timestamp:
    """As it goes over the wire."""
    return Timestamp(seconds=microseconds // SECOND, nanos=microseconds % SECOND * 1000)


def microseconds(time: Timestamp) -> int:
    """The other way round."""
    return time.seconds * SECOND + time.nanos // 1000
