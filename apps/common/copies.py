"""Copies in Redis of frequently read PostgreSQL data. PostgreSQL is authoritative.

Copies are read through: a reader that finds none reads PostgreSQL and stores one. A copy expires
after some seconds, and a write invalidates it at its commit; so a reader is behind by that time at
most, and only if Redis missed a commit. Each copy has the id of the newest row it was made from and
is only replaced by a later one: a slow reader does not bring back an older state.
"""

import hashlib
import json
from typing import Any

from django.conf import settings

from apps.common.redis import GuardedRedis, RedisAway

#: KEYS: the copy. ARGV: the newest row's id, the document as JSON (empty: invalidated), seconds.
_PUT = """
local known = redis.call('GET', KEYS[1])
local row = known and tonumber(string.match(known, '^%d+'))
if row and row > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'EX', ARGV[3])
return 1
"""


class Copies:
    """Copies of one kind of documents, each by name. Never raises when Redis is away.

    A copy is valid for `seconds`. `away` is the log message when Redis does not answer.
    """

    def __init__(self, kind: str, *, seconds: int, away: str) -> None:
        self.kind = kind
        self.seconds = seconds
        self.redis = GuardedRedis(away)

    def get(self, name: str) -> Any:
        """Return the document; None without a copy, or if it is damaged."""
        try:
            found = self.redis.ask(lambda redis: redis.get(self.key(name)))
            return json.loads(str(found or "").partition(":")[2] or "null")
        except (RedisAway, ValueError):
            return None

    def put(self, name: str, document: Any, *, row: int) -> None:
        """Store a copy of a document whose newest row has that id."""
        self._put(name, json.dumps(document), row)

    def end(self, name: str, *, row: int) -> None:
        """Invalidate copies made before the row with that id. Call it after the row's commit."""
        self._put(name, "", row)

    def key(self, name: str) -> str:
        """Return the Redis key of the copy."""
        # A digest, because names have any characters and should not be readable in a key.
        digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
        return f"{settings.LIVE_PREFIX}:{self.kind}:{digest}"

    def _put(self, name: str, document: str, row: int) -> None:
        place = self.key(name), row, document, self.seconds
        try:
            self.redis.ask(lambda redis: redis.eval(_PUT, 1, *place))
        except RedisAway:
            pass
