"""Deciding many requests in one go: begun, stopped, resumed; `bulk_running` works through them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.approvals import validation
from apps.approvals.contracts import BulkStatus, Verdict
from apps.approvals.models import ApprovalRequest, BulkDecision, BulkItem
from apps.approvals.reasons import codes_check
from apps.approvals.rules import MOST_TIERS
from apps.approvals.services.bulk_rows import BULK, RUN
from apps.approvals.services.bulk_running import bulk_run, item_decide
from apps.common.canonical_json import digest
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.identifiers import new_id
from apps.engine import process, runs

__all__ = [
    "MOST_ITEMS",
    "BulkChoice",
    "bulk_decide",
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
    with process.audited(BULK, "decide", key, by=by, via=via):
        if verdict not in set(Verdict):
            raise Invalid("The verdict is approve or reject.", code="bad_verdict")
        reason = validation.reason_of(reason)
        validation.not_in_future(as_of)
        key, wanted = _key(key), _choices(items)
        with transaction.atomic(durable=True):
            tiers, names = _tiers_of(by, wanted)
            codes = codes_check(names, Verdict(verdict), codes=reason_codes or {}, reason=reason)
            asked = _digest(verdict, reason, codes, wanted)
            identifier = new_id()
            bulk, created = BulkDecision.objects.get_or_create(
                requested_by=by,
                idempotency_key=key,
                defaults={
                    "id": identifier,
                    "workflow_id": process.workflow_id_of(BULK, identifier),
                    "request_digest": asked,
                    "verdict": verdict,
                    "reason": reason,
                    "reason_codes": codes,
                    "via": via,
                    "total": len(wanted),
                    "created_at": as_of,
                },
            )
            if not created:
                return _same(bulk, wanted, asked)
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
            RUN.record(bulk, "started", by=by, via=via, reason=reason)
            return bulk


def bulk_stop(bulk_id: UUID | str, *, by: User, via: str, as_of: datetime) -> BulkDecision:
    """Sign no further item: what is signed stays signed, the rest is `stopped`. Audited.

    Only the person whose decision it is may. Stopped already: as it is. Raises NotFound, Conflict
    `already_completed`.
    """
    with runs.acting(RUN, "stop", bulk_id, by=by, via=via) as (bulk, _):
        if bulk.status == BulkStatus.COMPLETED:
            raise _completed()
        runs.end(RUN, bulk, BulkStatus.STOPPED, by=by, via=via, as_of=as_of)
        return bulk


def bulk_resume(bulk_id: UUID | str, *, by: User, via: str, as_of: datetime) -> BulkDecision:
    """Go on with what was stopped, under the payloads that were seen then. Audited.

    Only the person whose decision it is may. Raises NotFound, Conflict `already_running`,
    `already_completed`.
    """
    with runs.acting(RUN, "resume", bulk_id, by=by, via=via) as (bulk, _):
        if bulk.runs:
            raise Conflict("It is being worked through now.", code="already_running")
        if bulk.status != BulkStatus.STOPPED:
            raise _completed()
        runs.go_on(RUN, bulk, BulkStatus.PENDING, by=by, via=via)
        process.start_again(BULK, bulk)
        return bulk


# --- helpers ------------------------------------------------------------------------------------
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


def _same(bulk: BulkDecision, wanted: dict[UUID, BulkChoice], request_digest: str) -> BulkDecision:
    """The bulk decision, if it is about exactly this, under the same authorities."""
    tiers = dict(bulk.items.values_list("request", "tier"))
    # Whoever did not name a tier got the one of that time.
    same = all(choice.tier in {None, tiers.get(pk)} for pk, choice in wanted.items())
    if not same or bulk.request_digest != request_digest:
        raise Conflict("This key belongs to another bulk decision.", code="key_reused")
    return bulk


def _digest(
    verdict: str, reason: str, codes: dict[str, str], wanted: dict[UUID, BulkChoice]
) -> str:
    """Of what was asked for but the tiers, in whatever order."""
    chosen = [
        [str(pk), choice.payload_hash, choice.on_behalf_of and choice.on_behalf_of.pk]
        for pk, choice in sorted(wanted.items())
    ]
    return digest([verdict, reason, codes, chosen])


def _key(key: str) -> str:
    validation.text_of(key, code="bad_key")
    if not 0 < len(key) <= _KEY_LENGTH:
        raise Invalid(f"A key has 1 to {_KEY_LENGTH} characters.", code="bad_key")
    return key


def _completed() -> Conflict:
    return Conflict("It has been worked through to its end.", code="already_completed")
