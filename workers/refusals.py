"""Writes this worker's refused inputs into the audit trail, beside the work.

Runs never wait for it: during an outage of PostgreSQL the refusals wait here. A refused signal that
a killed worker had not written yet is reported again by the next replay of its run.

Limits against floods, in order: one entry for each refused signal or start, and for each mistake of
a query; `MOST_OF_A_RUN` entries per run (apps.engine.refusals); `MOST_IN_A_WINDOW` entries per
worker process in ten minutes. Refusals beyond the limits are logged and counted.
"""

import queue
import threading
from collections import OrderedDict
from time import monotonic

from django.db import InterfaceError, OperationalError, connections
from psycopg_pool import PoolTimeout

from apps.common import correlation
from apps.engine.contracts import RefusedInput
from apps.engine.refusals import input_refused
from workers import metrics

logger = correlation.get_logger("workers.refusals")

MOST_WAITING = 1_000
MOST_IN_A_WINDOW = 1_000
WINDOW_SECONDS = 600.0
#: Recent refusals: a replay reports the same one again, without another query.
MOST_KNOWN = 10_000
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
_AWAY = (OperationalError, InterfaceError, PoolTimeout)


class RefusalWriter:
    """A thread that writes refusals from a queue; `tell` never blocks and never raises."""

    def __init__(self) -> None:
        self._queue: queue.Queue[RefusedInput | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._window = 0.0
        self._in_window = 0
        self._stopping = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def tell(self, refused: RefusedInput) -> None:
        """Queue a refusal. The listener of `workers.inbound`; called from workflow threads."""
        key = (refused.run_id, refused.key)
        with self._lock:
            if key in self._known:
                return
            if not self._allowed():
                metrics.REFUSALS_DROPPED.inc()
                return
            try:
                self._queue.put_nowait(refused)
            except queue.Full:
                metrics.REFUSALS_DROPPED.inc()
                return
            self._known[key] = None
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)

    def stop(self, seconds: float = 3.0) -> None:
        """Write the queued refusals, for at most `seconds`."""
        deadline = monotonic() + seconds
        try:
            self._queue.put(None, timeout=seconds)
        except queue.Full:
            return
        self._stopping.set()
        self._thread.join(max(0.0, deadline - monotonic()))

    def _allowed(self) -> bool:
        now = monotonic()
        if now - self._window > WINDOW_SECONDS or not self._window:
            self._window, self._in_window = now, 0
        self._in_window += 1
        return self._in_window <= MOST_IN_A_WINDOW

    def _run(self) -> None:
        while (refused := self._queue.get()) is not None:
            self._write(refused)

    def _write(self, refused: RefusedInput) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                input_refused(refused)
                return
            except _AWAY as error:
                logger.warning("refusal.waits", error=str(error), again_in=pause)
                if self._stopping.wait(pause):
                    self._lost(refused)
                    return
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception:
                logger.exception("refusal.not_written")
                self._lost(refused)
                return
            finally:
                if self._queue.empty() or pause > FIRST_PAUSE:
                    connections.close_all()

    def _lost(self, refused: RefusedInput) -> None:
        """Count a refusal as dropped, and forget it, so that it can be reported again."""
        metrics.REFUSALS_DROPPED.inc()
        with self._lock:
            self._known.pop((refused.run_id, refused.key), None)
