"""Answers of Temporal that many pages show: one call every few seconds for all viewers.

The newest answer is kept in Redis, for all processes, and in the process's memory for as long as
Redis is away. It outlives an outage of Temporal: a page shows it with its time.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Generic, TypeVar

from django.conf import settings
from django.utils import timezone
from pydantic import TypeAdapter, ValidationError
from redis import Redis

from apps.common.language import lazy as _
from apps.common.redis import GuardedRedis, RedisAway
from apps.engine.reads import Answer

#: An answer is not asked for again within this time, whoever looks.
FRESH = timedelta(seconds=3)
#: How long the newest answer is kept for the time when Temporal does not answer.
KEPT = timedelta(days=1)
#: Whoever asks has this long; then somebody else may. Longer than the deadline of `reads`.
ASKING = timedelta(seconds=3)
#: The most answers in a process's own memory.
MOST_KEPT = 100

A = TypeVar("A", bound=Answer)

_redis = GuardedRedis(_("answers of the engine are kept by each process for itself"))


@dataclass(frozen=True)
class Seen(Generic[A]):
    """The newest answer and its time; both None while Temporal has never answered.

    `away_since`: since when Temporal does not answer; None while it does.
    """

    asked_at: datetime
    answer: A | None = None
    at: datetime | None = None
    away_since: datetime | None = None


class Watch(Generic[A]):
    """A question whose answer many pages show. `kind`: the type of its answers."""

    def __init__(self, name: str, kind: type[A]) -> None:
        self._name = name
        self._shape: TypeAdapter[Seen[A]] = TypeAdapter(Seen[kind])  # type: ignore[valid-type]
        self._memory: OrderedDict[str, str] = OrderedDict()
        self._asking: set[str] = set()
        self._lock = threading.Lock()

    def look(self, question: Callable[[], A], *, of: str = "") -> Seen[A]:
        """Return the newest answer; `of` distinguishes questions. Asks when the answer is older
        than FRESH and nobody else is asking.

        Takes as long as the question: never longer than the deadline of `reads`, plus that of two
        calls to Redis. Raises nothing.
        """
        key = f"{settings.INSTALLATION}:{settings.TEMPORAL_NAMESPACE}:engine:{self._name}:{of}"
        before = self._read(key)
        now = timezone.now()
        if before is not None and now - before.asked_at < FRESH:
            return before
        if not self._begin(key) and before is not None:
            return before
        try:
            after = _after(before, question(), timezone.now())
            self._write(key, after)
        finally:
            self._end(key)
        return after

    def forget(self) -> None:
        """Forget what this process remembers."""
        with self._lock:
            self._memory.clear()
            self._asking.clear()

    # --- the store --------------------------------------------------------------------------------
    def _read(self, key: str) -> Seen[A] | None:
        try:
            text = _redis.ask(lambda client: client.get(key))
        except RedisAway:
            text = None
        text = text or self._memory.get(key)
        if not isinstance(text, str):
            return None
        try:
            return self._shape.validate_json(text)
        except ValidationError:
            return None  # another version of the program wrote it

    def _write(self, key: str, seen: Seen[A]) -> None:
        text = self._shape.dump_json(seen).decode()
        with self._lock:
            self._memory[key] = text
            self._memory.move_to_end(key)
            while len(self._memory) > MOST_KEPT:
                self._memory.popitem(last=False)
        _quietly(lambda client: client.set(key, text, ex=KEPT))

    def _begin(self, key: str) -> bool:
        """Return whether this caller asks; in this process and in all others."""
        with self._lock:
            if key in self._asking:
                return False
            self._asking.add(key)
        try:
            take = partial(Redis.set, name=f"{key}:asking", value="1", nx=True, px=ASKING)
            if _redis.ask(take):
                return True
        except RedisAway:
            return True
        with self._lock:
            self._asking.discard(key)
        return False

    def _end(self, key: str) -> None:
        with self._lock:
            self._asking.discard(key)
        _quietly(lambda client: client.delete(f"{key}:asking"))


def _after(before: Seen[A] | None, answer: A, now: datetime) -> Seen[A]:
    if answer.available:
        return Seen(asked_at=now, answer=answer, at=now)
    if before is None:
        return Seen(asked_at=now, away_since=now)
    return Seen(
        asked_at=now,
        answer=before.answer,
        at=before.at,
        away_since=before.away_since or now,
    )


def _quietly(call: Callable[[Redis], object]) -> None:
    try:
        _redis.ask(call)
    except RedisAway:
        pass  # logged once; the process's own memory has it
