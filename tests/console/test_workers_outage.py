"""The Workers page while Temporal or Redis are really stopped, or hang."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from apps.common.identifiers import new_id
from apps.common.redis import _client as redis_client
from apps.engine import liveness, reads, watching
from apps.engine.models import EngineCommand
from apps.engine.views import workers
from tests.console.conftest import AsPerson
from tests.console.test_workers_pages import command_of, html_of, run_of, words_in
from tests.interventions.conftest import World
from tests.proxy import Proxy
from tests.support import eventually, within

#: What the page says of a queue of which the engine has told.
BACKLOG = re.compile(r"Nothing waits\.|About \d+ workflow tasks? and")


@pytest.fixture
def temporal(
    settings: Any, make_proxy: Callable[[str], Proxy], temporal_address: str
) -> Iterator[Proxy]:
    """Temporal behind a proxy, asked again at every look."""
    proxy = make_proxy(temporal_address)
    settings.TEMPORAL_ADDRESS = f"127.0.0.1:{proxy.port}"
    settings.INSTALLATION = f"countersign-{new_id().hex[-10:]}"
    reads.shared_client.reset()
    yield proxy
    reads.shared_client.reset()
    workers.QUEUES.forget()
    watching._redis.breaker.reset()


@pytest.fixture
def always_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look is a new question."""
    monkeypatch.setattr(watching, "FRESH", watching.FRESH * 0)


@pytest.mark.parametrize("how", ["cut", "freeze"])
def test_while_temporal_is_stopped_the_page_is_right_and_says_so(
    how: str, world: World, as_person: AsPerson, temporal: Proxy, always_old: None
) -> None:
    operator = as_person("operator")
    liveness.beat("worker", "host:1:a", ["intervention-critical"])
    run = run_of()
    parked = command_of()
    # On a busy machine a call may take longer than its deadline, the first one most of all. What
    # waits there may be other tests'.
    eventually(lambda: BACKLOG.search(words_in(html_of(operator, "/workers/"))))
    getattr(temporal, how)()
    with within(2.5):
        html = html_of(operator, "/workers/")
    text = words_in(html)
    assert "The engine (Temporal) does not answer since" in text
    assert "Pollers and backlogs are from" in text
    assert "host:1:a" in text
    assert f"/workers/commands/{parked.pk}/" in html
    assert "ExecuteInterventionWorkflow 1 0 0" in text
    answer = operator.post(f"/workers/runs/{run.pk}/terminate/", {"reason": "It hangs."})
    assert answer.status_code == 302
    assert EngineCommand.objects.get(kind="terminate").state == "pending"
    temporal.thaw()
    temporal.restore()
    eventually(lambda: "does not answer" not in html_of(operator, "/workers/"))


def test_while_redis_is_stopped_the_page_is_right(
    world: World,
    as_person: AsPerson,
    temporal: Proxy,
    settings: Any,
    make_proxy: Callable[[str], Proxy],
) -> None:
    operator = as_person("operator")
    address = django_settings.REDIS_URL.partition("://")[2].partition("/")[0]
    redis = make_proxy(address.rpartition("@")[2])
    database = django_settings.REDIS_URL.rpartition("/")[2]
    settings.REDIS_URL = f"redis://127.0.0.1:{redis.port}/{database}"
    eventually(lambda: "does not answer" not in html_of(operator, "/workers/"))
    redis.freeze()
    command_of(created_at=timezone.now())
    with within(3):
        text = words_in(html_of(operator, "/workers/"))
    assert "It cannot be read." in text
    assert "intervention-critical" in text
    redis.thaw()
    redis_client.cache_clear()
