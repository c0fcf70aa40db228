"""The change of a workflow: the row that it was started for, or one for what others started."""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from apps.audit.contracts import ENGINE
from apps.common.canonical_json import digest
from apps.common.errors import Invalid
from apps.common.identifiers import new_id, uuid_of
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.validation import clean_text, clean_workflow_id
from apps.engine import process
from apps.pix.contracts import (
    LONGEST_ID,
    ChangeKind,
    ChangeStatus,
    EntryStatus,
    Origin,
)
from apps.pix.contracts.entries import (
    ChangeFacts,
    CreateEntryRequest,
    DeleteEntryRequest,
    OpenInput,
    UpdateEntryRequest,
)
from apps.pix.models import EntryChange
from apps.pix.services.entries import delete_columns, entry_insert, requested, update_columns
from apps.pix.services.entry_checks import cleaned, cleaned_reason
from apps.pix.services.entry_rows import PROCESS, entry_named, facts_of


def change_open(input: OpenInput) -> ChangeFacts:
    """Return the workflow's change; one that others started gets its row now, under the workflow's
    own id. The row wins over the input.

    Who starts workflows proves possession by other means: no code is sent. Raises, audited, as the
    verbs of `entries` but for the permission, and Invalid `workflow_id_invalid`,
    `entry_id_invalid`; `kind_differs` for the id of a workflow that did something else.
    """
    with process.audited(PROCESS, input.kind, by=ENGINE, via="engine"):
        if known := _carried(input.workflow_id):
            if known.kind != input.kind:
                raise Invalid(
                    filled(
                        _("The workflow {workflow_id} has carried another change."),
                        workflow_id=input.workflow_id,
                    ),
                    code="kind_differs",
                )
            return facts_of(known)
        clean_workflow_id(input.workflow_id)
        try:
            with transaction.atomic(durable=True):
                return _made(input)
        except IntegrityError:
            # Two attempts at once: the first has made it.
            return facts_of(EntryChange.objects.get(workflow_id=input.workflow_id))


# --- helpers --------------------------------------------------------------------------------------
def _carried(workflow_id: str) -> EntryChange | None:
    rows = EntryChange.objects.select_related("entry")
    known = rows.filter(workflow_id=workflow_id).first()
    found = process.subjects_of(PROCESS, [workflow_id]) if known is None else {}
    if pk := uuid_of(found.get(workflow_id, "")):
        # A run that started before a later one took its place: the row is still its own.
        known = rows.filter(pk=pk).first()
    return known


def _made(input: OpenInput) -> ChangeFacts:
    columns, asked = _columns(input)
    change = EntryChange(
        **columns,
        id=new_id(),
        workflow_id=input.workflow_id,
        request_digest=digest(asked),
        origin=Origin.ENGINE,
        status=ChangeStatus.RUNNING,
        created_at=input.as_of,
    )
    change.save(force_insert=True)
    requested(change)
    process.tell(PROCESS, change, "status")
    return facts_of(change)


def _columns(input: OpenInput) -> tuple[dict[str, Any], dict[str, Any]]:
    if input.create is not None:
        return _creation(input.create, input.as_of)
    if input.update is not None:
        return _update(input.update)
    return _deletion(input.delete or DeleteEntryRequest())


def _creation(
    request: CreateEntryRequest, as_of: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    columns = cleaned(request)
    word = cleaned_reason(ChangeKind.CREATE, request.reason)
    entry = entry_insert(
        columns,
        status=EntryStatus.PENDING,
        origin=Origin.ENGINE,
        as_of=as_of,
        entry_id=clean_entry_id(request.entry_id),
    )
    own = {"entry": entry, "kind": ChangeKind.CREATE, "request_id": entry.request_id}
    return {**own, "reason": word}, {**columns, "entry_id": entry.entry_id, "reason": word}


def _update(request: UpdateEntryRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    entry = entry_named(request.entry_id)
    word = cleaned_reason(ChangeKind.UPDATE, request.reason, key_type=entry.key_type)
    own = update_columns(entry, request.account, request.owner)
    asked = {"entry": str(entry.pk), "values": own["values"], "reason": word}
    return {**own, "reason": word}, asked


def _deletion(request: DeleteEntryRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    entry = entry_named(request.entry_id)
    word = cleaned_reason(ChangeKind.DELETE, request.reason)
    return {**delete_columns(entry), "reason": word}, {"entry": str(entry.pk), "reason": word}


def clean_entry_id(entry_id: str) -> str:
    """Return the id that others give an entry, or an empty text. Raises Invalid
    `entry_id_invalid`."""
    return clean_text(entry_id, field="entry_id", limit=LONGEST_ID) if entry_id else ""
