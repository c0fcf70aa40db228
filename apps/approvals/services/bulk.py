"""Bulk decisions: start, stop and resume. `bulk_running` works through the items."""

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
from apps.approvals.reasons import codes_check, codes_given
from apps.approvals.rules import MOST_TIERS
from apps.approvals.services.bulk_rows import BULK, RUN
from apps.approvals.services.bulk_running import bulk_run, item_decide
from apps.common.canonical_json import digest
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.identifiers import new_id
from apps.common.language import filled
from apps.common.language import lazy as _
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

#: The most requests that one user can answer for in one decision.
MOST_ITEMS: Final = 500
_HASH_LENGTH = 64
_KEY_LENGTH = 150


@dataclass(frozen=True)
class BulkChoice:
    """One request to sign, as the user saw it. `on_behalf_of` as in `request_decide`; `tier` None:
    the tier that signs when the bulk decision starts."""

    request_id: UUID | str
    payload_hash: str
    on_behalf_of: User | None = None
    tier: int | None = None


# --- start, stop, resume ------------------------------------------------------------------------
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
    """Start signing these requests, each bound to the payload and tier that the user saw; return at
    once.

    A workflow signs item by item; the item keeps its refusal. `reason_codes` maps the name of a
    kind to the coded reason for all of its requests. The same user's `key` returns the existing
    bulk decision. Raises, audited: Conflict `key_reused` when that one has other content; NotFound
    `unknown_request` (extra ids) for requests that do not exist or are invisible to the user: then
    nothing starts; Invalid `bad_verdict`, `no_items`, `too_many_items`, `duplicate_items`,
    `bad_hash`, `bad_tier`, `bad_key`, `reason_too_long`, `invalid_text`, `as_of_in_future`, and for
    coded reasons `reason_code_required`, `reason_code_unknown`, `reason_required` (with extra
    kind).
    """
    with process.audited(BULK, "decide", key, by=by, via=via):
        if verdict not in set(Verdict):
            raise Invalid(_("The verdict is approve or reject."), code="bad_verdict")
        reason = validation.reason_of(reason)
        validation.not_in_future(as_of)
        key, choices = _key(key), _choices(items)
        codes = codes_given(reason_codes or {})
        mine = BulkDecision.objects.filter(requested_by=by, idempotency_key=key)
        with transaction.atomic(durable=True):
            # Before checking today's reasons: a repetition gets the first answer.
            if known := mine.first():
                return _same(known, verdict, reason, codes, choices)
            tiers, names = _tiers_of(by, choices)
            codes = codes_check(names, Verdict(verdict), codes=codes, reason=reason)
            identifier = new_id()
            bulk, created = BulkDecision.objects.get_or_create(
                requested_by=by,
                idempotency_key=key,
                defaults={
                    "id": identifier,
                    "workflow_id": process.workflow_id_of(BULK, identifier),
                    "request_digest": _digest(verdict, reason, codes, choices),
                    "verdict": verdict,
                    "reason": reason,
                    "reason_codes": codes,
                    "via": via,
                    "total": len(choices),
                    "created_at": as_of,
                },
            )
            if not created:
                return _same(bulk, verdict, reason, codes, choices)
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
                for number, (request_id, choice) in enumerate(choices.items(), start=1)
            )
            process.start(BULK, bulk)
            RUN.record(bulk, "started", by=by, via=via, reason=reason)
            return bulk


def bulk_stop(bulk_id: UUID | str, *, by: User, via: str, as_of: datetime) -> BulkDecision:
    """Stop: signed items stay signed, waiting ones become `stopped`. Audited.

    Only for the user who started it. No-op if stopped already. Raises NotFound, Conflict
    `already_completed`.
    """
    with runs.acting(RUN, "stop", bulk_id, by=by, via=via) as (bulk, _):
        if bulk.status == BulkStatus.COMPLETED:
            raise _completed()
        runs.end(RUN, bulk, BulkStatus.STOPPED, by=by, via=via, as_of=as_of)
        return bulk


def bulk_resume(bulk_id: UUID | str, *, by: User, via: str, as_of: datetime) -> BulkDecision:
    """Continue with the stopped items, bound to the payloads seen at the start. Audited.

    Only for the user who started it. Raises NotFound, Conflict `already_running`,
    `already_completed`.
    """
    with runs.acting(RUN, "resume", bulk_id, by=by, via=via) as (bulk, _unused):
        if bulk.runs:
            raise Conflict(_("It is being worked through now."), code="already_running")
        if bulk.status != BulkStatus.STOPPED:
            raise _completed()
        runs.go_on(RUN, bulk, BulkStatus.PENDING, by=by, via=via)
        process.start_again(BULK, bulk)
        return bulk


# --- helpers ------------------------------------------------------------------------------------
def _choices(items: Sequence[BulkChoice]) -> dict[UUID, BulkChoice]:
    if not items:
        raise Invalid(_("Choose at least one request."), code="no_items")
    if len(items) > MOST_ITEMS:
        raise Invalid(
            filled(_("At most {most_items} requests in one go."), most_items=MOST_ITEMS),
            code="too_many_items",
        )
    choices: dict[UUID, BulkChoice] = {}
    for item in items:
        validation.text_of(item.payload_hash, code="bad_hash")
        if not 0 < len(item.payload_hash) <= _HASH_LENGTH:
            raise Invalid(_("A payload hash has 64 hex digits."), code="bad_hash")
        if item.tier is not None and not 0 < item.tier <= MOST_TIERS:
            raise Invalid(
                filled(_("Tiers are numbered from 1 to {most_tiers}."), most_tiers=MOST_TIERS),
                code="bad_tier",
            )
        choices[validation.uuid_of(item.request_id)] = item
    if len(choices) < len(items):
        raise Invalid(_("The same request stands there twice."), code="duplicate_items")
    return choices


def _tiers_of(by: User, choices: dict[UUID, BulkChoice]) -> tuple[dict[UUID, int], set[str]]:
    """Return the requests' current tiers and kinds. Raises NotFound unless the user may see them
    all."""
    visible = ApprovalRequest.objects.visible_to(by).filter(pk__in=choices)
    rows = list(visible.values_list("pk", "tier_number", "kind"))
    tiers = {pk: tier for pk, tier, _kind in rows}
    if unknown := set(choices) - set(tiers):
        raise NotFound(
            filled(_("{unknown} of these requests do not exist."), unknown=len(unknown)),
            code="unknown_request",
            ids=sorted(map(str, unknown))[:20],
        )
    return tiers, {kind for _pk, _tier, kind in rows}


def _same(
    bulk: BulkDecision,
    verdict: str,
    reason: str,
    codes: dict[str, str],
    wanted: dict[UUID, BulkChoice],
) -> BulkDecision:
    """Return the bulk decision if its requests, authorities and reasons are the same."""
    # The digest uses the stored codes, because the new ones are not checked.
    asked = _digest(verdict, reason, bulk.reason_codes, wanted)
    tiers = dict(bulk.items.values_list("request", "tier"))
    # An item without a tier got the current tier at that time.
    same = all(choice.tier in {None, tiers.get(pk)} for pk, choice in wanted.items())
    if not same or codes != bulk.reason_codes or bulk.request_digest != asked:
        raise Conflict(_("This key belongs to another bulk decision."), code="key_reused")
    return bulk


def _digest(
    verdict: str, reason: str, codes: dict[str, str], choices: dict[UUID, BulkChoice]
) -> str:
    """Hash everything that was asked for except the tiers, regardless of the order."""
    chosen = [
        [str(pk), choice.payload_hash, choice.on_behalf_of and choice.on_behalf_of.pk]
        for pk, choice in sorted(choices.items())
    ]
    return digest([verdict, reason, codes, chosen])


def _key(key: str) -> str:
    validation.text_of(key, code="bad_key")
    if not 0 < len(key) <= _KEY_LENGTH:
        raise Invalid(
            filled(_("A key has 1 to {key_length} characters."), key_length=_KEY_LENGTH),
            code="bad_key",
        )
    return key


def _completed() -> Conflict:
    return Conflict(_("It has been worked through to its end."), code="already_completed")
