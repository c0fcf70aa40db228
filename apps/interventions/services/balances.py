"""Writes the ledger line and the guarded balance in one statement.

Many concurrent reservations wait for one budget's row, and each holds the row until its commit. So
the statement is the last one of its transaction: one round trip instead of two is between lock and
commit, and the line with its indexes is written before the row is locked. The unique keys of the
ledger make it happen once; a balance that would be negative or too large is not written, and the
caller rolls the line back by raising.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from apps.interventions.models import Budget
from apps.interventions.models.budgets import EFFECTS, Effect, falls_short
from apps.interventions.services.budget_alerts import low_tell
from apps.interventions.services.rows import budget_announce

#: The columns of a balance have 16 digits before the point.
FULL = Decimal(10) ** 16

MOVE = """
WITH line AS (
    INSERT INTO interventions_budgetentry
        (budget_id, intervention_id, transfer_id, kind, amount, key, at)
    VALUES (%(budget)s, %(intervention)s::uuid, %(transfer)s::uuid, %(kind)s, %(amount)s, %(key)s,
        %(at)s)
    ON CONFLICT DO NOTHING
    RETURNING budget_id
),
moved AS (
    UPDATE interventions_budget AS budget
       SET total = budget.total + %(total)s,
           reserved = budget.reserved + %(reserved)s,
           spent = budget.spent + %(spent)s,
           version = budget.version + 1
      FROM line
     WHERE budget.id = line.budget_id
       AND budget.total + %(total)s
           >= budget.reserved + %(reserved)s + budget.spent + %(spent)s
       AND budget.total + %(total)s < %(full)s
    RETURNING budget.version, budget.total, budget.reserved, budget.spent, budget.alert_percent
)
SELECT EXISTS (SELECT FROM line), moved.*
  FROM (SELECT) AS always LEFT JOIN moved ON TRUE
"""


@dataclass(frozen=True)
class Move:
    """A line of the ledger, in major units of its budget's currency."""

    kind: str
    amount: Decimal
    key: str
    intervention: UUID | None = None
    transfer: UUID | None = None

    @property
    def effect(self) -> Effect:
        """Return what the line adds to the balances."""
        return EFFECTS[self.kind]

    def parameters(self, budget_id: int) -> dict[str, Any]:
        """Return the parameters of MOVE."""
        return {
            "budget": budget_id,
            "intervention": self.intervention,
            "transfer": self.transfer,
            "kind": self.kind,
            "amount": self.amount,
            "key": self.key,
            "at": timezone.now(),
            **{column: sign * self.amount for column, sign in self.effect._asdict().items()},
            "full": FULL,
        }


@dataclass(frozen=True)
class Moved:
    """`written`: the line is new. `covered`: the balance allows it; if not, the caller must
    raise."""

    written: bool
    covered: bool


def balance_move(budget: Budget, move: Move) -> Moved:
    """Write the line and change the balance if the result is valid; update open pages, and notify
    when little is left. Joins the caller's transaction, as its last write.

    A line that exists already changes nothing. If not covered, the transaction has the line without
    its balance, so the caller must roll back.
    """
    with connection.cursor() as cursor:
        cursor.execute(MOVE, move.parameters(budget.pk))
        written, version, total, reserved, spent, percent = cursor.fetchone()
    if version is None:
        return Moved(written=written, covered=False)
    budget_announce(budget, version=version)
    free, effect, amount = total - reserved - spent, move.effect, move.amount
    was_short = falls_short(
        total=total - effect.total * amount, free=free - effect.free * amount, percent=percent
    )
    if not was_short and falls_short(total=total, free=free, percent=percent):
        low_tell(budget, free=free, total=total, percent=percent, version=version)
    return Moved(written=True, covered=True)
