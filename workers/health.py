"""The worker's `/health`, `/ready` and `/metrics`, and the gauge of readiness."""

import json
import threading

from django.conf import settings
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from apps.common.httpd import Answer, Server
from apps.engine.probes import ProbeFailed, Readiness
from apps.engine.views.health import readiness_body
from workers import metrics


class Health:
    """The worker's state: the runner sets it, the probes read it.

    `/health` is 200 while the process lives. `/ready` is 200 when the worker polls its queues and
    PostgreSQL and Temporal respond; 503 names what does not, within 5 s.
    """

    def __init__(self) -> None:
        self._servers = Readiness(["postgres", "temporal"])
        self._lock = threading.Lock()
        #: Why this worker takes no work; empty when it polls every queue.
        self._holdup = "starting"
        self._closed = False
        #: Set when the runner has said something; whoever waits for it clears it.
        self.changed = threading.Event()
        metrics.HEALTH.set(0)

    def polls(self) -> None:
        """Set: every queue is polled."""
        self._set("")

    def waits(self, reason: str) -> None:
        """Set: not every queue is polled, and why."""
        self._set(reason)

    def drains(self) -> None:
        """Set: never ready again, because the worker is draining."""
        with self._lock:
            self._closed = True
            metrics.HEALTH.set(0)
        self.changed.set()

    def _set(self, holdup: str) -> None:
        with self._lock:
            self._holdup = holdup
            if holdup:
                metrics.HEALTH.set(0)
        self.changed.set()

    def check(self) -> ProbeFailed | None:
        """Return what is missing for work, or None; set the gauge."""
        failed = self._servers.check()
        with self._lock:
            holdup = "draining" if self._closed else self._holdup
            if holdup and (self._closed or failed is None):
                failed = ProbeFailed("worker", holdup)
            metrics.HEALTH.set(0 if failed else 1)
        return failed

    # --- routes ---------------------------------------------------------------------------------
    def health(self) -> Answer:
        return _json(200, {"status": "healthy", "service": settings.SERVICE_NAME})

    def ready(self) -> Answer:
        failed = self.check()
        # An internal port: its callers may read the reason.
        error = failed.error if failed else ""
        return _json(503 if failed else 200, readiness_body(failed, error=error))


def health_server(health: Health) -> Server:
    """Return the server on HEALTH_PORT. Raises PortTaken."""
    return Server(
        host=settings.HEALTH_HOST,
        port=settings.HEALTH_PORT,
        setting="HEALTH_PORT",
        routes={"/health": health.health, "/ready": health.ready},
    )


def metrics_server(scrape: metrics.Scrape) -> Server:
    """Return the server on METRICS_PORT. Raises PortTaken."""
    return Server(
        host=settings.METRICS_HOST,
        port=settings.METRICS_PORT,
        setting="METRICS_PORT",
        routes={"/metrics": lambda: Answer(200, CONTENT_TYPE_PLAIN_0_0_4, scrape())},
    )


def _json(status: int, document: dict[str, str]) -> Answer:
    return Answer(status, "application/json", json.dumps(document).encode())
