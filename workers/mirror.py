"""Writes this worker's notices of runs into the mirror, beside the work, best effort.

The sweeper over visibility is authoritative: it finds within its interval what is lost here (by a
kill, an outage of PostgreSQL or a full queue).
"""

import queue
import threading
from collections.abc import Collection
from time import monotonic

from django.db import connections, transaction

from apps.common import correlation
from apps.engine.mirror import Observation, runs_observe
from workers import metrics
from workers.run_observer import RunNotice

logger = correlation.get_logger("workers.mirror")

MOST_WAITING = 10_000
BATCH = 200
#: So long the first notice waits for others: a busy worker then commits 20 times a second at most.
GATHER_SECONDS = 0.05


class MirrorWriter:
    """A thread that writes notices from a queue; `tell` never blocks and never raises."""

    def __init__(self, *, leave_out: Collection[str] = ()) -> None:
        """`leave_out` names unmirrored workflow types. Runs whose start asked to be `unmirrored`
        are left out in any case."""
        self._leave_out = frozenset(leave_out)
        self._queue: queue.Queue[RunNotice | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def tell(self, notice: RunNotice) -> None:
        """Queue a notice. The listener of `workers.run_observer`; called from workflow threads."""
        if not notice.mirrored or notice.workflow_type in self._leave_out:
            return
        try:
            self._queue.put_nowait(notice)
        except queue.Full:
            metrics.NOTICES_DROPPED.inc()

    def stop(self, seconds: float = 3.0) -> None:
        """Write the queued notices, for at most `seconds`."""
        deadline = monotonic() + seconds
        try:
            self._queue.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(max(0.0, deadline - monotonic()))

    def _run(self) -> None:
        while True:
            batch = self._take()
            self._write([notice for notice in batch if notice is not None])
            if None in batch:
                return

    def _take(self) -> list[RunNotice | None]:
        batch = [self._queue.get()]
        deadline = monotonic() + GATHER_SECONDS
        while len(batch) < BATCH and batch[-1] is not None:
            try:
                batch.append(self._queue.get(timeout=max(0.0, deadline - monotonic())))
            except queue.Empty:
                break
        return batch

    def _write(self, notices: list[RunNotice]) -> None:
        try:
            with transaction.atomic():
                runs_observe([_observation(notice) for notice in notices])
        except Exception as error:
            metrics.NOTICES_DROPPED.inc(len(notices))
            logger.warning("mirror.not_written", notices=len(notices), error=str(error))
        finally:
            connections.close_all()


def _observation(notice: RunNotice) -> Observation:
    ended = notice.status.closed
    return Observation(
        workflow_id=notice.workflow_id,
        run_id=notice.run_id,
        workflow_type=notice.workflow_type,
        task_queue=notice.task_queue,
        status=notice.status,
        seen_at=notice.at,
        confirmed=False,
        started_at=None if ended else notice.at,
        closed_at=notice.at if ended else None,
    )
