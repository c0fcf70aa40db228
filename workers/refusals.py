"""Writes this worker's refused inputs into the audit trail, beside the work.

Nothing waits for it: while PostgreSQL is away the refusals wait here, and the runs go on. A refused
signal that a killed worker had not written yet is told again by the next replay of its run.

What bounds a flood, first to last: an entry for each refused signal or start, and for each mistake
of a query; `MOST_OF_A_RUN` entries of a run (apps.engine.refusals); `MOST_IN_A_WINDOW` entries of a
worker process in ten minutes. What goes beyond is in the log and is counted.
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
#: Those told lately: a replay tells of the same again, and need not ask the database.
MOST_KNOWN = 10_000
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
_AWAY = (OperationalError, InterfaceError, PoolTimeout)


class RefusalWriter:
    """A thread that takes refusals from a queue; `tell` never blocks and never raises."""

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
        """The listener of `workers.inbound`; called from workflow threads."""
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
        """Write what waits, for at most `seconds`."""
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
        """It may be told again."""
        metrics.REFUSALS_DROPPED.inc()
        with self._lock:
            self._known.pop((refused.run_id, refused.key), None)
