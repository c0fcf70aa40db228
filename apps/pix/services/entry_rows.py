"""What the services of entries share: the rows' descriptions, their locks, and what a workflow
knows of a change."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists

from apps.approvals.selectors import requests_about, requests_by_row
from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.common.locks import transaction_lock
from apps.engine import process, steps
from apps.engine.process import Carrier, Process, SubjectRow
from apps.pix.contracts import (
    CREATE_WORKFLOW,
    DELETE_WORKFLOW,
    ENTRY,
    ENTRY_CHANGE,
    TASK_QUEUE,
    UPDATE_WORKFLOW,
    ChangeKind,
)
from apps.pix.contracts.entries import (
    ATTENTION_KIND,
    DAY,
    CallState,
    ChangeFacts,
    CreateEntryRequest,
    DeleteEntryRequest,
    UpdateEntryRequest,
)
from apps.pix.keys import masked_key
from apps.pix.models import DirectoryCall, Entry, EntryChange, PossessionCode
from apps.pix.services.lookups import copy_end
from apps.pix.services.shared import queue_timings

if TYPE_CHECKING:
    from django.db.models import QuerySet

#: Columns of an entry that the directory has, too.
HELD = (
    *("key", "participant", "branch", "account_number", "account_type", "account_opened_at"),
    *("owner_type", "tax_id", "name", "trade_name"),
)


def _open_rows() -> "QuerySet[EntryChange]":
    """Return changes under way that no person is asked about."""
    questions = requests_by_row(ENTRY_CHANGE, kind=ATTENTION_KIND).filter(settled_at=None)
    return EntryChange.objects.unsettled().filter(~Exists(questions))


# The row has everything: a key in the input would be read in the engine.
CARRIERS: dict[str, Carrier[EntryChange]] = {
    ChangeKind.CREATE: Carrier(
        CREATE_WORKFLOW,
        lambda change, again: CreateEntryRequest(timings=queue_timings(deadline=DAY)),
        process.SAGA_BACKSTOP,
    ),
    ChangeKind.UPDATE: Carrier(
        UPDATE_WORKFLOW,
        lambda change, again: UpdateEntryRequest(timings=queue_timings(deadline=DAY)),
        process.SAGA_BACKSTOP,
    ),
    ChangeKind.DELETE: Carrier(
        DELETE_WORKFLOW,
        lambda change, again: DeleteEntryRequest(timings=queue_timings(deadline=DAY)),
        process.SAGA_BACKSTOP,
    ),
}

PROCESS = Process(
    subject=ENTRY_CHANGE,
    title=_("Change of a key"),
    noun="entry_change",
    missing=_("There is no such change of a key."),
    opens=_("Open the key"),
    model=EntryChange,
    queue=TASK_QUEUE,
    url_name="entry_change",
    carriers=tuple(CARRIERS.values()),
    needs=lambda change: None if change.has_ended else CARRIERS[change.kind],
    open_rows=_open_rows,
    list_topics=("entries",),
    shared_topics=("home",),
)

ENTRY_ROW = SubjectRow(
    subject=ENTRY,
    title=_("Key"),
    noun="entry",
    missing=_("There is no such key."),
    opens=_("Open the key"),
    model=Entry,
    url_name="entry",
    list_topics=("entries",),
)

StepStatus = steps.Status
change_lock = partial(process.locked, PROCESS)
change_record = partial(process.record, PROCESS)


def key_lock(key_type: str, key: str) -> None:
    """Lock a key until the transaction ends, whether or not there is a row: who creates, deletes
    or claims it comes first here, then to an account's lock, then to rows."""
    transaction_lock(f"pix.key:{key_type}:{key}")


def account_lock(columns: dict[str, Any]) -> None:
    """Lock an account, of which the keys are counted, until the transaction ends."""
    named = (columns[name] for name in ("participant", "branch", "account_number", "account_type"))
    transaction_lock(f"pix.account:{':'.join(named)}")


def entry_named(identifier: object) -> Entry:
    """Return the entry of our id, or the one that others know by this id now. Raises NotFound."""
    # No row has an id with other characters, and PostgreSQL refuses some.
    known = str(identifier)
    found = Entry.objects.named(known).first() if known and known.isprintable() else None
    if found is None:
        raise unknown()
    return found


def entry_lock(pk: UUID | str) -> Entry:
    """Lock and return the entry. Raises NotFound."""
    return process.locked(ENTRY_ROW, pk)


def unknown() -> NotFound:
    """Return the error for an entry that does not exist, or is not visible."""
    return NotFound(_("There is no such key."))


def entry_save(entry: Entry, *fields: str, as_of: datetime) -> None:
    """Write the fields of the locked entry and a new version, and end its copy in the cache after
    the commit. Joins the caller's transaction."""
    entry.updated_at = max(as_of, entry.updated_at)
    process.save(ENTRY_ROW, entry, "updated_at", *fields)
    copy_end_later(entry.key_type, entry.key)


def copy_end_later(key_type: str, key: str) -> None:
    """End the cached copy of a key at the commit."""
    if key:
        transaction.on_commit(partial(copy_end, key_type, key), robust=True)


def shown(entry: Entry) -> str:
    """Return the key as lists, logs and the trail show it."""
    return masked_key(entry.key_type, entry.key)


def call_of(change: EntryChange) -> DirectoryCall | None:
    """Return the change's call to the directory, once it was noted."""
    return DirectoryCall.objects.filter(key=change.call_key).first()


def call_state(change: EntryChange) -> CallState:
    """Return what is known of the change's call. One that was refused was never made."""
    call = call_of(change)
    if call is None or (call.known_at is None and call.sent_at is None):
        return CallState.NEVER
    return CallState.DONE if call.known_at is not None else CallState.SENT


def facts_of(change: EntryChange) -> ChangeFacts:
    """Return what the workflow needs to know of the row."""
    newest = requests_about(ENTRY_CHANGE, change.pk, kind=ATTENTION_KIND).first()
    code = None
    if not change.has_ended:
        code = PossessionCode.objects.filter(change=change, proved_at=None).first()
    return ChangeFacts(
        change_id=str(change.pk),
        entry_id=change.entry.entry_id,
        status=change.status,
        entry_status=change.entry.status,
        code_until=code.expires_at if code else None,
        call=call_state(change),
        attention=newest.status if newest else "",
        code=change.error_code,
        detail=change.error_detail,
    )


def facts_read(change_id: UUID | str) -> ChangeFacts:
    """Return what is known of the change now. Raises NotFound."""
    rows = EntryChange.objects.select_related("entry")
    change = rows.filter(pk=process.id_of(PROCESS, change_id)).first()
    if change is None:
        raise process.unknown(PROCESS)
    return facts_of(change)
