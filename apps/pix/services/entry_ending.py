"""The end of a change: the entry is as the directory has it, or nothing came of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.dateparse import parse_datetime

from apps.approvals.subject import questions_close
from apps.audit.contracts import ENGINE, Actor
from apps.common.errors import Conflict
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.engine import process, steps
from apps.pix.contracts import ChangeKind, ChangeStatus, EntryStatus
from apps.pix.contracts.entries import ChangeFacts, Step
from apps.pix.models import Entry, EntryChange, PossessionCode
from apps.pix.services.entry_rows import (
    HELD,
    PROCESS,
    StepStatus,
    call_of,
    change_lock,
    change_record,
    entry_lock,
    entry_save,
    facts_of,
    shown,
)
from apps.pix.services.events import event_emit

EXPIRED = "possession_code_expired"
_TIMES = ("account_opened_at",)
_CREATED, _UPDATED, _DELETED = "entry.created", "entry.updated", "entry.deleted"
EVENTS = {
    ChangeKind.CREATE: _CREATED,
    ChangeKind.UPDATE: _UPDATED,
    ChangeKind.DELETE: _DELETED,
}


def change_apply(*, change_id: UUID | str, as_of: datetime) -> ChangeFacts:
    """Make our entry what the directory answered, and finish the change, once; return its state.

    An entry without a key is not in the directory: nothing was asked there. Entry, change, trail
    and event commit together. Raises, audited: NotFound; Conflict `directory_not_asked` (there is
    no answer yet), `entry_already_exists` (its key has come here otherwise meanwhile).
    """
    with steps.saga_step(
        PROCESS, change_id, step=Step.ENTRY, action="entry_change.apply", related=("entry",)
    ) as change:
        if change.has_ended:
            return facts_of(change)
        entry = entry_lock(change.entry_id)
        change.entry = entry
        answer = _answer(change, entry)
        if entry.has_ended and change.kind != ChangeKind.DELETE:
            # A claim took the key while the directory was asked.
            end(change, ChangeStatus.FAILED, code="entry_removed", detail="", as_of=as_of)
            return facts_of(change)
        if not entry.has_ended:
            _written(entry, change, answer, as_of=as_of)
        fields = process.ended(change, ChangeStatus.DONE, as_of=as_of)
        steps.step_save(PROCESS, change, Step.ENTRY, StepStatus.DONE, fields=fields)
        change_record(change, f"entry_change.{change.kind}d", entry=str(entry.pk), key=shown(entry))
        emit(EVENTS[ChangeKind(change.kind)], entry, as_of=as_of)
        failpoint("entry_apply.uncommitted")
        return facts_of(change)


def change_end(
    *, change_id: UUID | str, status: ChangeStatus, code: str, detail: str, as_of: datetime
) -> ChangeFacts:
    """End a change that came to nothing; return its state. No-op once it has ended, and of an
    expired code if there is a newer one, or it was proved."""
    with transaction.atomic(durable=True):
        change = change_lock(change_id, "entry")
        if not change.has_ended and not (code == EXPIRED and not _expired(change, as_of)):
            end(change, status, code=code, detail=detail, as_of=as_of)
            failpoint("entry_end.uncommitted")
        return facts_of(change)


def end(
    change: EntryChange,
    status: ChangeStatus,
    *,
    code: str,
    detail: str,
    as_of: datetime,
    by: Actor = ENGINE,
    via: str = "engine",
) -> None:
    """End the locked change; an entry that was to be created is removed, so that its key is free.
    Joins the caller's transaction."""
    fields = process.ended(change, status, as_of=as_of, code=code, detail=detail)
    process.save(PROCESS, change, *fields)
    entry = entry_lock(change.entry_id)
    if change.kind == ChangeKind.CREATE and not entry.has_ended:
        remove(entry, as_of=as_of)
    change.entry = entry
    questions_close(PROCESS, change, by=ENGINE, reason=detail or code, as_of=as_of)
    change_record(change, f"entry_change.{status}", by=by, via=via, code=code, detail=detail)


def remove(entry: Entry, *, as_of: datetime) -> None:
    """Remove the locked entry. Joins the caller's transaction."""
    entry.status, entry.removed_at = EntryStatus.REMOVED, max(as_of, entry.created_at)
    entry_save(entry, "status", "removed_at", as_of=as_of)


def emit(type: str, entry: Entry, *, as_of: datetime, **more: Any) -> None:
    """Write the entry's event. Its order is that of the entry as others know it, so that the key
    names no topic's partition; what receivers need, the key itself, is in the data."""
    event_emit(
        type=type,
        key=entry.entry_id,
        entry_id=entry.entry_id,
        occurred_at=as_of,
        data={
            "key_type": entry.key_type,
            "key": entry.key,
            "status": entry.status,
            "account": {
                "participant": entry.participant,
                "branch": entry.branch,
                "number": entry.account_number,
                "type": entry.account_type,
            },
            **more,
        },
    )


# --- helpers --------------------------------------------------------------------------------------
def _answer(change: EntryChange, entry: Entry) -> dict[str, Any]:
    """Return what the directory answered; nothing for an entry that is not there."""
    if not entry.key and change.kind != ChangeKind.CREATE:
        return {}
    call = call_of(change)
    if call is None or call.known_at is None:
        raise Conflict(_("The directory was not asked yet."), code="directory_not_asked")
    return call.answer or {}


def _written(entry: Entry, change: EntryChange, answer: dict[str, Any], *, as_of: datetime) -> None:
    if change.kind == ChangeKind.DELETE:
        remove(entry, as_of=as_of)
        return
    given = {name: answer[name] for name in HELD if name in answer} or change.values
    for name, value in given.items():
        setattr(entry, name, parse_datetime(value) if name in _TIMES and value else value)
    if not entry.account_opened_at:
        entry.account_opened_at = None
    fields = [*given, "account_opened_at"]
    if change.kind == ChangeKind.CREATE:
        owned = parse_datetime(answer.get("owned_since") or "") or as_of
        entry.status, entry.ownership_at = EntryStatus.ACTIVE, owned
        fields += ["status", "ownership_at"]
    try:
        with transaction.atomic():
            entry_save(entry, *dict.fromkeys(fields), as_of=as_of)
    except IntegrityError:
        raise Conflict(
            _("Another entry has this key here already."), code="entry_already_exists"
        ) from None


def _expired(change: EntryChange, as_of: datetime) -> bool:
    code = PossessionCode.objects.filter(change=change).first()
    waits = change.status == ChangeStatus.WAITING
    return waits and (code is None or code.expires_at <= as_of)
