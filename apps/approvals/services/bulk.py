"""Deciding many requests in one go: begun, stopped, resumed; `bulk_running` works through them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.approvals import validation
from apps.approvals.contracts import BULK_SUBJECT, BulkStatus, ItemStatus, Verdict
from apps.approvals.models import ApprovalRequest, BulkDecision, BulkItem
from apps.approvals.reasons import codes_check
from apps.approvals.rules import MOST_TIERS
from apps.approvals.services.bulk_rows import BULK, id_of, lock, record, stop, unknown
from apps.approvals.services.bulk_running import bulk_run, item_decide
from apps.audit.contracts import ENGINE
from apps.audit.services import refusals
from apps.common.errors import Conflict, Invalid, NotFound
from apps.engine import process

__all__ = [
    "MOST_ITEMS",
    "BulkChoice",
    "bulk_closed",
    "bulk_decide",
    "bulk_restart",
    "bulk_resume",
    "bulk_run",
    "bulk_stop",
    "item_decide",
]

#: As many requests as one person can answer for in one go.
MOST_ITEMS: Final = 500
_HASH_LENGTH = 64
_KEY_LENGTH = 150


@dataclass(frozen=True)
class BulkChoice:
    """One request that is to be signed, as it was seen. `on_behalf_of` as in `request_decide`;
    `tier` None: the one that signs when the bulk decision is begun."""

    request_id: UUID | str
    payload_hash: str
    on_behalf_of: User | None = None
    tier: int | None = None


# --- begin, stop, resume ------------------------------------------------------------------------
def bulk_decide(
    *,
    by: User,
    verdict: str,
    reason: str,
    items: Sequence[BulkChoice],
    key: str,
    via: str,
    as_of: datetime,
    reason_codes: Mapping[str, str] | None = None,
) -> BulkDecision:
    """Begin to sign these requests, each bound to the payload and the tier that were seen; returns
    at once.

    Nothing is signed here: a workflow does it item by item, and what an item is refused with is
    kept on it. `reason_codes`: by the name of a kind, the coded reason for all of that kind. The
    same person's `key` again gives the bulk decision that exists. Raises, audited: Conflict
    `key_reused` when that one is about something else; NotFound `unknown_request` (extra ids) for
    requests that do not exist or are invisible to the person: then nothing is begun; Invalid
    `bad_verdict`, `no_items`, `too_many_items`, `duplicate_items`, `bad_hash`, `bad_tier`,
    `bad_key`, `reason_too_long`, `invalid_text`, `as_of_in_future`, and of the coded reasons
    `reason_code_required`, `reason_code_unknown`, `reason_required` (with extra kind).
    """
    with _audited("bulk.decide", key, by, via):
        if verdict not in set(Verdict):
            raise Invalid("The verdict is approve or reject.", code="bad_verdict")
        reason = validation.reason_of(reason)
        validation.not_in_future(as_of)
        key = _key_of(by, key)
        wanted = _choices(items)
        with transaction.atomic(durable=True):
            tiers, names = _tiers_of(by, wanted)
            codes = codes_check(names, Verdict(verdict), codes=reason_codes or {}, reason=reason)
            bulk, created = BulkDecision.objects.get_or_create(
                key=key,
                defaults={
                    "by": by,
                    "verdict": verdict,
                    "reason": reason,
                    "reason_codes": codes,
                    "via": via,
                    "total": len(wanted),
                    "created_at": as_of,
                },
            )
            if not created:
                return _same(
                    bulk, verdict=verdict, reason=reason, reason_codes=codes, wanted=wanted
                )
            BulkItem.objects.bulk_create(
                BulkItem(
                    bulk=bulk,
                    number=number,
                    request_id=request_id,
                    payload_hash=choice.payload_hash,
                    tier=tiers[request_id] if choice.tier is None else choice.tier,
                    asked_authority=choice.on_behalf_of,
                    authority=choice.on_behalf_of or by,
                )
                for number, (request_id, choice) in enumerate(wanted.items(), start=1)
            )
            process.start(BULK, bulk)
            record(bulk, "started", by=by, via=via, reason=reason)
            return bulk


def bulk_stop(*, bulk_id: UUID | str, by: User, via: str, as_of: datetime) -> BulkDecision:
    """Sign no further item: what is signed stays signed, the rest is `stopped`. Audited.

    Only the person whose decision it is may. Stopped already: as it is. Raises NotFound, Conflict
    `already_completed`.
    """
    with _audited("bulk.stop", bulk_id, by, via), transaction.atomic(durable=True):
        bulk = _lock_own(bulk_id, by)
        if bulk.status == BulkStatus.STOPPED:
            return bulk
        if not bulk.runs:
            raise Conflict("It has been worked through to its end.", code="already_completed")
        stop(bulk, by=by, via=via, as_of=as_of)
        return bulk


def bulk_resume(*, bulk_id: UUID | str, by: User, via: str, as_of: datetime) -> BulkDecision:
    """Go on with what was stopped, under the payloads that were seen then. Audited.

    Only the person whose decision it is may. Raises NotFound, Conflict `already_running`,
    `already_completed`.
    """
    with _audited("bulk.resume", bulk_id, by, via), transaction.atomic(durable=True):
        bulk = _lock_own(bulk_id, by)
        if bulk.runs:
            raise Conflict("It is being worked through now.", code="already_running")
        if bulk.status != BulkStatus.STOPPED:
            raise Conflict("It has been worked through to its end.", code="already_completed")
        bulk.items.filter(status=ItemStatus.STOPPED).update(status=ItemStatus.WAITING)
        bulk.status = BulkStatus.PENDING
        bulk.finished_at = None
        process.save(BULK, bulk, "status", "finished_at")
        record(bulk, "resumed", by=by, via=via)
        process.start_again(BULK, bulk)
        return bulk


# --- the engine's side --------------------------------------------------------------------------
def bulk_closed(bulk_id: UUID | str, *, workflow_id: str, why: str, as_of: datetime) -> None:
    """Its workflow has ended or cannot begin: what waits is stopped, and can be resumed.

    Joins the caller's transaction. Nothing when it is not running or another workflow carries it.
    """
    bulk = process.carried(BULK, bulk_id, workflow_id)
    if bulk is not None:
        stop(bulk, by=ENGINE, via="engine", as_of=as_of, reason=why)


def bulk_restart(bulk_id: UUID | str) -> None:
    """Start its workflow again from the row, unless it has ended or a start is under way.

    Joins the caller's transaction.
    """
    bulk = process.restart(BULK, bulk_id)
    if bulk is not None:
        record(bulk, "restarted", by=ENGINE, via="engine")


# --- helpers ------------------------------------------------------------------------------------
def _lock_own(bulk_id: UUID | str, by: User) -> BulkDecision:
    if not BulkDecision.objects.filter(pk=id_of(bulk_id), by=by.pk).exists():
        raise unknown()
    return lock(bulk_id)


def _choices(items: Sequence[BulkChoice]) -> dict[UUID, BulkChoice]:
    if not items:
        raise Invalid("Choose at least one request.", code="no_items")
    if len(items) > MOST_ITEMS:
        raise Invalid(f"At most {MOST_ITEMS} requests in one go.", code="too_many_items")
    wanted: dict[UUID, BulkChoice] = {}
    for item in items:
        validation.text_of(item.payload_hash, code="bad_hash")
        if not 0 < len(item.payload_hash) <= _HASH_LENGTH:
            raise Invalid("A payload hash has 64 hex digits.", code="bad_hash")
        if item.tier is not None and not 0 < item.tier <= MOST_TIERS:
            raise Invalid(f"Tiers are numbered from 1 to {MOST_TIERS}.", code="bad_tier")
        wanted[validation.uuid_of(item.request_id)] = item
    if len(wanted) < len(items):
        raise Invalid("The same request stands there twice.", code="duplicate_items")
    return wanted


def _tiers_of(by: User, wanted: dict[UUID, BulkChoice]) -> tuple[dict[UUID, int], set[str]]:
    """The tier that each is at, and their kinds; NotFound unless the person may see all of them."""
    visible = ApprovalRequest.objects.visible_to(by).filter(pk__in=wanted)
    rows = list(visible.values_list("pk", "tier_number", "kind"))
    tiers = {pk: tier for pk, tier, _ in rows}
    if unknown := set(wanted) - set(tiers):
        raise NotFound(
            f"{len(unknown)} of these requests do not exist.",
            code="unknown_request",
            ids=sorted(map(str, unknown))[:20],
        )
    return tiers, {kind for _, _, kind in rows}


def _same(
    bulk: BulkDecision,
    *,
    verdict: str,
    reason: str,
    reason_codes: dict[str, str],
    wanted: dict[UUID, BulkChoice],
) -> BulkDecision:
    """The bulk decision, if it is about exactly this, under the same authorities."""
    made = {item.request_id: item for item in bulk.items.all()}
    same = set(made) == set(wanted) and all(
        made[pk].payload_hash == choice.payload_hash
        and made[pk].asked_authority_id == (choice.on_behalf_of.pk if choice.on_behalf_of else None)
        # Whoever did not name it got the one of that time.
        and choice.tier in {None, made[pk].tier}
        for pk, choice in wanted.items()
    )
    said = (bulk.verdict, bulk.reason, bulk.reason_codes)
    if not same or said != (verdict, reason, reason_codes):
        raise Conflict("This key belongs to another bulk decision.", code="key_reused")
    return bulk


def _key_of(by: User, key: str) -> str:
    """Of the person: nobody finds out by a key what another one did."""
    validation.text_of(key, code="bad_key")
    if not 0 < len(key) <= _KEY_LENGTH:
        raise Invalid(f"A key has 1 to {_KEY_LENGTH} characters.", code="bad_key")
    return f"{by.pk}:{key}"


def _audited(action: str, subject_id: object, by: User, via: str) -> AbstractContextManager[None]:
    return refusals(
        action=action,
        subject_type=BULK_SUBJECT,
        subject_id=validation.printable(subject_id),
        by=by,
        via=via,
    )
