"""Budgets: the ledger line first, then the guarded balance. The ledger explains every balance.

The INSERT waits for nobody; the UPDATE of the balance is the last statement of its transaction, so
the hot row is locked only until the commit that follows at once.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from apps.audit.contracts import Actor
from apps.audit.services import entry_record, refusals
from apps.errors import Conflict, NotFound
from apps.interventions.contracts import Execution, Step
from apps.interventions.models import Budget, BudgetEntry, Intervention
from apps.interventions.services.inputs import clean_amount, clean_code, clean_currency, clean_text
from apps.interventions.services.rows import (
    StepStatus,
    budget_announce,
    check_unsettled,
    execution_of,
    is_undoing,
    record,
    row_save,
    saga_step,
    step_put,
    step_statuses,
)

Kind = BudgetEntry.Kind


def budget_reserve(*, intervention_id: UUID | str) -> None:
    """Set the intervention's amount aside. Once, however often asked: the ledger line is the proof.

    Raises Conflict `budget_exceeded` (extra available), `already_settled`, `being_undone`, and
    `not_validated` when the saga did not begin with the policy.
    """
    with saga_step(
        intervention_id=intervention_id, step=Step.RESERVE_BUDGET, action="budget.reserve"
    ) as intervention:
        check_unsettled(intervention)
        steps = step_statuses(intervention)
        if is_undoing(steps):
            raise Conflict("The intervention is being undone.", code="being_undone")
        if steps.get(Step.VALIDATE_POLICY) != StepStatus.DONE:
            raise Conflict("The policy was not validated.", code="not_validated")
        if steps.get(Step.RESERVE_BUDGET) == StepStatus.DONE:
            return
        _line(intervention, Kind.RESERVE, key="reserve")
        step_put(intervention, Step.RESERVE_BUDGET, StepStatus.DONE)
        row_save(intervention)
        record(intervention, "budget.reserved", **_figures(intervention))
        if not _move(intervention.budget, reserved=intervention.amount):
            _refuse_exceeded(intervention)


def budget_release(*, intervention_id: UUID | str) -> None:
    """Give an open reservation back; nothing to do when there is none.

    Raises Conflict `execution_stands` when the executor has, or may have, acted on it.
    """
    with saga_step(
        intervention_id=intervention_id, step=Step.RELEASE_BUDGET, action="budget.release"
    ) as intervention:
        if release_open(intervention):
            row_save(intervention)


def budget_commit(*, intervention_id: UUID | str) -> None:
    """Turn an open reservation into spending; nothing to do when it is spent already.

    Raises Conflict `not_executed` while no receipt is known, `reservation_released`.
    """
    with saga_step(
        intervention_id=intervention_id, step=Step.RECORD_OUTCOME, action="budget.commit"
    ) as intervention:
        if commit_open(intervention):
            row_save(intervention)


def release_open(intervention: Intervention) -> bool:
    """Release the reservation if one is open. Joins the transaction that holds the row's lock.

    Raises Conflict `execution_stands` when the executor has, or may have, acted on it.
    """
    if _reservation(intervention) != "open":
        return False
    if execution_of(step_statuses(intervention)) in {Execution.UNKNOWN, Execution.DONE}:
        raise Conflict(
            "The execution stands, or nobody knows: the money is not free.",
            code="execution_stands",
        )
    _line(intervention, Kind.RELEASE, key="release")
    step_put(intervention, Step.RESERVE_BUDGET, StepStatus.COMPENSATED)
    step_put(intervention, Step.RELEASE_BUDGET, StepStatus.DONE)
    record(intervention, "budget.released", **_figures(intervention))
    _move(intervention.budget, reserved=-intervention.amount)
    return True


def commit_open(intervention: Intervention) -> bool:
    """Spend the reservation if one is open. Joins the transaction that holds the row's lock.

    Raises Conflict `not_executed` while no receipt is known, `reservation_released`.
    """
    state = _reservation(intervention)
    if state == "spent":
        return False
    if state != "open":
        raise Conflict("There is no reservation to spend.", code="reservation_released")
    if execution_of(step_statuses(intervention)) is not Execution.DONE:
        raise Conflict("The execution is not known to be done.", code="not_executed")
    _line(intervention, Kind.COMMIT, key="commit")
    record(intervention, "budget.committed", **_figures(intervention))
    _move(intervention.budget, reserved=-intervention.amount, spent=intervention.amount)
    return True


def has_open_reservation(intervention: Intervention) -> bool:
    """Whether money is set aside for it now."""
    return _reservation(intervention) == "open"


def budget_open(*, code: str, name: str, currency: str, by: Actor | None, via: str) -> Budget:
    """The budget of that code, made empty when there is none. Conflict `currency_differs`."""
    subject = {"action": "budget.open", "subject_type": "budget", "subject_id": code[:80]}
    with refusals(**subject, by=by, via=via), transaction.atomic(durable=True):
        budget, created = Budget.objects.get_or_create(
            code=clean_code(code),
            defaults={
                "name": clean_text(name, field="name", limit=160),
                "currency": clean_currency(currency),
                "total": Decimal(0),
            },
        )
        if budget.currency != currency:
            raise Conflict("The budget has another currency.", code="currency_differs")
        if created:
            entry_record(**subject, by=by, via=via, body={"name": name, "currency": currency})
            budget_announce(budget, version=budget.version)
    return budget


def budget_allocate(
    *, code: str, amount: Decimal, key: str, by: Actor | None, via: str
) -> BudgetEntry:
    """Add money to a budget, once per `key`.

    Raises NotFound, Invalid for a bad amount, Conflict `key_reused` when the key gave another sum.
    """
    subject = {"action": "budget.allocate", "subject_type": "budget", "subject_id": code[:80]}
    with refusals(**subject, by=by, via=via), transaction.atomic(durable=True):
        amount = clean_amount(amount)
        budget = Budget.objects.filter(code=clean_code(code)).first()
        if budget is None:
            raise NotFound("There is no such budget.")
        entry, created = BudgetEntry.objects.get_or_create(
            key=clean_text(key, field="key", limit=120),
            defaults={"budget": budget, "kind": Kind.ALLOCATE, "amount": amount},
        )
        if (entry.budget_id, entry.kind, entry.amount) != (budget.pk, Kind.ALLOCATE, amount):
            raise Conflict("The key belongs to another line.", code="key_reused")
        if created:
            entry_record(**subject, by=by, via=via, body={"amount": amount, "key": key})
            _move(budget, total=amount)
    return entry


# --- proof ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class BudgetProof:
    """The balances beside the sums of the ledger that must equal them."""

    code: str
    total: Decimal
    reserved: Decimal
    spent: Decimal
    ledger_total: Decimal
    ledger_reserved: Decimal
    ledger_spent: Decimal

    @property
    def holds(self) -> bool:
        """Every balance is the sum of its lines, and none is overdrawn."""
        return (
            (self.total, self.reserved, self.spent)
            == (self.ledger_total, self.ledger_reserved, self.ledger_spent)
            and min(self.reserved, self.spent) >= 0
            and self.reserved + self.spent <= self.total
        )


def budget_proof(budget: Budget) -> BudgetProof:
    """Add the ledger up again. One statement: balances and lines of the same moment."""
    row: dict[str, Any] = dict(
        Budget.objects.filter(pk=budget.pk)
        .annotate(
            **{
                f"sum_{kind}": Coalesce(
                    Sum("entries__amount", filter=Q(entries__kind=kind)), Decimal(0)
                )
                for kind in Kind.values
            }
        )
        .values()
        .get()
    )
    return BudgetProof(
        code=row["code"],
        total=row["total"],
        reserved=row["reserved"],
        spent=row["spent"],
        ledger_total=row["sum_allocate"],
        ledger_reserved=row["sum_reserve"] - row["sum_release"] - row["sum_commit"],
        ledger_spent=row["sum_commit"],
    )


# --- the ledger and the balance ------------------------------------------------------------------
def _line(intervention: Intervention, kind: str, *, key: str) -> None:
    BudgetEntry.objects.create(
        budget_id=intervention.budget_id,
        intervention=intervention,
        kind=kind,
        amount=intervention.amount,
        key=f"{intervention.pk}:{key}",
    )


def _reservation(intervention: Intervention) -> str:
    """none, open, released or spent."""
    kinds = set(
        BudgetEntry.objects.filter(intervention=intervention).values_list("kind", flat=True)
    )
    if Kind.COMMIT in kinds:
        return "spent"
    if Kind.RELEASE in kinds:
        return "released"
    return "open" if Kind.RESERVE in kinds else "none"


def _move(
    budget: Budget,
    *,
    reserved: Decimal = Decimal(0),
    spent: Decimal = Decimal(0),
    total: Decimal = Decimal(0),
) -> bool:
    """Change the balances if they stay sound; False when the budget does not cover it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE interventions_budget
               SET total = total + %(total)s, reserved = reserved + %(reserved)s,
                   spent = spent + %(spent)s, version = version + 1
             WHERE id = %(id)s
               AND total + %(total)s >= reserved + %(reserved)s + spent + %(spent)s
            RETURNING version
            """,
            {"id": budget.pk, "total": total, "reserved": reserved, "spent": spent},
        )
        row = cursor.fetchone()
    if row is None:
        return False
    budget_announce(budget, version=row[0])
    return True


def _refuse_exceeded(intervention: Intervention) -> None:
    left = Budget.objects.get(pk=intervention.budget_id).available
    raise Conflict(
        f"The budget {intervention.budget.code} has {intervention.currency} {left:,.2f} left.",
        code="budget_exceeded",
        available=f"{left:.2f}",
    )


def _figures(intervention: Intervention) -> dict[str, Any]:
    return {
        "budget": intervention.budget.code,
        "amount": intervention.amount,
        "currency": intervention.currency,
    }
