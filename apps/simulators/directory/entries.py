"""Entries: the directory's rules of section 1 (keys, accounts, owners, limits, reasons)."""

import re
import sqlite3
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from apps.pix.bridge import directory_pb2 as pb
from apps.simulators.directory import cids
from apps.simulators.directory.refusals import Refused, forbidden, not_found
from apps.simulators.directory.store import Store, microseconds, timestamp

#: What a key of each type looks like. Nobody checks check digits here.
_KEYS = {
    "CPF": re.compile(r"[0-9]{11}"),
    "CNPJ": re.compile(r"[A-Za-z0-9]{14}"),
    "PHONE": re.compile(r"\+[1-9][0-9]{1,14}"),
    "EMAIL": re.compile(
        r"[a-z0-9.!#$'*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
        r"(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
    ),
    "EVP": re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
}
_LONGEST_EMAIL = 77
#: A UUID of version 4.
_REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_ISPB = re.compile(r"[A-Za-z0-9]{8}")
_BRANCH = re.compile(r"(?:[0-9]{1,4})?")
_NUMBER = re.compile(r"[A-Za-z0-9]{1,20}")
ACCOUNT_TYPES = ("CACC", "TRAN", "SLRY", "SVGS", "OTHR")
_TAX_IDS = {"NATURAL_PERSON": _KEYS["CPF"], "LEGAL_PERSON": _KEYS["CNPJ"]}
#: Keys of one account, by the type of their owner.
LIMITS = {"NATURAL_PERSON": 5, "LEGAL_PERSON": 20}
REASONS = {
    "create": ("USER_REQUESTED", "RECONCILIATION"),
    "update": ("USER_REQUESTED", "BRANCH_TRANSFER", "RECONCILIATION", "RFB_VALIDATION"),
    "delete": (
        *("USER_REQUESTED", "ACCOUNT_CLOSURE", "RECONCILIATION", "FRAUD", "RFB_VALIDATION"),
    ),
}
ACTIVE = "status IN ('OPEN', 'WAITING_RESOLUTION', 'CONFIRMED')"


# --- operations ----------------------------------------------------------------------------------
def create(store: Store, request: pb.CreateEntryRequest) -> pb.Entry:
    """Register a key, once for a request id."""
    request_id = check_request_id(request.request_id)
    _reason("create", request.reason)
    key = request.key
    if request.key_type == "EVP":
        if key:
            raise _invalid("The directory makes these keys.", "key", key)
        repeated = store.db.execute(
            "SELECT key FROM requests WHERE participant = ? AND request_id = ?",
            (request.participant, request_id),
        ).fetchone()
        key = repeated["key"] if repeated else str(uuid4())
    _check(request.key_type, key, request.account, request.owner)
    if request.account.participant != request.participant:
        raise forbidden("The account is another participant's.")
    wanted = _row(request.key_type, key, request.account, request.owner, request_id)
    if (before := repeat(store, request.participant, request_id, wanted["cid"])) is not None:
        return pb.Entry.FromString(before)
    _no_conflict(store, wanted)
    _room(store, wanted)
    now = store.stamp()
    entry = added(store, wanted, created_at=now, owned_since=now)
    remember(store, request.participant, request_id, wanted, entry)
    return entry


def get(store: Store, request: pb.GetEntryRequest) -> pb.Entry:
    """Anybody may look a key up."""
    return message(store, must(store, request.key))


def update(store: Store, request: pb.UpdateEntryRequest) -> pb.Entry:
    """Change account, name and trade name; a participant in it is passed over."""
    row = _mine(store, request.key, request.participant)
    _reason("update", request.reason)
    if row["key_type"] == "EVP" and request.reason == "USER_REQUESTED":
        raise Refused("InvalidReason", "Not for a random key.", field="reason")
    account = pb.Account()
    account.CopyFrom(request.account)
    account.participant = row["participant"]
    owner = pb.Owner(
        type=row["owner_type"],
        tax_id=row["tax_id"],
        name=request.name,
        trade_name=request.trade_name,
    )
    _check(row["key_type"], row["key"], account, owner)
    wanted = _row(row["key_type"], row["key"], account, owner, row["request_id"])
    claim = _active_claim(store, row["lookup"])
    renamed = (row["name"], row["trade_name"]) != (wanted["name"], wanted["trade_name"])
    if claim and (renamed or claim["status"] == "CONFIRMED"):
        raise Refused("EntryLockedByClaim", "Only its account may change now.")
    if wanted["cid"] == row["cid"] and wanted["opened_at"] == row["opened_at"]:
        return message(store, row)
    if _place(wanted) != _place(row):
        _room(store, wanted)
    removed(store, row)
    return added(store, wanted, created_at=row["created_at"], owned_since=row["owned_since"])


def delete(store: Store, request: pb.DeleteEntryRequest) -> pb.DeleteEntryResponse:
    """Remove a key that nobody claims."""
    row = _mine(store, request.key, request.participant)
    _reason("delete", request.reason)
    if _active_claim(store, row["lookup"]):
        raise Refused("EntryLockedByClaim", "Somebody claims it.")
    removed(store, row)
    return pb.DeleteEntryResponse(key=row["key"])


# --- what others need ----------------------------------------------------------------------------
def lookup(key: str) -> str:
    """A key as it is found: the letters of a CNPJ count in either case."""
    return key.upper() if _KEYS["CNPJ"].fullmatch(key) else key


def find(store: Store, key: str) -> sqlite3.Row | None:
    """The row of a key."""
    row: sqlite3.Row | None = store.db.execute(
        "SELECT * FROM entries WHERE lookup = ?", (lookup(key),)
    ).fetchone()
    return row


def must(store: Store, key: str) -> sqlite3.Row:
    """The row of a key that is there."""
    if (row := find(store, key)) is None:
        raise not_found("key")
    return row


def row_of(entry: pb.Entry, request_id: str) -> dict[str, Any]:
    """The columns of an entry, with its CID."""
    return _row(entry.key_type, entry.key, entry.account, entry.owner, request_id)


def added(
    store: Store,
    wanted: dict[str, Any],
    *,
    created_at: int,
    owned_since: int,
    silently: bool = False,
) -> pb.Entry:
    """Write the row, the event and the verifier; `silently`: no event."""
    insert(store.db, [{**wanted, "created_at": created_at, "owned_since": owned_since}])
    where = (wanted["participant"], wanted["key_type"], wanted["cid"])
    if silently:
        store.moved(*where, count=1)
    else:
        store.logged("ADDED", *where)
    return message(store, must(store, wanted["key"]))


def insert(db: sqlite3.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows alone."""
    db.executemany(
        "INSERT INTO entries (lookup, key_type, key, participant, branch, number, account_type, "
        "opened_at, owner_type, tax_id, name, trade_name, created_at, owned_since, request_id, cid)"
        " VALUES (:lookup, :key_type, :key, :participant, :branch, :number, :account_type, "
        ":opened_at, :owner_type, :tax_id, :name, :trade_name, :created_at, :owned_since, "
        ":request_id, :cid)",
        rows,
    )


def removed(store: Store, row: sqlite3.Row, *, silently: bool = False) -> None:
    """Take the row away, with event and verifier; `silently`: no event."""
    store.db.execute("DELETE FROM entries WHERE id = ?", (row["id"],))
    where = (row["participant"], row["key_type"], row["cid"])
    if silently:
        store.moved(*where, count=-1)
    else:
        store.logged("REMOVED", *where)


def repeat(store: Store, participant: str, request_id: str, cid: bytes) -> bytes | None:
    """The answer that this request id had; None when it is new."""
    before = store.db.execute(
        "SELECT cid, answer FROM requests WHERE participant = ? AND request_id = ?",
        (participant, request_id),
    ).fetchone()
    if before is None:
        return None
    if before["cid"] != cid:
        raise Refused("RequestIdAlreadyUsed", "It belongs to another entry.", field="request_id")
    answer: bytes = before["answer"]
    return answer


def remember(
    store: Store, participant: str, request_id: str, wanted: dict[str, Any], answer: Any
) -> None:
    """Keep the answer of a request id."""
    store.db.execute(
        "INSERT INTO requests VALUES (?, ?, ?, ?, ?)",
        (participant, request_id, wanted["cid"], wanted["key"], answer.SerializeToString()),
    )


def message(store: Store, row: sqlite3.Row) -> pb.Entry:
    """An entry as it goes over the wire."""
    claim = _active_claim(store, row["lookup"])
    entry = plain_message(row)
    if claim:
        entry.claimed_at.CopyFrom(timestamp(claim["created_at"]))
    return entry


def plain_message(row: sqlite3.Row) -> pb.Entry:
    """The same, without what is known of claims."""
    return pb.Entry(
        key_type=row["key_type"],
        key=row["key"],
        account=pb.Account(
            participant=row["participant"],
            branch=row["branch"],
            number=row["number"],
            type=row["account_type"],
            opened_at=None if row["opened_at"] is None else timestamp(row["opened_at"]),
        ),
        owner=pb.Owner(
            type=row["owner_type"],
            tax_id=row["tax_id"],
            name=row["name"],
            trade_name=row["trade_name"],
        ),
        created_at=timestamp(row["created_at"]),
        owned_since=timestamp(row["owned_since"]),
    )


def check_account(account: pb.Account, problem: str) -> None:
    """Raise Refused with that type of problem for what is no account."""
    for field, value, good in (
        ("account.participant", account.participant, _ISPB.fullmatch(account.participant)),
        ("account.branch", account.branch, _BRANCH.fullmatch(account.branch)),
        ("account.number", account.number, _NUMBER.fullmatch(account.number)),
        ("account.type", account.type, account.type in ACCOUNT_TYPES),
    ):
        if not good:
            raise Refused(problem, "Not as the directory writes it.", field=field, value=value)


def check_owner(owner: pb.Owner, problem: str) -> None:
    """Raise Refused with that type of problem for who can own no key."""
    tax_id = _TAX_IDS.get(owner.type)
    for field, value, good in (
        ("owner.type", owner.type, tax_id is not None),
        ("owner.tax_id", owner.tax_id, tax_id and tax_id.fullmatch(owner.tax_id)),
        ("owner.name", owner.name, 0 < len(owner.name) <= 150),
        ("owner.trade_name", owner.trade_name, len(owner.trade_name) <= 100),
        ("owner.trade_name", owner.trade_name, not owner.trade_name or "LEGAL" in owner.type),
    ):
        if not good:
            raise Refused(problem, "Not as the directory writes it.", field=field, value=value)


def check_key(key_type: str, key: str, problem: str) -> None:
    """Raise Refused with that type of problem for what is no key of the type."""
    pattern = _KEYS.get(key_type)
    if pattern is None:
        raise Refused(problem, "There is no such type.", field="key_type", value=key_type)
    if not pattern.fullmatch(key) or (key_type == "EMAIL" and len(key) > _LONGEST_EMAIL):
        raise Refused(problem, "Not a key of this type.", field="key", value=key)


# --- rules ---------------------------------------------------------------------------------------
def _check(key_type: str, key: str, account: pb.Account, owner: pb.Owner) -> None:
    check_key(key_type, key, "EntryInvalid")
    check_account(account, "EntryInvalid")
    check_owner(owner, "EntryInvalid")
    if key_type in ("CPF", "CNPJ") and lookup(key) != lookup(owner.tax_id):
        raise _invalid("Not the owner's.", "key", key)


def _no_conflict(store: Store, wanted: dict[str, Any]) -> None:
    row = find(store, wanted["key"])
    if row is not None:
        if lookup(row["tax_id"]) != lookup(wanted["tax_id"]):
            raise Refused("EntryKeyOwnedByDifferentPerson", "Claim its ownership.")
        if row["participant"] != wanted["participant"]:
            raise Refused("EntryKeyInCustodyOfDifferentParticipant", "Claim its portability.")
        raise Refused("EntryAlreadyExists", "The key is registered.")
    if _active_claim(store, wanted["lookup"]):
        raise Refused("EntryLockedByClaim", "Somebody claims it.")


def _room(store: Store, wanted: dict[str, Any]) -> None:
    count = store.db.execute(
        "SELECT COUNT(*) FROM entries WHERE number = ? COLLATE NOCASE AND participant = ? "
        "AND branch = ? AND account_type = ?",
        (wanted["number"], wanted["participant"], wanted["branch"], wanted["account_type"]),
    ).fetchone()[0]
    if count >= LIMITS[wanted["owner_type"]]:
        raise Refused("EntryLimitExceeded", f"The account has {count} keys.")


def _mine(store: Store, key: str, participant: str) -> sqlite3.Row:
    row = must(store, key)
    if row["participant"] != participant:
        raise forbidden("The key is another participant's.")
    return row


def _active_claim(store: Store, looked_up: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = store.db.execute(
        f"SELECT status, created_at FROM claims WHERE lookup = ? AND {ACTIVE}",  # noqa: S608
        (looked_up,),
    ).fetchone()
    return row


def _reason(operation: str, reason: str) -> None:
    if reason not in REASONS[operation]:
        raise Refused("InvalidReason", "Not for this.", field="reason", value=reason)


def check_request_id(value: str) -> str:
    """The id in lower case. Raises Refused for what is no UUID of version 4."""
    folded = value.lower()
    if not _REQUEST_ID.fullmatch(folded):
        raise Refused("BadRequest", "Not a UUID of version 4.", field="request_id", value=value)
    return folded


def _invalid(detail: str, field: str, value: str) -> Refused:
    return Refused("EntryInvalid", detail, field=field, value=value)


def _place(row: Any) -> tuple[str, ...]:
    return (row["branch"], row["number"].upper(), row["account_type"])


def _row(
    key_type: str, key: str, account: pb.Account, owner: pb.Owner, request_id: str
) -> dict[str, Any]:
    cid = cids.cid_of(
        cids.request_bytes(request_id),
        key_type=key_type,
        key=key,
        tax_id=owner.tax_id,
        name=owner.name,
        trade_name=owner.trade_name,
        participant=account.participant,
        branch=account.branch,
        number=account.number,
        account_type=account.type,
    )
    return {
        "lookup": lookup(key),
        "key_type": key_type,
        "key": key,
        "participant": account.participant,
        "branch": account.branch,
        "number": account.number,
        "account_type": account.type,
        "opened_at": microseconds(account.opened_at) if account.HasField("opened_at") else None,
        "owner_type": owner.type,
        "tax_id": owner.tax_id,
        "name": owner.name,
        "trade_name": owner.trade_name,
        "request_id": request_id,
        "cid": cid,
    }
