"""Figures of the outbox, for the workers page and the metrics."""

from dataclasses import dataclass, field

from django.db import connection

from apps.engine.contracts import CommandState

_LAG = """
SELECT state, count(*), EXTRACT(epoch FROM max(clock_timestamp() - created_at)
    FILTER (WHERE behind_run = ''))::float8
FROM engine_enginecommand WHERE state IN ('pending', 'leased', 'parked') GROUP BY state
"""


@dataclass(frozen=True)
class Lag:
    """`oldest_seconds`: age of the oldest command that the relay still has to send, without parked
    ones, which wait for a person, and second runs, which wait for the end of the first. `counts`:
    unsettled commands by state."""

    oldest_seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Return the number of commands that the relay still has to send."""
        return self.counts.get("pending", 0) + self.counts.get("leased", 0)

    @property
    def parked(self) -> int:
        """Return the number of commands that wait for an operator."""
        return self.counts.get("parked", 0)


def lag() -> Lag:
    """Read the outbox, by the partial index over unsettled commands."""
    with connection.cursor() as cursor:
        cursor.execute(_LAG)
        rows = cursor.fetchall()
    ages = [float(age or 0) for state, _, age in rows if state != CommandState.PARKED]
    return Lag(
        oldest_seconds=max(ages, default=0.0),
        counts={state: int(count) for state, count, _ in rows},
    )
