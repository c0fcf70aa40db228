"""The online copy of the feature store: a hash for each target in Redis, read in one question.

PostgreSQL is the truth and the copy is only ever behind it, never beside it:

- Every value carries its row's id, and a write moves a value forward by id, whatever the order in
  which writes arrive.
- The copy lives under an epoch. Epoch and watermark (how far the rows were pushed) are one key:
  whoever loses one loses the other, and hashes of another epoch are not believed.
- A hash is believed only once it was filled as a whole from PostgreSQL: after a flush the next
  payment would else look like all there is.

Nothing here waits for Redis for longer than a moment, and only what is asked to repair the copy
raises when it is away.
"""

import hashlib
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import takewhile
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from apps.common.correlation import get_logger
from apps.common.errors import Unavailable
from apps.interventions.models import FeatureValue

logger = get_logger(__name__)

#: One question of a saga or a page. It is beside us or it is down.
REDIS_SECONDS = 0.3
#: After it did not answer it is not asked for so long: sagas must not wait for it one by one.
QUIET_SECONDS = 5.0
#: A repair writes many at once, and nobody waits for it.
REPAIR_SECONDS = 10.0
#: What nobody writes or reads for so long leaves the copy; PostgreSQL still answers for it.
KEPT_SECONDS = 90 * 24 * 3600
#: Ids are given before the commit: rows may appear below the watermark for so long after it...
OVERLAP_SECONDS = 60
#: ...and a copy that begins now looks so many rows back.
OVERLAP_ROWS = 1000
#: Rows of one question to PostgreSQL, and questions of one turn of the duty.
PUSH_ROWS, PUSH_TURNS = 2000, 20
REBUILD_ENTITIES = 500


class Feature(NamedTuple):
    """A value and the id of its row: later rows have greater ids."""

    entity: str
    name: str
    value: Decimal
    row: int


@dataclass(frozen=True)
class Features:
    """What is known of a target, by name. `source`: `redis`, or `postgres` when the copy has not
    got it."""

    entity: str
    values: dict[str, Decimal]
    source: str


# --- writing --------------------------------------------------------------------------------------
#: KEYS: the target's hash, the state. ARGV: lifetime, the epoch in which the fill was read (empty:
#: not a fill), then name, row, value of each. A hash of another epoch is begun anew.
_PUT = """
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then return -1 end
if ARGV[2] ~= '' and ARGV[2] ~= epoch then return -1 end
if redis.call('HGET', KEYS[1], '@epoch') ~= epoch then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], '@epoch', epoch)
end
local moved = 0
for i = 3, #ARGV, 3 do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  local row = known and tonumber(string.match(known, '^%d+'))
  if not row or row <= tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ':' .. ARGV[i + 2])
    moved = moved + 1
  end
end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], '@whole', '1') end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return moved
"""
#: KEYS: the state. ARGV: a new epoch, where its watermark begins. Of two at once one begins it.
_BEGIN = """
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch then return epoch end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'row', ARGV[2])
return ARGV[1]
"""
#: KEYS: the state. ARGV: the epoch, a field, its value; without a value the field goes. Nothing
#: once the epoch is over.
_MARK = """
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
if ARGV[3] then
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
else
  redis.call('HDEL', KEYS[1], ARGV[2])
end
return 1
"""


def online_put(features: Iterable[Feature]) -> bool:
    """Bring rows that are committed to the copy; whether Redis took them. Never raises.

    Out of order, twice, or many at once: the row with the greatest id stays.
    """
    try:
        client = _client(settings.REDIS_URL, REDIS_SECONDS)
        _guarded(lambda: _put(client, _by_entity(features)))
    except RedisError:
        return False
    return True


def features_online(entity: str) -> Features:
    """The target's features from the copy, else from PostgreSQL, which then fills the copy.

    What was committed a moment ago may be missing from the copy until it arrives there. `values`
    is empty for a target that nothing is known of.
    """
    client = _client(settings.REDIS_URL, REDIS_SECONDS)
    epoch = ""
    try:
        found, epoch = _guarded(lambda: _read(client, entity))
        if found.get("@whole") and found.get("@epoch") == epoch:
            return Features(entity, _values(found), "redis")
    except (RedisError, ValueError, InvalidOperation):
        pass
    rows = list(_newest([entity]))
    if rows and epoch:
        try:
            _guarded(lambda: _put(client, {entity: rows}, epoch=epoch))
        except RedisError:
            pass
    return Features(entity, {row.name: row.value for row in rows}, "postgres")


# --- repairing ------------------------------------------------------------------------------------
def online_catch_up() -> int:
    """Push the rows that came since the watermark: how many of them it has passed. Safe to repeat.

    A copy without a watermark begins here: what is older is filled in when it is asked for. Raises
    Unavailable while Redis is away: the watermark stays, and the next turn begins there.
    """
    try:
        return _catch_up(_client(settings.REDIS_URL, REPAIR_SECONDS))
    except RedisError as error:
        raise Unavailable("Redis does not answer.", code="redis_unavailable") from error


def online_rebuild(*, again: bool = False) -> Iterator[int]:
    """Fill the copy of every target from PostgreSQL, batch by batch: how many targets each had.

    Interrupted, the next call goes on where it was; `again` begins anew under a new epoch, after
    which nothing of the old copy is believed. Raises Unavailable while Redis is away.
    """
    client = _client(settings.REDIS_URL, REPAIR_SECONDS)
    try:
        epoch, cursor = client.hmget(_state_key(), "epoch", "cursor")
        if again or epoch is None or cursor is None:
            # The old copy may hold what PostgreSQL, restored from a backup, has not.
            client.delete(_state_key())
            epoch, cursor = _epoch_begin(client), ""
            _mark(client, epoch, "cursor", cursor)
        while entities := _entities_after(str(cursor)):
            _put(client, _by_entity(_newest(entities)), epoch=str(epoch))
            cursor = entities[-1]
            if not _mark(client, str(epoch), "cursor", cursor):
                raise Unavailable(
                    "Somebody has begun the copy anew meanwhile; run it again.",
                    code="copy_begun_anew",
                )
            yield len(entities)
        _mark(client, str(epoch), "cursor")
    except RedisError as error:
        raise Unavailable("Redis does not answer.", code="redis_unavailable") from error


def _catch_up(client: "Redis") -> int:
    top = client.hget(_state_key(), "top")
    if top is not None and _newest_row() < int(top):
        # PostgreSQL was restored from a backup: the copy knows rows that it has not.
        client.delete(_state_key())
    epoch = _epoch_begin(client)
    row = int(client.hget(_state_key(), "row") or 0)
    passed = 0
    for _ in range(PUSH_TURNS):
        rows = _after(row)
        if not rows:
            break
        _put(client, _by_entity(feature for feature, _ in rows))
        # No further than what is surely committed, or rows that commit late would be passed by.
        settled = [feature.row for feature, _ in takewhile(lambda row: row[1], rows)]
        if settled:
            _mark(client, epoch, "row", max(settled))
        passed += len(settled)
        row = rows[-1][0].row
        _mark(client, epoch, "top", row)
    return passed


def _epoch_begin(client: "Redis") -> str:
    begin = max(0, _newest_row() - OVERLAP_ROWS)
    return str(client.eval(_BEGIN, 1, _state_key(), uuid.uuid4().hex, begin))


def _mark(client: "Redis", epoch: str, field: str, *value: str | int) -> bool:
    return bool(client.eval(_MARK, 1, _state_key(), epoch, field, *value))


# --- Redis ----------------------------------------------------------------------------------------
_quiet_until: dict[str, float] = {}


class _Quiet(RedisError):
    """It did not answer a moment ago."""


def _guarded(call: Any) -> Any:
    url = settings.REDIS_URL
    if time.monotonic() < _quiet_until.get(url, 0.0):
        raise _Quiet
    try:
        return call()
    except (RedisError, OSError) as error:
        _quiet_until[url] = time.monotonic() + QUIET_SECONDS
        logger.warning("the online copy of the features is behind", error=repr(error))
        raise RedisError from error


@lru_cache(maxsize=8)
def _client(url: str, seconds: float) -> "Redis":
    return Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=min(seconds, 2.0),
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


def _put(client: "Redis", rows: dict[str, list[Feature]], *, epoch: str = "") -> None:
    pipe = client.pipeline(transaction=False)
    for entity, features in rows.items():
        newest: dict[str, Feature] = {}
        for feature in features:
            if feature.name not in newest or feature.row > newest[feature.name].row:
                newest[feature.name] = feature
        flat = [part for f in newest.values() for part in (f.name, f.row, f"{f.value:f}")]
        pipe.eval(_PUT, 2, _key(entity), _state_key(), KEPT_SECONDS, epoch, *flat)
    pipe.execute()


def _read(client: "Redis", entity: str) -> tuple[dict[str, str], str]:
    pipe = client.pipeline(transaction=True)
    pipe.hgetall(_key(entity))
    pipe.hget(_state_key(), "epoch")
    found, epoch = pipe.execute()
    return found, epoch or ""


def _values(found: dict[str, str]) -> dict[str, Decimal]:
    return {
        name: Decimal(text.partition(":")[2])
        for name, text in sorted(found.items())
        if not name.startswith("@")
    }


def _key(entity: str) -> str:
    # A digest: names of targets have any characters, and are nobody's business in a key.
    digest = hashlib.sha256(entity.encode("utf-8", "replace")).hexdigest()
    return f"{settings.LIVE_PREFIX}:feature:{digest}"


def _state_key() -> str:
    return f"{settings.LIVE_PREFIX}:features"


# --- PostgreSQL -----------------------------------------------------------------------------------
def _newest_row() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(id), 0) FROM interventions_featurevalue")
        return int(cursor.fetchone()[0])


def _newest(entities: list[str]) -> Iterator[Feature]:
    rows = (
        FeatureValue.objects.filter(entity__in=entities)
        .order_by("entity", "name", "-id")
        .distinct("entity", "name")
        .values_list("entity", "name", "value", "id")
    )
    return (Feature(*row) for row in rows)


def _entities_after(cursor: str) -> list[str]:
    rows = FeatureValue.objects.filter(entity__gt=cursor).order_by("entity").distinct("entity")
    return list(rows.values_list("entity", flat=True)[:REBUILD_ENTITIES])


def _after(row: int) -> list[tuple[Feature, bool]]:
    """The next rows, each with whether it is old enough for all before it to be committed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT entity, name, value, id, at < clock_timestamp() - make_interval(secs => %s)
              FROM interventions_featurevalue WHERE id > %s ORDER BY id LIMIT %s
            """,
            [OVERLAP_SECONDS, row, PUSH_ROWS],
        )
        return [(Feature(*fields), old) for *fields, old in cursor.fetchall()]


def _by_entity(features: Iterable[Feature]) -> dict[str, list[Feature]]:
    found: dict[str, list[Feature]] = {}
    for feature in features:
        found.setdefault(feature.entity, []).append(feature)
    return found
