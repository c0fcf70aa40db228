"""A change's call to the directory: made once, however often its step runs."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine import process, steps
from apps.pix.bridge.client import directory
from apps.pix.bridge.problems import DirectoryRefused
from apps.pix.bridge.shapes import DirectoryAccount, DirectoryEntry, DirectoryOwner
from apps.pix.contracts import ChangeKind, ChangeStatus
from apps.pix.contracts.entries import Step
from apps.pix.models import Entry, EntryChange
from apps.pix.services.directory_calls import Answer, directory_call
from apps.pix.services.entry_rows import HELD, PROCESS, StepStatus, change_lock, shown

#: Seconds of one call. A step makes two at most, of the 25 that an activity of this queue has.
WITHIN = 10.0
MISSING = "directory_not_found"


def change_send(*, change_id: UUID | str) -> None:
    """Have the directory do what the change says, once; its answer is kept for `change_apply`.

    A creation is repeated by its request id. An update or a deletion whose answer was lost is
    looked up first. No call for an entry that is not in the directory, or a change that has ended.
    Raises, audited: NotFound; what the directory refuses; and DirectoryUnavailable
    `directory_unavailable`, after which the step is tried again.
    """
    with steps.refused(PROCESS, change_id, action="entry_change.send"):
        change = _begun(change_id)
        if change is None:
            return
        entry = change.entry
        send, look_up = _CALLS[change.kind](change, entry)
        try:
            directory_call(
                key=change.call_key,
                operation=f"entry_{change.kind}",
                participant=entry.participant,
                request_id=change.request_id if change.kind == ChangeKind.CREATE else None,
                send=send,
                look_up=look_up,
            )
        except DirectoryRefused as refused:
            said = _said(refused, entry)
            _noted(change_id, StepStatus.FAILED, f"{said.code}: {said.detail}")
            raise said from refused
        _noted(change_id, StepStatus.DONE, "")


# --- the three calls ------------------------------------------------------------------------------
def _create(change: EntryChange, entry: Entry) -> tuple[Callable[[], Answer], Any]:
    def send() -> Answer:
        made = directory().entry_create(
            participant=entry.participant,
            request_id=str(change.request_id),
            key_type=entry.key_type,
            key=entry.key,
            account=_account(entry),
            owner=DirectoryOwner(entry.owner_type, entry.tax_id, entry.name, entry.trade_name),
            reason=change.reason,
            within=WITHIN,
        )
        return _columns(made)

    # The same request id is answered with the same entry: nothing has to be looked up.
    return send, lambda: None


def _update(change: EntryChange, entry: Entry) -> tuple[Callable[[], Answer], Any]:
    # The row still has the old values; the change has the new ones.
    for name, value in change.values.items():
        setattr(entry, name, value)

    def send() -> Answer:
        made = directory().entry_update(
            participant=entry.participant,
            key=entry.key,
            account=_account(entry),
            name=entry.name,
            trade_name=entry.trade_name,
            reason=change.reason,
            within=WITHIN,
        )
        return _columns(made)

    def look_up() -> Answer | None:
        found = _found(entry)
        if found is None:
            return None
        columns = _columns(found)
        done = all(columns[name] == value for name, value in change.values.items())
        return columns if done and columns["participant"] == entry.participant else None

    return send, look_up


def _delete(change: EntryChange, entry: Entry) -> tuple[Callable[[], Answer], Any]:
    gone: Answer = {"gone": True}

    def send() -> Answer:
        try:
            directory().entry_delete(
                participant=entry.participant, key=entry.key, reason=change.reason, within=WITHIN
            )
        except DirectoryRefused as refused:
            # What was to be so is so.
            if refused.code != MISSING:
                raise
        return gone

    def look_up() -> Answer | None:
        found = _found(entry)
        # Who has it now, if anybody, got it after us.
        return gone if found is None or found.account.participant != entry.participant else None

    return send, look_up


_CALLS: dict[str, Callable[[EntryChange, Entry], tuple[Callable[[], Answer], Any]]] = {
    ChangeKind.CREATE: _create,
    ChangeKind.UPDATE: _update,
    ChangeKind.DELETE: _delete,
}


# --- helpers --------------------------------------------------------------------------------------
def _begun(change_id: UUID | str) -> EntryChange | None:
    """Show that the call is being made; return the change, or None where there is none to make."""
    with transaction.atomic(durable=True):
        change = change_lock(change_id, "entry")
        in_directory = bool(change.entry.key) or change.kind == ChangeKind.CREATE
        if change.status != ChangeStatus.RUNNING or not in_directory:
            return None
        if steps.statuses_of(change).get(Step.DIRECTORY) != StepStatus.DONE:
            steps.step_save(PROCESS, change, Step.DIRECTORY, StepStatus.RUNNING)
        return change


def _noted(change_id: UUID | str, status: StepStatus, detail: str) -> None:
    with transaction.atomic(durable=True):
        change = process.locked(PROCESS, change_id)
        if steps.statuses_of(change).get(Step.DIRECTORY) != StepStatus.DONE:
            steps.step_save(PROCESS, change, Step.DIRECTORY, status, detail)


def _said(refused: DirectoryRefused, entry: Entry) -> DirectoryRefused:
    """Return the refusal as rows, trail and histories may keep it: which fields it is about, and
    neither key nor tax id in full."""
    why = [f"{one.property}: {one.reason}" for one in refused.violations if one.property]
    detail = " ".join([refused.detail, *([f"({'; '.join(why)})"] if why else [])])
    for secret, mask in ((entry.key, shown(entry)), (entry.tax_id, "***")):
        detail = detail.replace(secret, mask) if secret else detail
    return DirectoryRefused(
        refused.code,
        detail,
        violations=refused.violations,
        problem_type=refused.problem_type,
        status=refused.status,
    )


def _account(entry: Entry) -> DirectoryAccount:
    return DirectoryAccount(
        participant=entry.participant,
        branch=entry.branch,
        number=entry.account_number,
        type=entry.account_type,
        opened_at=entry.account_opened_at,
    )


def _found(entry: Entry) -> DirectoryEntry | None:
    try:
        return directory().entry_get(participant=entry.participant, key=entry.key, within=WITHIN)
    except DirectoryRefused as refused:
        if refused.code == MISSING:
            return None
        raise


def _columns(made: DirectoryEntry) -> Answer:
    """Return what the directory answered as columns of an entry, letter by letter. Raises Invalid
    `directory_answer_invalid` for what no row can keep: a person looks at it."""
    account, owner = asdict(made.account), asdict(made.owner)
    opened, owned = made.account.opened_at, made.owned_since
    columns = {
        "key": made.key,
        "participant": account["participant"],
        "branch": account["branch"],
        "account_number": account["number"],
        "account_type": account["type"],
        "account_opened_at": opened.isoformat() if opened else "",
        "owner_type": owner["type"],
        "tax_id": owner["tax_id"],
        "name": owner["name"],
        "trade_name": owner["trade_name"],
        "owned_since": owned.isoformat() if owned else "",
    }
    for name in HELD:
        longest = Entry._meta.get_field(name).max_length  # type: ignore[union-attr]
        if longest and len(columns[name]) > longest:
            raise Invalid(
                filled(_("The directory answered with a {field} that is too long."), field=name),
                code="directory_answer_invalid",
            )
    return columns
