"""A process of the site beats while it lives, and takes its heartbeat back at its end."""

import pytest

from apps.engine import site_beats
from apps.engine.models import ProcessHeartbeat
from apps.engine.site_beats import SiteBeats
from tests.support import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_beats, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(site_beats, "EXIT_SECONDS", 60.0)


def test_the_site_beats_until_its_end() -> None:
    beats = SiteBeats()
    beats.start()
    rows = ProcessHeartbeat.objects.filter(role="site")
    first = eventually(lambda: rows.first())
    assert first is not None
    assert "version" in first.detail
    eventually(lambda: rows.filter(beat_at__gt=first.beat_at).exists())
    beats.stop()
    assert not rows.exists()


def test_an_outage_is_logged_once_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []
    logged: list[str] = []
    real = site_beats.liveness.beat

    def beat(role: str, name: str) -> None:
        tries.append(name)
        if len(tries) < 4:
            raise OSError("away")
        real(role, name)

    monkeypatch.setattr(site_beats.liveness, "beat", beat)
    monkeypatch.setattr(site_beats.logger, "warning", lambda event, **told: logged.append(event))
    beats = SiteBeats()
    beats.start()
    eventually(lambda: ProcessHeartbeat.objects.filter(role="site").exists())
    beats.stop()
    assert logged == ["beat.not_written"]
