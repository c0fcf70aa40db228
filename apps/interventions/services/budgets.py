"""Budgets: each change is a line of the ledger and a guarded balance. The ledger explains every
balance.

Both are written in one statement (`balances`), the last of its transaction, so that the contended
row is locked only until the commit that follows immediately.
"""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.audit.contracts import Actor
from apps.audit.services import entry_record, refusals
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.locks import transaction_lock
from apps.common.money import exact, shown
from apps.common.validation import clean_amount, clean_code, clean_currency, clean_text
from apps.interventions.contracts import Execution, Step
from apps.interventions.models import Budget, BudgetEntry, Intervention
from apps.interventions.services.balances import Move, balance_move
from apps.interventions.services.periods import (
    OVERLAP_CONSTRAINT,
    check_code,
    check_open,
    clean_period,
)
from apps.interventions.services.policy_limits import target_hold
from apps.interventions.services.rows import (
    StepStatus,
    budget_announce,
    check_executor,
    check_forwards,
    check_unsettled,
    execution_of,
    record,
    row_save,
    saga_step,
    step_put,
    step_save,
    step_statuses,
)

Kind = BudgetEntry.Kind
#: Keys of the lines that interventions and transfers write. Allocations must not use them, because
#: a line whose key exists is not written.
_OWN_KEYS = re.compile(r"transfer:.*|.*:(reserve|release|commit)", re.DOTALL)


def budget_reserve(*, intervention_id: UUID | str, as_of: datetime | None = None) -> None:
    """Reserve the intervention's amount, once, also for repeated calls: the ledger line is the
    proof.

    Raises Conflict `budget_exceeded` (extra available), `target_limit_exceeded` (the policy's limit
    for one target), `budget_not_open` outside the budget's days at `as_of` (None: now),
    `already_settled`, `being_undone`, `reservation_released`, and `not_validated` when the saga did
    not begin with the policy.
    """
    with saga_step(
        intervention_id,
        step=Step.RESERVE_BUDGET,
        action="budget.reserve",
        related=["budget", "policy"],
    ) as intervention:
        check_unsettled(intervention)
        steps = step_statuses(intervention)
        check_forwards(steps)
        if steps.get(Step.VALIDATE_POLICY) != StepStatus.DONE:
            raise Conflict(_("The policy was not validated."), code="not_validated")
        if steps.get(Step.RESERVE_BUDGET) == StepStatus.DONE:
            return
        as_of = as_of or timezone.now()
        check_open(intervention.budget, as_of=as_of)
        target_hold(intervention, as_of=as_of)
        step_save(intervention, Step.RESERVE_BUDGET, StepStatus.DONE)
        new = _book(intervention, Kind.RESERVE, "budget.reserved")
        if not new and _reservation(intervention) != "open":
            raise Conflict(_("The reservation was given back."), code="reservation_released")


def budget_release(*, intervention_id: UUID | str, workflow_id: str = "") -> None:
    """Release an open reservation; no-op when there is none.

    `workflow_id`: the saga that calls. Raises Conflict `already_executing` when another saga
    executes the intervention, `execution_stands` when the executor has, or may have, acted on it.
    """
    with saga_step(
        intervention_id, step=Step.RELEASE_BUDGET, action="budget.release"
    ) as intervention:
        if workflow_id:
            check_executor(intervention, workflow_id)
        if release_open(intervention):
            row_save(intervention)


def budget_commit(*, intervention_id: UUID | str) -> None:
    """Turn an open reservation into spending; no-op when it is already spent.

    Raises Conflict `not_executed` while no receipt is known, `reservation_released`.
    """
    with saga_step(
        intervention_id, step=Step.RECORD_OUTCOME, action="budget.commit"
    ) as intervention:
        if commit_open(intervention):
            row_save(intervention)


def release_open(intervention: Intervention) -> bool:
    """Release the reservation if one is open; return whether it was. Joins the transaction that
    holds the row's lock.

    Raises Conflict `execution_stands` when the executor has, or may have, acted on it, `key_reused`
    when the key of its line is taken.
    """
    if _reservation(intervention) != "open":
        return False
    if execution_of(step_statuses(intervention)) in {Execution.UNKNOWN, Execution.DONE}:
        raise Conflict(
            _("The execution stands, or nobody knows: the money is not free."),
            code="execution_stands",
        )
    step_put(intervention, Step.RESERVE_BUDGET, StepStatus.COMPENSATED)
    step_put(intervention, Step.RELEASE_BUDGET, StepStatus.DONE)
    _settle(intervention, Kind.RELEASE, "budget.released")
    return True


def commit_open(intervention: Intervention) -> bool:
    """Spend the open reservation; return False if it is already spent. Joins the transaction that
    holds the row's lock.

    Raises Conflict `not_executed` while no receipt is known, `reservation_released`, `key_reused`
    when the key of its line is taken.
    """
    state = _reservation(intervention)
    if state == "spent":
        return False
    if state != "open":
        raise Conflict(_("There is no reservation to spend."), code="reservation_released")
    if execution_of(step_statuses(intervention)) is not Execution.DONE:
        raise Conflict(_("The execution is not known to be done."), code="not_executed")
    _settle(intervention, Kind.COMMIT, "budget.committed")
    return True


def has_open_reservation(intervention: Intervention) -> bool:
    """Return whether money is reserved for the intervention now."""
    return _reservation(intervention) == "open"


def budget_open(
    *,
    code: str,
    name: str,
    currency: str,
    by: Actor | None,
    via: str,
    series: str = "",
    starts_on: date | None = None,
    ends_on: date | None = None,
    alert_percent: int = 10,
) -> Budget:
    """Return the budget of that code; create it, empty, if there is none.

    `series` names the series that it is a period of; the period includes `starts_on` and `ends_on`,
    None means no limit. People are notified when less than `alert_percent` is available; 0: never.
    Raises Conflict `currency_differs`, `period_differs` when the code has another series or other
    days, `period_overlaps` when the series has a period with one of these days, also for concurrent
    calls; Invalid `code_invalid`, `code_reserved`, `name_invalid`, `currency_invalid`,
    `days_out_of_order`, `alert_percent_invalid`.
    """
    subject = {"action": "budget.open", "subject_type": "budget", "subject_id": str(code)[:80]}
    with refusals(**subject, by=by, via=via), transaction.atomic(durable=True):
        check_code(clean_code(code))
        period = clean_period(
            series=series, starts_on=starts_on, ends_on=ends_on, alert_percent=alert_percent
        )
        fields = {
            "name": clean_text(name, field="name", limit=160),
            "currency": clean_currency(currency),
            "total": Decimal(0),
            **period,
        }
        budget, created = _opened(code, fields)
        if budget.currency != currency:
            raise Conflict(_("The budget has another currency."), code="currency_differs")
        if any(getattr(budget, part) != period[part] for part in _PERIOD):
            raise Conflict(_("The budget is for other days."), code="period_differs")
        if created:
            body: dict[str, Any] = {"name": name, "currency": currency}
            body |= {part: period[part] for part in _PERIOD if period[part]}
            entry_record(**subject, by=by, via=via, body=body)
            budget_announce(budget, version=budget.version)
    return budget


def budget_allocate(
    *, code: str, amount: Decimal, key: str, by: Actor | None, via: str, reason: str = ""
) -> BudgetEntry:
    """Add money to a budget, once per `key`.

    Raises NotFound; Invalid for the amount, reason or key (`key_invalid` also for keys in the form
    that interventions and transfers use); Conflict `key_reused` when the key added another amount,
    `budget_full` when a balance cannot hold the sum.
    """
    subject = {"action": "budget.allocate", "subject_type": "budget", "subject_id": str(code)[:80]}
    with refusals(**subject, by=by, via=via), transaction.atomic(durable=True):
        amount = clean_amount(amount)
        key = clean_text(key, field="key", limit=120)
        if _OWN_KEYS.fullmatch(key):
            raise Invalid(_("Keys of this form are the ledger's own."), code="key_invalid")
        if reason:
            reason = clean_text(reason, field="reason", limit=2000, multiline=True)
        budget = Budget.objects.filter(code=clean_code(code)).first()
        if budget is None:
            raise NotFound(_("There is no such budget."))
        amount = clean_amount(amount, budget.currency)
        moved = balance_move(budget, Move(Kind.ALLOCATE, amount, key))
        if moved.written and not moved.covered:
            raise Conflict(_("No balance can hold so much."), code="budget_full")
        entry = BudgetEntry.objects.get(key=key)
        if (entry.budget_id, entry.kind, entry.amount) != (budget.pk, Kind.ALLOCATE, amount):
            raise Conflict(_("The key belongs to another line."), code="key_reused")
        if moved.written:
            why = {"reason": reason} if reason else {}
            entry_record(
                **subject,
                by=by,
                via=via,
                body={"amount": exact(amount, budget.currency), "key": key, **why},
            )
    return entry


#: Fields of a budget's period; they never change.
_PERIOD = ("series", "starts_on", "ends_on")


def _opened(code: str, fields: dict[str, Any]) -> tuple[Budget, bool]:
    if fields["series"]:
        # Inserts of overlapping periods could deadlock, so they take turns; the constraint still
        # decides.
        transaction_lock(f"budget-series:{fields['series']}")
    try:
        return Budget.objects.get_or_create(code=code, defaults=fields)
    except IntegrityError as error:
        diagnosis = getattr(error.__cause__, "diag", None)
        if getattr(diagnosis, "constraint_name", "") != OVERLAP_CONSTRAINT:
            raise
        raise Conflict(
            filled(
                _("The series {series} has a period with some of these days."),
                series=fields["series"],
            ),
            code="period_overlaps",
        ) from error


# --- the ledger and the balance ------------------------------------------------------------------
def _book(intervention: Intervention, kind: str, event: str) -> bool:
    """Audit the event, and write the intervention's line with the change of the balance; return
    False when the line exists. Raises Conflict `budget_exceeded` (extra available)."""
    budget, amount = intervention.budget, intervention.amount
    currency = intervention.currency
    record(
        intervention, event, budget=budget.code, amount=exact(amount, currency), currency=currency
    )
    key = f"{intervention.pk}:{kind}"
    moved = balance_move(budget, Move(kind, amount, key, intervention=intervention.pk))
    if moved.written and not moved.covered:
        left = Budget.objects.get(pk=budget.pk).available
        raise Conflict(
            filled(
                _("The budget {code} has {shown} left."),
                code=budget.code,
                shown=shown(left, intervention.currency),
            ),
            code="budget_exceeded",
            available=exact(left, intervention.currency),
        )
    return moved.written


def _settle(intervention: Intervention, kind: str, event: str) -> None:
    """Write the line that ends an open reservation. Raises Conflict `key_reused` when the key is
    taken: otherwise the row would say "settled" while the money stays reserved for ever."""
    if not _book(intervention, kind, event):
        raise Conflict(_("The key of this line belongs to another one."), code="key_reused")


def _reservation(intervention: Intervention) -> str:
    """Return the reservation's state: none, open, released or spent."""
    kinds = set(
        BudgetEntry.objects.filter(intervention=intervention).values_list("kind", flat=True)
    )
    if Kind.COMMIT in kinds:
        return "spent"
    if Kind.RELEASE in kinds:
        return "released"
    return "open" if Kind.RESERVE in kinds else "none"
