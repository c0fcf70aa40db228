"""Features of a target: PostgreSQL is the truth, Redis has a copy of what was asked for lately.

The copy is read through: who finds none reads PostgreSQL and leaves one. It ends after
COPY_SECONDS, and a payment ends it with its commit; so a reader is behind by that long at most, and
only where Redis did not hear of a commit. Each copy has the id of the newest row that it was made
of and is only ever replaced by a later one: a slow reader does not bring back what was before.
"""

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.db import connection

from apps.common.redis import GuardedRedis, RedisAway

#: How long a copy is believed.
COPY_SECONDS = 15

_redis = GuardedRedis("features are read without their copy in Redis")

#: KEYS: the copy. ARGV: the newest row, the values as JSON (empty: unknown), seconds.
_PUT = """
local known = redis.call('GET', KEYS[1])
local row = known and tonumber(string.match(known, '^%d+'))
if row and row > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'EX', ARGV[3])
return 1
"""
#: One step along the index for each name, however often the target was paid.
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
    """What is known of a target, by name; nothing for a target that nobody paid. `source`: `redis`
    (the copy) or `postgres`."""

    entity: str
    values: dict[str, Decimal]
    source: str


def features_online(entity: str) -> Features:
    """The target's features. Never raises for Redis; without it PostgreSQL answers."""
    if copy := _copy(entity):
        return Features(entity, copy, "redis")
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, {"entity": entity})
        rows = cursor.fetchall()
    if rows:
        found = {name: f"{value:f}" for name, value, _ in rows}
        _put(entity, max(row for *_, row in rows), json.dumps(found))
    return Features(entity, {name: value for name, value, _ in rows}, "postgres")


def copy_end(entity: str, *, row: int) -> None:
    """Call it after the commit of the target's row with that id: what was copied before it is
    believed no more. Never raises."""
    _put(entity, row, "")


def _copy(entity: str) -> dict[str, Decimal]:
    """Values by name; empty when there is no copy, or somebody has spoiled it."""
    try:
        found = _redis.ask(lambda redis: redis.get(_key(entity)))
        values = json.loads(str(found or "").partition(":")[2] or "{}")
        copy = {name: Decimal(value) for name, value in values.items()}
    except (RedisAway, ValueError, ArithmeticError, AttributeError, TypeError):
        return {}
    return copy if all(value.is_finite() for value in copy.values()) else {}


def _put(entity: str, row: int, values: str) -> None:
    try:
        _redis.ask(lambda redis: redis.eval(_PUT, 1, _key(entity), row, values, COPY_SECONDS))
    except RedisAway:
        pass


def _key(entity: str) -> str:
    # A digest: names of targets have any characters, and are nobody's business in a key.
    digest = hashlib.sha256(entity.encode("utf-8", "replace")).hexdigest()
    return f"{settings.LIVE_PREFIX}:features:{digest}"
