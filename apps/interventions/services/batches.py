"""Batches of payments: asked for, tried out, paused, resumed, cancelled."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.rule_text import band_in_words
from apps.approvals.rules import requirement
from apps.approvals.services import request_cancel
from apps.audit.services import refusals
from apps.common.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from apps.common.idempotency import asked_before, clean_key, save_or_known
from apps.common.identifiers import new_id
from apps.common.validation import MOST, clean_code, clean_currency, clean_text
from apps.engine import process
from apps.interventions.contracts import BATCH_KIND, BATCH_SUBJECT, BatchItemStatus, BatchStatus
from apps.interventions.models import BatchItem, Budget, InterventionBatch, Policy
from apps.interventions.services.batches_input import (
    Item,
    body_digest,
    items_clean,
    items_digest,
    items_judge,
)
from apps.interventions.services.batches_rows import (
    BATCH,
    batch_end,
    batch_lock,
    batch_record,
    batch_request_of,
    batch_save,
    batch_start,
    batch_wake,
    unknown,
)
from apps.interventions.services.batches_warnings import Warned, items_warn
from apps.interventions.services.periods import check_open
from apps.interventions.services.policies import policy_active
from apps.interventions.services.policy_limits import check_days
from apps.interventions.services.requests import (
    CANCEL_PERMISSION,
    REQUEST_PERMISSION,
    check_currencies,
)

#: Rows of one INSERT.
CHUNK = 2000


@dataclass(frozen=True)
class BatchTrial:
    """What a batch would be. `errors` are the first items that are not sound; `signatures` says
    who would have to sign, empty: nobody; `covered`: the budget has that much free now; `warned`:
    the payments that look like another one."""

    total: int
    sound: int
    amount: Decimal
    currency: str
    errors: list[Item]
    warned: Warned
    signatures: str
    available: Decimal
    covered: bool


@dataclass(frozen=True)
class _Wanted:
    """A batch as it was asked for, checked and priced."""

    policy: Policy
    budget: Budget
    items: list[Item]
    amount: Decimal


def batch_request(
    *,
    policy: str,
    budget: str,
    currency: str,
    items: Sequence[Any],
    by: User,
    via: str,
    title: str = "",
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[InterventionBatch, bool]:
    """Ask for many payments under one signature; the row, and whether it is new.

    `items` are objects with amount (major units), target, justification and, if wanted, region, or
    rows of `file_items`. One that is not sound, or that the policy does not allow, is an item that
    has failed at once; it never fails the batch. Batch, items, audit entry and the command that
    starts its workflow commit together. The same key of the same person again: the same row, also
    when two come at once. Raises, each audited: NotAllowed `permission_denied`; Invalid `no_items`,
    `too_many_items`, `no_valid_items`, `amount_invalid` (of the sum), `title_invalid`,
    `code_invalid`, `currency_invalid`, `currency_mismatch`, `idempotency_key_invalid`; NotFound
    `policy_not_found`, `budget_not_found`; Conflict `policy_inactive`, `policy_not_yet_valid`,
    `policy_expired`, `budget_not_open`, `idempotency_key_reused`.
    """
    with _audited("request", "", by, via):
        cleaned = _cleaned(items, currency, by)
        title = clean_text(title, field="title", limit=160) if title.strip() else ""
        key = clean_key(idempotency_key)
        body = {
            "policy": clean_code(policy),
            "budget": clean_code(budget),
            "currency": clean_currency(currency),
            "title": title,
        }
        asked = body_digest(cleaned, **body)
        rows = InterventionBatch.objects.select_related("policy", "budget", "requested_by")
        before = partial(asked_before, rows, by=by, key=key, digest=asked)
        with transaction.atomic(durable=True):
            # Before the rules of today: a repeat is answered as the first was.
            if known := before():
                return known, False
            wanted = _wanted(
                policy=policy,
                budget=budget,
                currency=currency,
                cleaned=cleaned,
                raw_items=items,
                as_of=as_of,
            )
            identifier = new_id()
            batch = InterventionBatch(
                id=identifier,
                title=title,
                policy=wanted.policy,
                budget=wanted.budget,
                currency=currency,
                amount=wanted.amount,
                total=len(wanted.items),
                items_digest=items_digest(wanted.items),
                requested_by=by,
                idempotency_key=key,
                request_digest=asked,
                workflow_id=f"{BATCH_SUBJECT}-{identifier}",
                created_at=as_of,
            )
            if known := save_or_known(batch, before):
                return known, False
            BatchItem.objects.bulk_create(_rows(batch, wanted.items, as_of), batch_size=CHUNK)
            batch_record(
                batch,
                "requested",
                by=by,
                via=via,
                **body,
                amount=wanted.amount,
                total=batch.total,
                sound=sum(item.sound for item in wanted.items),
                items_digest=batch.items_digest,
            )
            batch_start(batch)
            process.tell(BATCH, batch, "status")
        return batch, True


def batch_try(
    *,
    policy: str,
    budget: str,
    currency: str,
    items: Sequence[Any],
    by: User,
    via: str,
    as_of: datetime,
    errors: int = 100,
) -> BatchTrial:
    """What asking for it would come to now. Stores nothing; raises what `batch_request` raises.

    A batch without a sound item is told, not refused: that is what trying is for.
    """
    with _audited("try", "", by, via):
        wanted = _wanted(
            policy=clean_code(policy),
            budget=clean_code(budget),
            currency=clean_currency(currency),
            cleaned=_cleaned(items, currency, by),
            raw_items=items,
            as_of=as_of,
            empty=True,
        )
        sound = sum(item.sound for item in wanted.items)
        return BatchTrial(
            total=len(wanted.items),
            sound=sound,
            amount=wanted.amount,
            currency=currency,
            errors=[item for item in wanted.items if not item.sound][:errors],
            warned=items_warn(wanted.items, currency=currency, as_of=as_of),
            signatures=_signatures(wanted, by) if sound else "",
            available=wanted.budget.available,
            covered=wanted.amount <= wanted.budget.available,
        )


def batch_pause(
    *, batch_id: UUID | str, by: User, via: str, reason: str = "", as_of: datetime
) -> InterventionBatch:
    """Begin no further item; those under way end. Paused already: as it is.

    Raises, each audited: NotFound (also when the person may not see it); NotAllowed
    `permission_denied`; Conflict `already_settled`, `not_running`; Invalid `reason_invalid`.
    """
    with _acting("pause", batch_id, by, via, reason) as (batch, reason):
        if batch.status == BatchStatus.PAUSED:
            return batch
        if batch.status != BatchStatus.RUNNING:
            raise Conflict("It has not begun yet.", code="not_running")
        batch.status = BatchStatus.PAUSED
        batch_save(batch, "status")
        batch_record(batch, "paused", by=by, via=via, reason=reason)
        batch_wake(batch)
        return batch


def batch_resume(
    *, batch_id: UUID | str, by: User, via: str, reason: str = "", as_of: datetime
) -> InterventionBatch:
    """Go on with what waits; where its workflow was ended in the engine, by a new one.

    Running already: as it is. Raises as `batch_pause`, with Conflict `not_paused`.
    """
    with _acting("resume", batch_id, by, via, reason) as (batch, reason):
        if batch.status == BatchStatus.RUNNING:
            return batch
        if batch.status != BatchStatus.PAUSED:
            raise Conflict("It is not paused.", code="not_paused")
        batch.status = BatchStatus.RUNNING
        batch.error_code = batch.error_detail = ""
        batch_save(batch, "status", "error_code", "error_detail")
        batch_record(batch, "resumed", by=by, via=via, reason=reason)
        batch_wake(batch)
        return batch


def batch_cancel(
    *, batch_id: UUID | str, by: User, via: str, reason: str = "", as_of: datetime
) -> InterventionBatch:
    """End it: what waits is never begun, what is under way ends, what was paid stays paid.

    Its request for a signature is closed with it. Cancelled already: as it is. Raises as
    `batch_pause`, without `not_running`.
    """
    with _acting("cancel", batch_id, by, via, reason, ended=True) as (batch, reason):
        if batch.status == BatchStatus.CANCELLED:
            return batch
        _check_open(batch)
        detail = reason or f"Cancelled by {by}."
        batch_end(
            batch,
            BatchStatus.CANCELLED,
            code="cancelled",
            detail=detail,
            by=by,
            via=via,
            as_of=as_of,
        )
        if (request := batch_request_of(batch.pk)) is not None:
            request_cancel(request_id=request.pk, by=by, reason=detail, as_of=as_of)
        batch_wake(batch)
        return batch


# --- helpers -------------------------------------------------------------------------------------
def _audited(verb: str, batch_id: object, by: User, via: str) -> AbstractContextManager[None]:
    return refusals(
        action=f"{BATCH_SUBJECT}.{verb}",
        subject_type=BATCH_SUBJECT,
        subject_id=ascii(str(batch_id))[1:-1][:80],
        by=by,
        via=via,
    )


@contextmanager
def _acting(
    verb: str, batch_id: UUID | str, by: User, via: str, reason: str, *, ended: bool = False
) -> Iterator[tuple[InterventionBatch, str]]:
    """The locked row, for who may act on it: whose it is, or who may cancel what others ask for."""
    with _audited(verb, batch_id, by, via):
        if reason.strip():
            reason = clean_text(reason, field="reason", limit=2000, multiline=True)
        with transaction.atomic(durable=True):
            batch = batch_lock(batch_id)
            owner = batch.requested_by_id == by.pk
            visible = InterventionBatch.objects.visible_to(by).filter(pk=batch.pk)
            if not owner and not visible.exists():
                raise unknown()
            if not owner and not by.has_perm(CANCEL_PERMISSION):
                raise NotAllowed("You may not do this.", code="permission_denied")
            if not ended:
                _check_open(batch)
            yield batch, reason.strip()


def _check_open(batch: InterventionBatch) -> None:
    if BatchStatus(batch.status).terminal:
        raise Conflict(
            f"The batch is {batch.status} already.", code="already_settled", status=batch.status
        )


def _cleaned(items: Sequence[Any], currency: str, by: User) -> list[Item]:
    if not by.has_perm(REQUEST_PERMISSION):
        raise NotAllowed("You may not ask for interventions.", code="permission_denied")
    return items_clean(items, currency=currency)


def _wanted(
    *,
    policy: str,
    budget: str,
    currency: str,
    cleaned: list[Item],
    raw_items: Sequence[Any],
    as_of: datetime,
    empty: bool = False,
) -> _Wanted:
    chosen_policy = policy_active(policy)
    chosen_budget = Budget.objects.filter(code=budget).first()
    if chosen_budget is None:
        raise NotFound("There is no such budget.", code="budget_not_found")
    check_currencies(currency, chosen_policy, chosen_budget)
    check_open(chosen_budget, as_of=as_of)
    check_days(chosen_policy, as_of=as_of)
    judged = items_judge(cleaned, chosen_policy, raw_items=raw_items)
    amount = sum((item.amount for item in judged if item.sound and item.amount), Decimal(0))
    if not amount and not empty:
        first = next(item for item in judged if not item.sound)
        raise Invalid(
            f"None of the items can be paid; the first: {first.detail}", code="no_valid_items"
        )
    if amount >= MOST:
        raise Invalid(
            "The items together have more than 15 digits before the point.", code="amount_invalid"
        )
    return _Wanted(chosen_policy, chosen_budget, judged, amount)


def _signatures(wanted: _Wanted, by: User) -> str:
    """In words; empty: nobody has to sign. Why nobody could be asked, where that is so."""
    try:
        needed = requirement(
            kind=BATCH_KIND,
            scope=wanted.policy.code,
            amount=wanted.amount,
            currency=wanted.policy.currency,
            requested_by=by,
        )
    except DomainError as refusal:
        return refusal.detail
    return band_in_words(needed.raw, wanted.policy.currency) if needed.band else ""


def _rows(batch: InterventionBatch, items: list[Item], as_of: datetime) -> Iterator[BatchItem]:
    for item in items:
        yield BatchItem(
            batch=batch,
            number=item.number,
            line=item.line,
            amount=item.amount,
            target=item.target,
            justification=item.justification,
            region=item.region,
            raw=item.raw,
            status=BatchItemStatus.WAITING if item.sound else BatchItemStatus.FAILED,
            error_code=item.code[:60],
            error_detail=item.detail[:5000],
            settled_at=None if item.sound else as_of,
        )
