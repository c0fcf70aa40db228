"""Batches of payments: request, dry run, pause, resume, cancel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from apps.accounts.models import User
from apps.approvals.rule_text import band_in_words
from apps.approvals.rules import requirement
from apps.common.errors import DomainError, Invalid, NotAllowed
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.validation import MOST, clean_code, clean_currency, clean_text
from apps.engine import process, runs
from apps.interventions.contracts import BATCH_KIND, BatchItemStatus
from apps.interventions.models import BatchItem, Budget, InterventionBatch, Policy
from apps.interventions.services.batches_input import (
    Item,
    body_digest,
    items_clean,
    items_digest,
    items_judge,
)
from apps.interventions.services.batches_rows import BATCH, RELATED, RUN
from apps.interventions.services.batches_warnings import Warned, items_warn
from apps.interventions.services.policies import policy_active, policy_currency
from apps.interventions.services.policy_limits import check_days
from apps.interventions.services.requests import REQUEST_PERMISSION, budget_for

#: Number of rows in one INSERT.
CHUNK = 2000


@dataclass(frozen=True)
class BatchTrial:
    """The result of a dry run. `errors` are the first invalid items; `signatures` says who would
    have to sign, empty: nobody; `covered`: that much is available in the budget now; `warned`: the
    payments that look like another one."""

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
    """A requested batch, checked, with its total."""

    policy: Policy
    budget: Budget
    items: list[Item]
    amount: Decimal


def batch_request(
    *,
    policy: str,
    budget: str,
    currency: str = "",
    items: Sequence[Any],
    by: User,
    via: str,
    title: str = "",
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[InterventionBatch, bool]:
    """Request many payments under one signature; return the row, and whether it is new.

    `currency` must be the policy's; empty: the policy's. `items` are objects with amount (major
    units), target, justification and optionally region, or rows of `file_items`. An item that is
    invalid, or that the policy does not allow, fails at once, and never fails the batch. Batch,
    items, audit entry and the command that starts the workflow commit together. Repeating the key
    by the same person returns the same row, also for concurrent calls. Raises, each audited:
    NotAllowed `permission_denied`; Invalid `no_items`, `too_many_items`, `no_valid_items`,
    `amount_invalid` (of the sum), `title_invalid`, `code_invalid`, `currency_invalid`,
    `currency_mismatch`, `idempotency_key_invalid`; NotFound `policy_not_found`, `budget_not_found`;
    Conflict `policy_inactive`, `policy_not_yet_valid`, `policy_expired`, `budget_not_open`,
    `idempotency_key_reused`.
    """
    with process.audited(BATCH, "request", by=by, via=via):
        currency = currency or policy_currency(clean_code(policy))
        cleaned = _cleaned(items, currency, by)
        body = {
            "policy": clean_code(policy),
            "budget": clean_code(budget),
            "currency": clean_currency(currency),
            "title": clean_text(title, field="title", limit=160) if title.strip() else "",
        }
        judged: list[Item] = []

        def columns() -> dict[str, Any]:
            wanted = _wanted(
                policy=policy,
                budget=budget,
                currency=currency,
                cleaned=cleaned,
                raw_items=items,
                as_of=as_of,
            )
            judged.extend(wanted.items)
            return {
                **body,
                "policy": wanted.policy,
                "budget": wanted.budget,
                "amount": wanted.amount,
                "total": len(judged),
                "items_digest": items_digest(judged),
            }

        def made(batch: InterventionBatch) -> None:
            BatchItem.objects.bulk_create(_rows(batch, judged, as_of), batch_size=CHUNK)
            RUN.record(
                batch,
                "requested",
                by=by,
                via=via,
                **body,
                amount=batch.amount,
                total=batch.total,
                sound=sum(item.sound for item in judged),
                items_digest=batch.items_digest,
            )

        return process.ask_once(
            BATCH,
            columns,
            made=made,
            by=by,
            key=idempotency_key,
            digest=body_digest(cleaned, **body),
            related=RELATED,
            as_of=as_of,
        )


def batch_try(
    *,
    policy: str,
    budget: str,
    currency: str = "",
    items: Sequence[Any],
    by: User,
    via: str,
    as_of: datetime,
    errors: int = 100,
) -> BatchTrial:
    """Return the result that requesting the batch would have now. Stores nothing; raises as
    `batch_request`.

    A batch without a valid item is not refused, because a dry run exists to show the errors.
    """
    with process.audited(BATCH, "try", by=by, via=via):
        currency = currency or policy_currency(clean_code(policy))
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
            warned=items_warn(wanted.items, currency=currency, by=by, as_of=as_of),
            signatures=_signatures(wanted, by) if sound else "",
            available=wanted.budget.available,
            covered=wanted.amount <= wanted.budget.available,
        )


#: Actions of a person on a batch: `runs.pause`, `resume` and `cancel`, which raise the errors.
#: Cancelling also closes the request for a signature; executed payments stay.
batch_pause = partial(runs.pause, RUN)
batch_resume = partial(runs.resume, RUN)
batch_cancel = partial(runs.cancel, RUN)


# --- helpers -------------------------------------------------------------------------------------
def _cleaned(items: Sequence[Any], currency: str, by: User) -> list[Item]:
    if not by.has_perm(REQUEST_PERMISSION):
        raise NotAllowed(_("You may not ask for interventions."), code="permission_denied")
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
    chosen_budget = budget_for(chosen_policy, budget, currency=currency, as_of=as_of)
    check_days(chosen_policy, as_of=as_of)
    judged = items_judge(cleaned, chosen_policy, raw_items=raw_items)
    amount = sum((item.amount for item in judged if item.sound and item.amount), Decimal(0))
    if not amount and not empty:
        first = next(item for item in judged if not item.sound)
        raise Invalid(
            filled(_("None of the items can be paid; the first: {detail}"), detail=first.detail),
            code="no_valid_items",
        )
    if amount >= MOST:
        raise Invalid(
            _("The items together have more than 15 digits before the point."),
            code="amount_invalid",
        )
    return _Wanted(chosen_policy, chosen_budget, judged, amount)


def _signatures(wanted: _Wanted, by: User) -> str:
    """Return who has to sign, in words; empty: nobody. If nobody could be asked, return the
    reason."""
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
