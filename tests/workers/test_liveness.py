"""When a worker says that it is alive."""

import threading
from typing import Any

import pytest

from tests.support import patient
from workers import liveness
from workers.health import Health


def test_a_worker_says_that_it_is_alive_as_soon_as_it_polls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked, beaten, gone = threading.Event(), threading.Event(), threading.Event()

    class Servers:
        def check(self) -> None:
            looked.set()

    # Only a change can bring the second look.
    monkeypatch.setattr(liveness, "BEAT_SECONDS", 3600)
    monkeypatch.setattr(liveness, "_measure", lambda now: None)
    monkeypatch.setattr(liveness.liveness, "beat", lambda *values: beaten.set())
    monkeypatch.setattr(liveness.liveness, "gone", lambda *values: gone.set())
    health: Any = Health()
    health._servers = Servers()
    beats = liveness.Beats(name="one", queues=["queue"], health=health)
    beats.start()
    try:
        assert looked.wait(patient(10))
        assert not beaten.is_set()
        health.polls()
        assert beaten.wait(patient(10))
    finally:
        beats.stop(patient(10))
    assert gone.is_set()
