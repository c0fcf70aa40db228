"""Figures of the outbox, for the workers page and the metrics."""

from dataclasses import dataclass

from django.db import connection

#: So many commands of a kind are counted, and no more: while the engine is away, any number waits.
MOST_COUNTED = 10_000

# Three small readings of partial indexes. None grows with the number of commands that wait.
_LAG = """
SELECT
    (SELECT count(*) FROM (
        SELECT FROM engine_enginecommand WHERE state IN ('pending', 'leased') LIMIT %(most)s
    ) AS waiting),
    (SELECT count(*) FROM (
        SELECT FROM engine_enginecommand WHERE state = 'parked' LIMIT %(most)s
    ) AS parked),
    EXTRACT(epoch FROM clock_timestamp() - (
        SELECT created_at FROM engine_enginecommand
        WHERE state IN ('pending', 'leased') AND behind_run = ''
        ORDER BY created_at, id LIMIT 1
    ))::float8
"""


@dataclass(frozen=True)
class Lag:
    """`oldest_seconds`: age of the oldest command that the relay still has to send, without parked
    ones, which wait for a person, and second runs, which wait for the end of the first. `waiting`:
    commands that the relay still has to send; `parked`: those that wait for an operator. Both are
    counted up to MOST_COUNTED; `waiting_more`, `parked_more`: there are more."""

    oldest_seconds: float = 0.0
    waiting: int = 0
    parked: int = 0
    waiting_more: bool = False
    parked_more: bool = False


def lag() -> Lag:
    """Read the outbox, by the partial indexes over commands that have not been sent."""
    with connection.cursor() as cursor:
        cursor.execute(_LAG, {"most": MOST_COUNTED + 1})
        waiting, parked, age = cursor.fetchone()
    return Lag(
        oldest_seconds=max(float(age or 0), 0.0),
        waiting=min(waiting, MOST_COUNTED),
        parked=min(parked, MOST_COUNTED),
        waiting_more=waiting > MOST_COUNTED,
        parked_more=parked > MOST_COUNTED,
    )
