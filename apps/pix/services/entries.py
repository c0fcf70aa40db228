"""Keys that people and programs of the site ask for: created, updated, deleted. Each makes the row
of a change, which its workflow carries to the directory."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.audit.contracts import ENGINE, Actor
from apps.common.canonical_json import digest
from apps.common.errors import Conflict, NotAllowed
from apps.common.failpoints import failpoint
from apps.common.idempotency import asked_before
from apps.common.identifiers import new_id
from apps.common.language import lazy as _
from apps.common.validation import clean_reason
from apps.engine import process
from apps.pix.contracts import ChangeKind, ChangeStatus, EntryStatus, KeyType, Origin
from apps.pix.contracts.entries import (
    USER_REQUESTED,
    AccountGiven,
    CreateEntryRequest,
    OwnerGiven,
)
from apps.pix.models import Entry, EntryChange
from apps.pix.services import possession
from apps.pix.services.entry_checks import (
    ACCOUNT,
    account_while_claimed,
    changed_values,
    check_free,
    check_ours,
    check_room,
    check_unclaimed,
    cleaned,
    cleaned_reason,
    locked_by_claim,
    open_claims,
)
from apps.pix.services.entry_rows import (
    ENTRY_ROW,
    PROCESS,
    account_lock,
    change_record,
    entry_lock,
    entry_named,
    key_lock,
    shown,
)

CHANGE = "pix.change_keys"
#: Types of keys that somebody else may have: their owner proves to have them.
PROVED = (KeyType.PHONE, KeyType.EMAIL)


class _Known(Exception):
    """The change that the same request made meanwhile."""

    def __init__(self, change: EntryChange) -> None:
        super().__init__()
        self.change = change


# --- verbs ----------------------------------------------------------------------------------------
def entry_create(
    *,
    key_type: str,
    key: str | None = None,
    account: AccountGiven,
    owner: OwnerGiven,
    by: User,
    via: str,
    reason: str = USER_REQUESTED,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[EntryChange, bool]:
    """Ask for a new key; return the change that makes it, and whether it is new.

    Entry, change, audit entry, and the start of the workflow commit together; the key is taken
    here from then on. A phone or mailbox is sent a code, which `possession_prove` takes; an EVP
    gets its key from the directory. The same idempotency key by the same person returns the same
    change, also of concurrent calls.

    Raises, each audited: NotAllowed `permission_denied`; Invalid `key_invalid`, `reason_invalid`,
    `possession_unavailable` and what `cleaned` raises; Conflict `participant_not_ours`,
    `entry_limit_exceeded` (extra limit), `entry_already_exists`, `entry_locked_by_claim`,
    `entry_owned_by_different_person`, `entry_in_custody_of_different_participant` (both with
    suggested_claim), `idempotency_key_reused`; TooMany.
    """
    with process.audited(PROCESS, ChangeKind.CREATE, by=by, via=via):
        _check_may(by)
        columns = cleaned(
            CreateEntryRequest(key_type=key_type, key=key, account=account, owner=owner)
        )
        word = cleaned_reason(ChangeKind.CREATE, reason)
        proved = columns["key_type"] in PROVED

        def own() -> dict[str, Any]:
            entry = entry_insert(
                columns,
                status=EntryStatus.POSSESSION if proved else EntryStatus.PENDING,
                origin=Origin.HERE,
                as_of=as_of,
                known=known,
            )
            return {
                "entry": entry,
                "kind": ChangeKind.CREATE,
                "reason": word,
                "request_id": entry.request_id,
                "status": ChangeStatus.WAITING if proved else ChangeStatus.RUNNING,
            }

        def made(change: EntryChange) -> None:
            if proved:
                possession.code_send(change, by=by, as_of=as_of)

        request = digest({**columns, "reason": word})
        known = _once_more(by, idempotency_key, request)
        ask = partial(
            _ask, own, made, by=by, via=via, key=idempotency_key, digest=request, as_of=as_of
        )
        if not proved:
            return ask()
        with possession.code_counted(columns["key_type"], columns["key"]) as sent:
            change, new = ask()
            sent += [True] if new else []
            return change, new


def entry_update(
    *,
    entry_id: object,
    account: AccountGiven | None = None,
    owner: OwnerGiven | None = None,
    by: User,
    via: str,
    reason: str = USER_REQUESTED,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[EntryChange, bool]:
    """Ask for other account data, or another name or trade name, of a key; return the change, and
    whether it is new. What is left out, or stays the same, is not changed.

    Raises, each audited: NotAllowed `permission_denied`; NotFound; Invalid `participant_fixed`
    (extra suggested_claim), `owner_fixed`, `entry_unchanged`, `reason_invalid` (of an EVP also
    USER_REQUESTED), and what the fields raise; Conflict `entry_not_active` (extra status),
    `entry_change_running`, `entry_locked_by_claim`, `entry_limit_exceeded`,
    `idempotency_key_reused`.
    """
    with process.audited(PROCESS, ChangeKind.UPDATE, by=by, via=via):
        _check_may(by)
        entry = entry_named(entry_id)
        word = cleaned_reason(ChangeKind.UPDATE, reason, key_type=entry.key_type)
        given = {"entry": str(entry.pk), "account": account, "owner": owner, "reason": word}
        request = digest({name: _plain(value) for name, value in given.items()})

        def own() -> dict[str, Any]:
            return {
                **update_columns(entry, account, owner),
                "reason": word,
                "status": ChangeStatus.RUNNING,
            }

        return _ask(own, by=by, via=via, key=idempotency_key, digest=request, as_of=as_of)


def entry_delete(
    *,
    entry_id: object,
    by: User,
    via: str,
    reason: str = USER_REQUESTED,
    note: str = "",
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[EntryChange, bool]:
    """Ask for the removal of a key; return the change, and whether it is new. `note`: why, in
    words for the trail. A key that waits for its code is given up at once.

    Raises, each audited: NotAllowed `permission_denied`; NotFound; Invalid `reason_invalid`;
    Conflict `entry_not_active` (extra status), `entry_change_running`, `entry_locked_by_claim`,
    `idempotency_key_reused`.
    """
    with process.audited(PROCESS, ChangeKind.DELETE, by=by, via=via):
        _check_may(by)
        entry = entry_named(entry_id)
        word = cleaned_reason(ChangeKind.DELETE, reason)
        note = clean_reason(note)
        if entry.status == EntryStatus.POSSESSION:
            return possession.give_up(entry, by=by, via=via, note=note, as_of=as_of), True
        request = digest({"entry": str(entry.pk), "reason": word})

        def own() -> dict[str, Any]:
            return {**delete_columns(entry), "reason": word, "status": ChangeStatus.RUNNING}

        return _ask(
            own, by=by, via=via, key=idempotency_key, digest=request, as_of=as_of, note=note
        )


# --- rows, under their locks: for people and for workflows that others start ----------------------
def entry_insert(
    columns: dict[str, Any],
    *,
    status: EntryStatus,
    origin: Origin,
    as_of: datetime,
    entry_id: str = "",
    known: Callable[[], object] = lambda: None,
) -> Entry:
    """Insert an entry if key and account allow it. `known()` raises if the same request was
    answered before the locks were had. Joins the caller's transaction. Raises as `entry_create`.
    """
    if columns["key"]:
        key_lock(columns["key_type"], columns["key"])
    account_lock(columns)
    known()
    check_ours(columns["participant"])
    check_free(columns)
    check_room(columns)
    pk = new_id()
    entry = Entry(
        **columns,
        id=pk,
        entry_id=entry_id or str(pk),
        request_id=uuid4(),  # the directory wants random ones
        status=status,
        origin=origin,
        created_at=as_of,
        updated_at=as_of,
    )
    try:
        with transaction.atomic():
            entry.save(force_insert=True)
    except IntegrityError:
        # What is not asked for under these locks: a claim's end, or the sync's repair.
        check_free(columns)
        raise Conflict(_("An entry has this id already."), code="entry_already_exists") from None
    process.tell(ENTRY_ROW, entry, "status")
    return entry


def update_columns(
    entry: Entry, account: AccountGiven | None, owner: OwnerGiven | None
) -> dict[str, Any]:
    """Return the columns of an update's change; locks key, account and entry. Joins the caller's
    transaction. Raises as `entry_update`."""
    if entry.key:
        key_lock(entry.key_type, entry.key)
    values = changed_values(entry, account, owner)
    after = {name: values.get(name, getattr(entry, name)) for name in ACCOUNT}
    after |= {"participant": entry.participant, "owner_type": entry.owner_type}
    account_lock(after)
    entry = _active(entry)
    values = changed_values(entry, account, owner)
    claims = list(open_claims(entry.key_type, entry.key, entry_id=entry.entry_id))
    if claims and not account_while_claimed(claims, values):
        raise locked_by_claim()
    if values.keys() & set(ACCOUNT) and entry.owner_type:
        check_room(after, leaving_out=entry.pk)
    return {"entry": entry, "kind": ChangeKind.UPDATE, "values": values}


def delete_columns(entry: Entry) -> dict[str, Any]:
    """Return the columns of a deletion's change; locks key and entry. Joins the caller's
    transaction. Raises as `entry_delete`."""
    if entry.key:
        key_lock(entry.key_type, entry.key)
    entry = _active(entry)
    check_unclaimed(entry.key_type, entry.key, entry_id=entry.entry_id)
    return {"entry": entry, "kind": ChangeKind.DELETE}


def requested(
    change: EntryChange, *, by: Actor = ENGINE, via: str = "engine", note: str = ""
) -> None:
    """Write into the trail what is asked for, with the key masked."""
    entry = change.entry
    said = {"entry": str(entry.pk), "key_type": entry.key_type, "key": shown(entry)}
    said |= {"participant": entry.participant, "reason": change.reason}
    said |= {"note": note} if note else {}
    if change.values:
        said["changed"] = ", ".join(sorted(change.values))
    change_record(change, f"entry_change.{change.kind}_requested", by=by, via=via, **said)


# --- helpers --------------------------------------------------------------------------------------
def _check_may(by: User) -> None:
    if not by.has_perm(CHANGE):
        raise NotAllowed(_("You may not create, update or delete keys."), code="permission_denied")


def _once_more(by: User, key: str, request: str) -> Callable[[], None]:
    """Two of the same request at once: the second waits for the locks of the first, and would then
    find its own key taken."""

    def known() -> None:
        rows = EntryChange.objects.select_related("entry")
        if change := asked_before(rows, by=by, key=key, digest=request):
            raise _Known(change)

    return known


def _ask(
    own: Callable[[], dict[str, Any]],
    made: Callable[[EntryChange], None] = lambda change: None,
    *,
    by: User,
    via: str,
    key: str,
    digest: str,
    as_of: datetime,
    note: str = "",
) -> tuple[EntryChange, bool]:
    def whole(change: EntryChange) -> None:
        requested(change, by=by, via=via, note=note)
        made(change)
        failpoint("entry_change.uncommitted")

    try:
        return process.ask_once(
            PROCESS,
            lambda: {"origin": Origin.HERE, **own()},
            made=whole,
            by=by,
            key=key,
            digest=digest,
            related=("entry", "requested_by"),
            as_of=as_of,
        )
    except _Known as known:
        return known.change, False


def _active(entry: Entry) -> Entry:
    """Lock the entry; return it as it is now, if it can be changed."""
    entry = entry_lock(entry.pk)
    if entry.status != EntryStatus.ACTIVE:
        raise Conflict(
            _("The key is not active: nothing can be changed."),
            code="entry_not_active",
            status=entry.status,
        )
    if EntryChange.objects.unsettled().filter(entry=entry).exists():
        raise Conflict(
            _("Another change of this key is under way. Wait until it has ended."),
            code="entry_change_running",
        )
    return entry


def _plain(value: object) -> Any:
    return vars(value) if hasattr(value, "__dict__") else value
