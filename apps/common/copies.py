"""Copies in Redis of what PostgreSQL has, for who asks often: PostgreSQL is the truth.

A copy is read through: who finds none reads PostgreSQL and leaves one. It ends after some seconds,
and a write ends it with its commit; so a reader is behind by that long at most, and only where
Redis did not hear of a commit. Each copy has the id of the newest row that it was made of and is
only ever replaced by a later one: a slow reader does not bring back what was before.
"""

import hashlib
import json
from typing import Any

from django.conf import settings

from apps.common.redis import GuardedRedis, RedisAway

#: KEYS: the copy. ARGV: the newest row, the document as JSON (empty: unknown), seconds.
_PUT = """
local known = redis.call('GET', KEYS[1])
local row = known and tonumber(string.match(known, '^%d+'))
if row and row > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'EX', ARGV[3])
return 1
"""


class Copies:
    """Of one kind of documents, each under the name of what it is about. Never raises for Redis.

    A copy is believed for `seconds`. `away` is the line in the log when Redis does not answer.
    """

    def __init__(self, kind: str, *, seconds: int, away: str) -> None:
        self.kind = kind
        self.seconds = seconds
        self.redis = GuardedRedis(away)

    def get(self, name: str) -> Any:
        """The document; None when there is no copy, or somebody has spoiled it."""
        try:
            found = self.redis.ask(lambda redis: redis.get(self.key(name)))
            return json.loads(str(found or "").partition(":")[2] or "null")
        except (RedisAway, ValueError):
            return None

    def put(self, name: str, document: Any, *, row: int) -> None:
        """Leave a copy of what was read, of which the row with that id is the newest."""
        self._put(name, json.dumps(document), row)

    def end(self, name: str, *, row: int) -> None:
        """Call it after the commit of the row with that id: what was copied before it is believed
        no more."""
        self._put(name, "", row)

    def key(self, name: str) -> str:
        """Where the copy stands."""
        # A digest: names have any characters, and are nobody's business in a key.
        digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
        return f"{settings.LIVE_PREFIX}:{self.kind}:{digest}"

    def _put(self, name: str, document: str, row: int) -> None:
        place = self.key(name), row, document, self.seconds
        try:
            self.redis.ask(lambda redis: redis.eval(_PUT, 1, *place))
        except RedisAway:
            pass
