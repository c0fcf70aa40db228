"""A worker inside the web process (`START_TEMPORAL_WORKER`), in a thread of its own."""

import threading

from django.conf import settings

from apps.common import correlation

logger = correlation.get_logger("workers.embedded_worker")

#: Beyond the drain, the time in which the worker's thread ends.
CLOSE_SECONDS = 10.0


class EmbeddedWorker:
    """Serves all queues, or those of TEMPORAL_TASK_QUEUE, beside the pages."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._runner: object = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin to serve. The start of the site does not wait for it."""
        self._thread.start()

    def stop(self) -> None:
        """Drain, and end: at most WORKER_DRAIN_SECONDS and a little more."""
        self._ending.set()
        if self._runner is not None:
            self._runner.stop()  # type: ignore[attr-defined]
        if self._thread.is_alive():
            self._thread.join(settings.WORKER_DRAIN_SECONDS + CLOSE_SECONDS)

    def _run(self) -> None:
        # The engine's client takes a second to load: not before the site answers.
        from workers.registry import chosen
        from workers.runner import Runner

        try:
            runner = self._runner = Runner(chosen(), embedded=True)
            if not self._ending.is_set():
                runner.run()
        except Exception:
            logger.exception("worker.embedded_failed")
