"""Redis Streams: a consumer group that takes over what a killed consumer has not finished."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from apps.common.correlation import get_logger
from apps.streams.records import BrokerAway, Gap, Record, moment_of

logger = get_logger(__name__)

MOST = 500
CALL_SECONDS = 5.0
#: The field of an entry that is the message; its key is in KEY, all others are headers.
VALUE, KEY = b"value", b"key"
#: An entry that its consumer has not finished for so long is taken over.
IDLE_SECONDS = 30.0

R = TypeVar("R")


class RedisSource:
    """Reads streams as a consumer of a group. One reads at a time and the others stand by, so that
    entries are taken in in their order."""

    def __init__(
        self,
        *,
        url: str,
        group: str,
        topics: Sequence[str],
        name: str,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._topics, self._group, self._name = list(topics), group, name
        self._idle = idle_seconds
        self._redis: Any = Redis.from_url(
            url, socket_timeout=CALL_SECONDS, socket_connect_timeout=CALL_SECONDS
        )
        self._ready = False
        self._looked = 0.0
        #: First what this consumer began before a restart under the same name, then new entries.
        self._own_first = True

    def poll(self, seconds: float) -> list[Record]:
        """See `Source`."""
        return self._ask(lambda: self._poll(seconds))

    def done(self, records: Sequence[Record]) -> None:
        """See `Source`."""
        by_topic: dict[str, list[str]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record.offset)
        try:
            for topic, ids in by_topic.items():
                self._redis.xack(topic, self._group, *ids)
        except (RedisError, OSError) as error:
            logger.warning("redis.not_acknowledged", error=repr(error))

    def hold(self, seconds: float) -> None:
        """See `Source`. A group keeps its members, so nothing is needed but time."""
        time.sleep(seconds)

    def lag(self) -> int:
        """See `Source`: entries that nobody has read, and those that somebody has not finished."""

        def count() -> int:
            self._prepare()
            behind = 0
            for topic in self._topics:
                for group in self._redis.xinfo_groups(topic):
                    if group["name"].decode() == self._group:
                        behind += (group.get("lag") or 0) + group["pending"]
            return behind

        return self._ask(count)

    def gaps(self) -> list[Gap]:
        """See `Source`. A trimmed entry leaves no trace unless somebody had begun it."""
        return []

    def close(self) -> None:
        """See `Source`. A consumer with entries in its hands stays, so that they are found."""
        try:
            for topic in self._topics:
                mine = self._redis.xpending_range(
                    topic, self._group, min="-", max="+", count=1, consumername=self._name
                )
                if not mine:
                    self._redis.xgroup_delconsumer(topic, self._group, self._name)
        except (RedisError, OSError) as error:
            logger.warning("redis.not_left", error=repr(error))
        self._redis.close()

    # --- helpers ---------------------------------------------------------------------------------
    def _ask(self, call: Callable[[], R]) -> R:
        try:
            return call()
        except (RedisError, OSError) as error:
            # After a loss of its data the server knows no group.
            self._ready = False
            raise BrokerAway(repr(error)) from error

    def _prepare(self) -> None:
        if self._ready:
            return
        for topic in self._topics:
            try:
                self._redis.xgroup_create(topic, self._group, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
        self._ready = True

    def _poll(self, seconds: float) -> list[Record]:
        self._prepare()
        taken_over = self._take_over()
        if taken_over:
            return taken_over
        if self._others_hold_entries():
            # What came first is taken in first, as from a partition of Kafka: of two events with
            # one id the first stands. Who lives finishes soon; who is dead is taken over from.
            self._looked = 0.0
            time.sleep(seconds)
            return []
        begin = "0" if self._own_first else ">"
        found = self._redis.xreadgroup(
            self._group,
            self._name,
            dict.fromkeys(self._topics, begin),
            count=MOST,
            block=None if self._own_first else max(1, int(seconds * 1000)),
        )
        records = [
            record
            for topic, entries in _pairs(found)
            for record in self._records(topic.decode(), entries)
        ]
        self._own_first = self._own_first and bool(records)
        return records

    def _others_hold_entries(self) -> bool:
        """Return whether another consumer has begun entries and not finished them."""
        return any(
            consumer["pending"] and consumer["name"].decode() != self._name
            for topic in self._topics
            for consumer in self._redis.xinfo_consumers(topic, self._group)
        )

    def _take_over(self) -> list[Record]:
        """Return entries that another consumer has left unfinished."""
        if time.monotonic() - self._looked < self._idle / 3:
            return []
        records: list[Record] = []
        for topic in self._topics:
            _, entries, deleted = self._redis.xautoclaim(
                topic,
                self._group,
                self._name,
                min_idle_time=int(self._idle * 1000),
                count=MOST,
            )
            if deleted:
                logger.warning("redis.entries_gone", topic=topic, entries=len(deleted))
            records += self._records(topic, entries)
        if not records:
            self._looked = time.monotonic()
        return records

    def _records(self, topic: str, entries: Any) -> list[Record]:
        records, gone = [], []
        for identifier, fields in entries:
            if fields is None:
                # Trimmed while somebody had it: there is nothing to read any more.
                gone.append(identifier)
            else:
                records.append(_record(topic, identifier.decode(), fields))
        if gone:
            logger.warning("redis.entries_gone", topic=topic, entries=len(gone))
            self._redis.xack(topic, self._group, *gone)
        return records


def _pairs(found: Any) -> list[tuple[bytes, Any]]:
    """Return stream and entries, in either of the client's shapes."""
    if isinstance(found, dict):
        return [(topic, entries[0] if entries else []) for topic, entries in found.items()]
    return [(topic, entries) for topic, entries in found or []]


def _record(topic: str, identifier: str, fields: dict[bytes, bytes]) -> Record:
    milliseconds = int(identifier.partition("-")[0])
    return Record(
        source="redis",
        topic=topic,
        offset=identifier,
        value=fields.get(VALUE),
        key=fields.get(KEY),
        headers=tuple(
            (name.decode(errors="backslashreplace"), value)
            for name, value in fields.items()
            if name not in (VALUE, KEY)
        ),
        # Ids are times unless a producer chose its own.
        sent_at=moment_of(milliseconds) if milliseconds else None,
    )
