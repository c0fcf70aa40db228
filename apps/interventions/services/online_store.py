"""Features of a target: PostgreSQL has the rows, and Redis a copy of what was read recently."""

from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from apps.common.copies import Copies

COPIES = Copies("features", seconds=15, away="features are read without their copy in Redis")
#: A payment calls it after its commit, with the target and the newest row.
copy_end = COPIES.end

#: Takes one step along the index for each name, regardless of the number of payments.
_NEWEST = """
WITH RECURSIVE names AS (
    (SELECT min(name) AS name FROM interventions_featurevalue WHERE entity = %(entity)s)
    UNION ALL
    SELECT (SELECT min(later.name) FROM interventions_featurevalue AS later
             WHERE later.entity = %(entity)s AND later.name > names.name)
      FROM names WHERE names.name IS NOT NULL
)
SELECT names.name, newest.value, newest.id
  FROM names
 CROSS JOIN LATERAL (
     SELECT id, value FROM interventions_featurevalue
      WHERE entity = %(entity)s AND name = names.name ORDER BY id DESC LIMIT 1
 ) AS newest
"""


@dataclass(frozen=True)
class Features:
    """The features of a target, by name; none for a target without a payment. `source`: `redis`
    (the copy) or `postgres`."""

    entity: str
    values: dict[str, Decimal]
    source: str


def features_online(entity: str) -> Features:
    """Return the target's features. Never raises for Redis; without it PostgreSQL answers."""
    if copy := _copy(entity):
        return Features(entity, copy, "redis")
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, {"entity": entity})
        rows = cursor.fetchall()
    if rows:
        found = {name: f"{value:f}" for name, value, _ in rows}
        COPIES.put(entity, found, row=max(row for *_, row in rows))
    return Features(entity, {name: value for name, value, _ in rows}, "postgres")


def _copy(entity: str) -> dict[str, Decimal]:
    """Return values by name; empty if there is no copy, or an unreadable one."""
    found = COPIES.get(entity)
    try:
        copy = {name: Decimal(value) for name, value in found.items()}
    except (ValueError, ArithmeticError, AttributeError, TypeError):
        return {}
    return copy if all(value.is_finite() for value in copy.values()) else {}
