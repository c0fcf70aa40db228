"""Activities of entries: fetch the input, call the service, return a contract.

Their names are those that other systems know. None runs longer than 25 s.
"""

from collections.abc import Callable
from typing import Any

from django.db import transaction
from temporalio import activity

from apps.engine.heartbeats import heartbeating
from apps.pix.contracts.entries import (
    ChangeFacts,
    ChangeInput,
    EndInput,
    OpenInput,
    OwnershipInput,
)
from apps.pix.models import Claim
from apps.pix.services import (
    entry_attention,
    entry_directory,
    entry_ending,
    entry_opening,
    entry_rows,
)
from apps.pix.services.entry_ownership import entry_ownership_update


@activity.defn(name="ValidateEntryActivity")
def validate_entry(input: OpenInput) -> ChangeFacts:
    """Return the workflow's change; make it, if it may be, for a workflow that others started."""
    return entry_opening.change_open(input)


@activity.defn(name="GetEntryStatusActivity")
def get_entry_status(input: ChangeInput) -> ChangeFacts:
    """Return what the database knows of the change and its entry."""
    return entry_rows.facts_read(input.change_id)


# An exception raised in the thread could prevent writing down the directory's answer.
@activity.defn(name="CreateEntryActivity", no_thread_cancel_exception=True)
def create_entry(input: ChangeInput) -> None:
    """Register the key in the directory."""
    heartbeating(entry_directory.change_send, change_id=input.change_id)


@activity.defn(name="UpdateEntryActivity", no_thread_cancel_exception=True)
def update_entry(input: ChangeInput) -> None:
    """Change the key's account or name in the directory."""
    heartbeating(entry_directory.change_send, change_id=input.change_id)


@activity.defn(name="DeleteEntryActivity", no_thread_cancel_exception=True)
def delete_entry(input: ChangeInput) -> None:
    """Remove the key from the directory."""
    heartbeating(entry_directory.change_send, change_id=input.change_id)


@activity.defn(name="ActivateEntryActivity")
def activate_entry(input: ChangeInput) -> ChangeFacts:
    """Make our entry what the directory has."""
    return entry_ending.change_apply(change_id=input.change_id, as_of=input.as_of)


@activity.defn(name="DeactivateEntryActivity")
def deactivate_entry(input: ChangeInput) -> ChangeFacts:
    """Remove our entry, which the directory has no more."""
    return entry_ending.change_apply(change_id=input.change_id, as_of=input.as_of)


@activity.defn(name="UpdateEntryOwnershipActivity")
def update_entry_ownership(input: OwnershipInput) -> str:
    """Give the entry of a completed claim to its claimer; return the id that others know it by,
    empty where we keep none."""
    with transaction.atomic(durable=True):
        claim = Claim.objects.select_for_update(no_key=True).get(pk=input.claim)
        entry = entry_ownership_update(
            claim, as_of=input.as_of, created_at=input.created_at, owned_since=input.owned_since
        )
    return entry.entry_id if entry else ""


@activity.defn(name="end_entry_change")
def end_entry_change(input: EndInput) -> ChangeFacts:
    """End a change that came to nothing."""
    return entry_ending.change_end(
        change_id=input.change_id,
        status=input.status,
        code=input.code,
        detail=input.detail,
        as_of=input.as_of,
    )


@activity.defn(name="raise_entry_attention")
def raise_attention(input: EndInput) -> None:
    """Ask a person about a change whose call was not answered."""
    entry_attention.attention_open(input.change_id, code=input.code, detail=input.detail)


ACTIVITIES: list[Callable[..., Any]] = [
    validate_entry,
    get_entry_status,
    create_entry,
    update_entry,
    delete_entry,
    activate_entry,
    deactivate_entry,
    update_entry_ownership,
    end_entry_change,
    raise_attention,
]
