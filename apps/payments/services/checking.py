"""Proves that the counters of the quarantine say what its rows say."""

from collections import Counter
from dataclasses import dataclass

from django.db import connection, transaction

from apps.payments.contracts import QuarantineState

#: Both in one snapshot: the counters change in the transactions that change the rows.
_COUNTED = """
SELECT known.id, {counters}, coalesce(hours.count, 0)
  FROM payment_events_quarantine_group AS known
  LEFT JOIN (SELECT group_id, sum(count) AS count
               FROM payment_events_quarantine_hour GROUP BY group_id) AS hours
    ON hours.group_id = known.id
 ORDER BY known.id
""".format(counters=", ".join(f"known.{state.value}" for state in QuarantineState))  # noqa: S608 - our own names
_ROWS = """
SELECT group_id, state, count(*) FROM payment_events_quarantine GROUP BY group_id, state
"""


@dataclass(frozen=True)
class Difference:
    """A counter that is wrong: of the group, named by a state or `hours`."""

    group: int
    counter: str
    says: int
    counted: int


def counters_check() -> tuple[int, list[Difference]]:
    """Return how many groups there are, and every counter that is wrong."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute(_ROWS)
        rows: Counter[tuple[int, str]] = Counter(
            {(group, state): count for group, state, count in cursor.fetchall()}
        )
        cursor.execute(_COUNTED)
        groups = cursor.fetchall()
    found = []
    for group, *counters, hours in groups:
        for state, says in zip(QuarantineState, counters, strict=True):
            counted = rows[group, state.value]
            if says != counted:
                found.append(Difference(group, state.value, says, counted))
        total = sum(rows[group, state.value] for state in QuarantineState)
        if hours != total:
            found.append(Difference(group, "hours", int(hours), total))
    return len(groups), found
