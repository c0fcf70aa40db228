"""A process that consumes streams: `/health`, `/ready`, `/metrics`, a heartbeat, and an end in
order."""

import json
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

import prometheus_client
from django.conf import settings
from django.db import connections
from prometheus_client import Gauge
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from apps.common import correlation
from apps.common.httpd import Answer, Server
from apps.engine import liveness
from apps.streams.consumer import Consumer
from apps.streams.records import BrokerAway

logger = correlation.get_logger("apps.streams")

BEAT_SECONDS = 2.0
#: A consumer that has not come round for so long hangs, whatever it says.
STUCK_SECONDS = 60.0
ROLE = "consumer"

LAG = Gauge("countersign_stream_lag", "Messages that the group has not read, or not finished.")
TAKEN = Gauge("countersign_stream_taken", "Messages taken in by this process since its start.")


class ConsumerProcess:
    """Runs a consumer in the main thread until SIGTERM or SIGINT, and tells how it is."""

    def __init__(self, consumer: Consumer, *, lag: Callable[[], int], port: int) -> None:
        self._consumer, self._lag = consumer, lag
        self._name = liveness.process_name()
        self._ended = threading.Event()
        self._server = Server(
            host=settings.HEALTH_HOST,
            port=port,
            setting="CONSUMER_HEALTH_PORT",
            routes={"/health": _healthy, "/ready": self._ready, "/metrics": _metrics},
        )
        self._beats = threading.Thread(target=self._beat, name="beats", daemon=True)

    def run(self) -> None:
        """Serve until a signal; the records in hand are finished first."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._server.start()
        self._beats.start()
        logger.info("stream.consumes")
        try:
            self._consumer.run()
        finally:
            self._ended.set()
            self._beats.join(2)
            self._server.stop()
            logger.info("stream.closed", taken=self._consumer.taken)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._consumer.stop()

    def _trouble(self) -> str:
        if time.monotonic() - self._consumer.polled_at > STUCK_SECONDS:
            return "stuck"
        return self._consumer.trouble

    def _ready(self) -> Answer:
        trouble = self._trouble()
        body = {"status": "unready", "error": trouble} if trouble else {"status": "ready"}
        return _json(503 if trouble else 200, body)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                TAKEN.set(self._consumer.taken)
                if not self._trouble():
                    lag = self._lag()
                    LAG.set(lag)
                    told = {"taken": self._consumer.taken, "lag": lag}
                    liveness.beat(ROLE, self._name, detail=told)
            except BrokerAway as error:
                logger.info("stream.lag_unknown", error=str(error))
            except Exception as error:
                logger.warning("beat.not_written", error=f"{type(error).__name__}: {error}")
            finally:
                connections.close_all()
        try:
            liveness.gone(ROLE, self._name)
        except Exception as error:
            logger.info("beat.not_taken_back", error=str(error))
        finally:
            connections.close_all()


def _healthy() -> Answer:
    return _json(200, {"status": "healthy", "service": settings.SERVICE_NAME})


def _metrics() -> Answer:
    return Answer(200, CONTENT_TYPE_PLAIN_0_0_4, prometheus_client.generate_latest())


def _json(status: int, document: dict[str, str]) -> Answer:
    return Answer(status, "application/json", json.dumps(document).encode())
