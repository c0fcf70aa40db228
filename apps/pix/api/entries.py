"""API of keys. Mounted at /api/v1/pix/entries. Keys never stand in an address: entries have ids."""

from typing import Annotated, Any

from django.db.models import Prefetch
from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Status

from apps.accounts.auth import require
from apps.common.api import Cursor, Limit
from apps.common.pagination import page
from apps.pix.api.entry_shapes import (
    EntryId,
    PixCodeIn,
    PixEntryChangeIn,
    PixEntryIn,
    PixEntryOut,
    PixEntryPage,
    PixEntryStarted,
    PixFoundOut,
    PixFullKey,
    PixLookupIn,
)
from apps.pix.contracts import (
    KeyType,
    OwnerType,
)
from apps.pix.contracts.entries import USER_REQUESTED
from apps.pix.forms.keys import KeyFilter
from apps.pix.keys import masked_key
from apps.pix.models import Entry, EntryChange
from apps.pix.scopes import Scope
from apps.pix.services.entries import entry_create, entry_delete, entry_update
from apps.pix.services.entry_rows import entry_named, shown, unknown
from apps.pix.services.key_reading import FULL, VIEW, entry_key_read
from apps.pix.services.lookups import FoundEntry, entry_lookup
from apps.pix.services.possession import code_renew, possession_prove
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered

router = Router(tags=["pix"])


@router.post("", response={202: PixEntryStarted})
def pix_entry_create(request: HttpRequest, body: PixEntryIn) -> Status[dict[str, Any]]:
    """Create a key: a phone or mailbox is sent a code first. The same `idempotency_key` and body
    again: the same answer.

    Refusals: 403 `permission_denied`; 409 `entry_already_exists`,
    `entry_owned_by_different_person`, `entry_in_custody_of_different_participant` (both with
    `suggested_claim`: `claim_type`, `key_type`, `donor_ispb`), `entry_limit_exceeded`,
    `entry_locked_by_claim`, `participant_not_ours`, `idempotency_key_reused`; 422 `key_invalid`,
    `key_type_invalid`, `tax_id_invalid`, `possession_unavailable` and others; 429.
    """
    user = require(request, scope=Scope.PIX_WRITE)
    change, _ = entry_create(
        key_type=body.key_type,
        key=body.key,
        account=body.account.given(),
        owner=body.owner.given(),
        by=user,
        via="api",
        idempotency_key=body.idempotency_key,
        as_of=timezone.now(),
    )
    return Status(202, _started(change))


@router.get("", response=PixEntryPage)
@filtered(KeyFilter)
def pix_entry_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List entries, newest first."""
    user = require(request, scope=Scope.PIX_READ, permission=VIEW)
    found = page(
        narrow(_rows(), user=user).order_by("-created_at", "-id"), cursor=cursor, limit=limit
    )
    return {**found, "items": [_out(entry) for entry in found["items"]]}


@router.post("/lookup", response=PixFoundOut)
def pix_entry_lookup(request: HttpRequest, body: PixLookupIn) -> dict[str, Any]:
    """Return who has a key now. Audited, and kept for a minute.

    Refusals: 403 `permission_denied`; 404 `key_unknown`; 409 `participant_not_ours`; 422
    `key_invalid`, `key_type_invalid`; 503 `directory_unavailable`, also when the directory lets us
    look up no more for now.
    """
    user = require(request, scope=Scope.PIX_READ)
    found = entry_lookup(
        key_type=body.key_type, key=body.key, by=user, via="api", participant=body.participant
    )
    return _found(found, full=user.has_perm(FULL))


@router.get("/{entry_id}", response=PixEntryOut)
def pix_entry_read(request: HttpRequest, entry_id: EntryId) -> dict[str, Any]:
    """Return one entry, by our id or the one that others know it by."""
    return _out(_visible(request, entry_id))


@router.put("/{entry_id}", response={202: PixEntryStarted})
def pix_entry_update(
    request: HttpRequest, entry_id: EntryId, body: PixEntryChangeIn
) -> Status[dict[str, Any]]:
    """Change account, name or trade name of a key.

    Refusals: 403 `permission_denied`; 409 `entry_not_active`, `entry_change_running`,
    `entry_locked_by_claim`, `entry_limit_exceeded`, `idempotency_key_reused`; 422
    `participant_fixed` (with `suggested_claim`), `owner_fixed`, `entry_unchanged`,
    `reason_invalid` and others.
    """
    user = require(request, scope=Scope.PIX_WRITE)
    change, _ = entry_update(
        entry_id=entry_id,
        account=body.account.given() if body.account else None,
        owner=body.owner.given() if body.owner else None,
        by=user,
        via="api",
        reason=body.reason,
        idempotency_key=body.idempotency_key,
        as_of=timezone.now(),
    )
    return Status(202, _started(change))


@router.delete("/{entry_id}", response={202: PixEntryStarted})
def pix_entry_delete(
    request: HttpRequest,
    entry_id: EntryId,
    reason: Annotated[str, Query(max_length=100)] = USER_REQUESTED,
    idempotency_key: Annotated[str, Query(max_length=120)] = "",
) -> Status[dict[str, Any]]:
    """Remove a key. One that waits for its code is given up at once.

    Refusals: 403 `permission_denied`; 409 `entry_not_active`, `entry_change_running`,
    `entry_locked_by_claim`, `idempotency_key_reused`; 422 `reason_invalid`.
    """
    user = require(request, scope=Scope.PIX_WRITE)
    change, _ = entry_delete(
        entry_id=entry_id,
        by=user,
        via="api",
        reason=reason,
        idempotency_key=idempotency_key,
        as_of=timezone.now(),
    )
    return Status(202, _started(change))


@router.post("/{entry_id}/possession", response={202: PixEntryStarted})
def pix_entry_possession(
    request: HttpRequest, entry_id: EntryId, body: PixCodeIn
) -> Status[dict[str, Any]]:
    """Give the code that came to the phone or mailbox of a new key.

    Refusals: 403 `permission_denied`; 409 `possession_code_expired`, `possession_not_waiting`; 422
    `possession_code_invalid` (with `tries_left`; with none the creation has ended).
    """
    user = require(request, scope=Scope.PIX_WRITE)
    change = possession_prove(
        entry_id=entry_id, code=body.code, by=user, via="api", as_of=timezone.now()
    )
    return Status(202, _started(change))


@router.post("/{entry_id}/possession/new-code", response={202: PixEntryStarted})
def pix_entry_new_code(request: HttpRequest, entry_id: EntryId) -> Status[dict[str, Any]]:
    """Send another code; the one before it ends.

    Refusals: 403 `permission_denied`; 409 `possession_code_fresh`, `possession_not_waiting`; 422
    `possession_unavailable`; 429.
    """
    user = require(request, scope=Scope.PIX_WRITE)
    change = code_renew(entry_id=entry_id, by=user, via="api", as_of=timezone.now())
    return Status(202, _started(change))


@router.post("/{entry_id}/full-key", response=PixFullKey)
def pix_entry_full_key(request: HttpRequest, entry_id: EntryId) -> dict[str, Any]:
    """Return the key and its owner's tax id whole; audited.

    Refusals: 403 `permission_denied`.
    """
    user = require(request, scope=Scope.PIX_READ)
    entry = entry_key_read(entry_id=entry_id, by=user, via="api")
    return {"key_type": entry.key_type or None, "key": entry.key, "tax_id": entry.tax_id}


# --- helpers --------------------------------------------------------------------------------------
def _rows() -> Any:
    newest = EntryChange.objects.order_by("-created_at", "-id")
    return Entry.objects.prefetch_related(Prefetch("changes", newest))


def _visible(request: HttpRequest, entry_id: str) -> Entry:
    require(request, scope=Scope.PIX_READ, permission=VIEW)
    found: Entry = row_of(_rows(), unknown(), pk=entry_named(entry_id).pk)
    return found


def _started(change: EntryChange) -> dict[str, Any]:
    entry = change.entry
    return {"id": entry.pk, "status": entry.status, "workflow_id": change.workflow_id}


def _out(entry: Entry) -> dict[str, Any]:
    change: Any = next(iter(entry.changes.all()), None)
    return {
        "id": entry.pk,
        "entry_id": entry.entry_id,
        "key_type": entry.key_type or None,
        "key": shown(entry),
        "account": _account(entry),
        "owner": _owner(entry),
        "status": entry.status,
        "ownership_at": entry.ownership_at,
        "created_at": entry.created_at,
        "removed_at": entry.removed_at,
        "version": entry.version,
        "change": change and _change(change),
    }


def _change(change: EntryChange) -> dict[str, Any]:
    return {
        "id": change.pk,
        "kind": change.kind,
        "status": change.status,
        "reason": change.reason,
        "workflow_id": change.workflow_id,
        "code": change.error_code or None,
        "error": change.error_detail or None,
        "created_at": change.created_at,
    }


def _account(row: Entry | FoundEntry) -> dict[str, Any]:
    return {
        "participant": row.participant,
        "branch": row.branch or None,
        "number": row.account_number or None,
        "type": row.account_type or None,
    }


def _owner(row: Entry | FoundEntry, *, full: bool = False) -> dict[str, Any]:
    person = row.owner_type == OwnerType.NATURAL_PERSON
    masked = masked_key(KeyType.CPF, row.tax_id) if person and not full else row.tax_id
    return {
        "type": row.owner_type or None,
        "tax_id": masked or None,
        "name": row.name or None,
        "trade_name": row.trade_name or None,
    }


def _found(found: FoundEntry, *, full: bool) -> dict[str, Any]:
    return {
        "key_type": found.key_type,
        "key": found.key,
        "account": _account(found),
        "owner": _owner(found, full=full),
        "ownership_at": found.ownership_at or None,
        "entry_id": found.entry_id or None,
        "source": found.source,
    }
