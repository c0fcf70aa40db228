"""The heartbeat of a site's process, for the Workers page. `/ready` does not depend on it."""

import threading

from django.db import connections

from apps.common import correlation
from apps.engine import liveness

logger = correlation.get_logger(__name__)

BEAT_SECONDS = 2.0
#: How long the end of the process waits for the heartbeat to be deleted.
EXIT_SECONDS = 2.0


class SiteBeats:
    """A thread that beats until the process ends.

    While PostgreSQL does not answer the thread waits for it. It is a daemon: it never holds up the
    process's end for longer than EXIT_SECONDS.
    """

    def __init__(self) -> None:
        self._name = liveness.process_name()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="site-beats", daemon=True)
        self._failed = False

    def start(self) -> None:
        """Begin to beat, after BEAT_SECONDS: the start of the site does not wait for it."""
        self._thread.start()

    def stop(self) -> None:
        """Stop beating and delete the heartbeat."""
        self._ended.set()
        self._thread.join(EXIT_SECONDS)

    def _run(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self._write()
        try:
            liveness.gone("site", self._name)
        except Exception as error:
            # Its silence says the same within ten seconds.
            logger.info("beat.not_taken_back", error=str(error))
        finally:
            connections.close_all()

    def _write(self) -> None:
        try:
            liveness.beat("site", self._name)
            self._failed = False
        except Exception as error:
            # Once for each outage.
            if not self._failed:
                logger.warning("beat.not_written", error=f"{type(error).__name__}: {error}")
            self._failed = True
        finally:
            connections.close_all()
