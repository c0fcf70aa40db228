"""Takes records of a stream in: first the database's commit, then the broker's."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from django.db import InterfaceError, OperationalError, connections

from apps.common.correlation import get_logger
from apps.common.failpoints import failpoint
from apps.streams.records import BrokerAway, Gap, Record, Source

logger = get_logger(__name__)

POLL_SECONDS = 0.2
#: Pauses while PostgreSQL or the broker is away: seconds, doubling.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0

Take = Callable[[Sequence[Record]], object]


class Consumer:
    """Reads a source and hands each topic's records to its own function, until `stop`.

    Killed at any moment, what was not noted as done comes again; so `take` must write nothing
    twice. While PostgreSQL is away no further records are taken, and the group keeps this member.
    """

    def __init__(
        self,
        source: Source,
        take: Mapping[str, Take],
        *,
        on_gap: Callable[[Gap], None] = lambda gap: None,
    ) -> None:
        self._source, self._take, self._on_gap = source, take, on_gap
        self._stopped = False
        self._woken: SimpleQueue[None] = SimpleQueue()
        #: Why nothing is taken now; empty while all is well.
        self.trouble = "starting"
        self.taken = 0
        self.polled_at = time.monotonic()

    def stop(self) -> None:
        """End after the records in hand. A signal handler may call it, also while it runs: an
        Event's lock would be waited for by whoever holds it."""
        self._stopped = True
        self._woken.put(None)

    def run(self) -> None:
        """Read until `stop`; leave the group then."""
        pause = FIRST_PAUSE
        try:
            while not self._stopped:
                try:
                    self._turn()
                    pause = FIRST_PAUSE
                except BrokerAway as error:
                    self._troubled(f"broker: {error}")
                    with suppress(Empty):
                        self._woken.get(timeout=pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self._source.close()
            connections.close_all()

    def _turn(self) -> None:
        records = self._source.poll(POLL_SECONDS)
        self.polled_at = time.monotonic()
        for gap in self._source.gaps():
            self._patiently(partial(self._on_gap, gap))
        by_topic: dict[str, list[Record]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        for topic, some in by_topic.items():
            if not self._patiently(partial(self._take[topic], some)):
                return
            failpoint("stream.taken")
            self._source.done(some)
            self.taken += len(some)
        self.trouble = ""

    def _patiently(self, call: Callable[[], object]) -> bool:
        """Call until the database answers; return False when a stop comes first."""
        pause = FIRST_PAUSE
        while True:
            try:
                call()
                return True
            except (OperationalError, InterfaceError) as error:
                connections.close_all()
                self._troubled(f"postgres: {str(error).strip()[:200]}")
            if self._stopped:
                return False
            self._source.hold(pause)
            self.polled_at = time.monotonic()
            pause = min(2 * pause, LONGEST_PAUSE)

    def _troubled(self, why: str) -> None:
        if why != self.trouble:
            logger.warning("stream.waits", why=why)
        self.trouble = why
