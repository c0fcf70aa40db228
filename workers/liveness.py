"""The worker's heartbeat, and the metrics that need a query, every two seconds."""

import threading
from collections.abc import Sequence

from django.db import connections

from apps.common import correlation
from apps.engine import liveness
from apps.engine.relay.state import lag
from apps.engine.selectors import open_runs_count
from apps.streams.selectors import events_lag
from workers import metrics
from workers.health import Health

logger = correlation.get_logger("workers.liveness")

BEAT_SECONDS = 2.0


class Beats:
    """A thread that beats while this worker polls, until stopped or the process ends.

    If PostgreSQL hangs, the thread waits for it and beats again as soon as it answers.
    """

    def __init__(self, *, name: str, queues: Sequence[str], health: Health) -> None:
        self._name = name
        self._queues = list(queues)
        self._health = health
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="beats", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = 2.0) -> None:
        """Stop beating and delete the heartbeat."""
        self._stopping = True
        self._health.changed.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            failed = self._health.check()
            # A worker that does not poll counts as absent; an outage of PostgreSQL shows by itself.
            if failed is None:
                self._beat()
            # A worker that begins to poll says so at once: others wait for it.
            self._health.changed.wait(BEAT_SECONDS)
            # Cleared before anything is looked at: what changes from here on is seen, or sets it
            # again.
            self._health.changed.clear()
            if self._stopping:
                self._take_back()
                return

    def _beat(self) -> None:
        try:
            liveness.beat("worker", self._name, self._queues, False)
            _measure()
        except Exception as error:
            logger.warning("beat.not_written", error=f"{type(error).__name__}: {error}")
        finally:
            connections.close_all()

    def _take_back(self) -> None:
        try:
            liveness.gone("worker", self._name)
        except Exception as error:
            # Its silence says the same within ten seconds.
            logger.info("beat.not_taken_back", error=str(error))
        finally:
            connections.close_all()


def _measure() -> None:
    outbox = lag()
    metrics.RELAY_PENDING.set(outbox.waiting)
    metrics.RELAY_PARKED.set(outbox.parked)
    metrics.RELAY_LAG.set(outbox.oldest_seconds)
    metrics.OPEN_WORKFLOWS.set(open_runs_count())
    for topic, seconds in events_lag().items():
        metrics.EVENTS_LAG.labels(topic).set(seconds)
