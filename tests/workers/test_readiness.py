"""`/health` and `/ready` of worker and web, with servers that are stopped in mid-air."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import AsyncClient, Client

from apps.engine import client, probes
from tests.support import eventually, patient, within
from tests.workers.conftest import MakeWorker, WorkerProcess

#: The promise of product.md, for a server that hangs.
WITHIN = 5.0


def asked(worker: WorkerProcess) -> tuple[int, str, float]:
    """Status, reason and how long it took."""
    began = time.monotonic()
    status, body = worker.get("/ready", timeout=60)
    return status, body.get("reason", ""), time.monotonic() - began


@pytest.mark.faults
def test_ready_names_a_frozen_server_within_five_seconds_and_recovers(
    make_worker: MakeWorker, private_servers: Callable[..., Any]
) -> None:
    servers = private_servers(migrated=True)
    worker = make_worker(
        DATABASE_URL=servers.postgres.url,
        REDIS_URL=servers.valkey.url,
        TEMPORAL_ADDRESS=servers.temporal.address,
        TEMPORAL_NAMESPACE="default",
    )
    worker.wait_ready()
    for name, server in (("postgres", servers.postgres), ("temporal", servers.temporal)):
        servers.freeze(server)
        # It may give the answer of a probe that began before.
        asked(worker)
        status, reason, seconds = asked(worker)
        assert (status, reason) == (503, name)
        assert seconds < patient(WITHIN)
        with within(1):
            assert worker.get("/health") == (200, {"status": "healthy", "service": "countersign"})
        assert worker.figures()[("conn_dict_worker_health_status", ())] == 0
        servers.thaw(server)
        worker.wait_ready(timeout=15)


@pytest.mark.faults
def test_each_probe_ends_in_time_and_names_its_server(
    private_servers: Callable[..., Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = private_servers(migrated=True)
    point_at(servers, settings, monkeypatch)
    frozen = {
        "postgres": servers.postgres,
        "redis": servers.valkey,
        "temporal": servers.temporal,
    }
    for name, server in frozen.items():
        probes.PROBES[name]()
        servers.freeze(server)
        with within(probes.DEADLINE_SECONDS + 0.5), pytest.raises(probes.ProbeFailed) as failure:
            probes.PROBES[name]()
        assert failure.value.name == name
        servers.thaw(server)
        eventually(lambda name=name: probes.PROBES[name]() is None)
    servers.kill9(servers.valkey)
    with pytest.raises(probes.ProbeFailed, match=r"redis: .*[Rr]efused"):
        probes.redis()


def point_at(servers: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process's probes ask these servers."""
    monkeypatch.setattr(
        probes,
        "_conninfo",
        lambda: f"host=127.0.0.1 port={servers.postgres.port} user=app dbname=countersign",
    )
    settings.REDIS_URL = servers.valkey.url
    settings.TEMPORAL_ADDRESS = servers.temporal.address
    settings.TEMPORAL_NAMESPACE = "default"
    monkeypatch.setattr(probes, "shared_client", client.SharedClient())


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """What each probe answers: an error, or nothing."""
    from apps.engine.views import health as views

    said: dict[str, str] = {}

    def probe(name: str) -> Callable[[], None]:
        def ask() -> None:
            if error := said.get(name):
                raise probes.ProbeFailed(name, error)

        return ask

    for name in probes.PROBES:
        monkeypatch.setitem(probes.PROBES, name, probe(name))
    views._readiness.cache_clear()
    yield said
    views._readiness.cache_clear()


async def test_the_web_is_ready_when_everything_is_there(
    answers: dict[str, str], async_client: AsyncClient
) -> None:
    answer = await async_client.get("/ready")
    assert answer.status_code == 200
    assert json.loads(answer.content) == {"status": "ready", "service": "countersign"}


@pytest.mark.parametrize("name", ["postgres", "redis", "temporal", "relay", "worker"])
async def test_the_web_names_what_is_missing(
    name: str, answers: dict[str, str], async_client: AsyncClient
) -> None:
    answers[name] = "gone"
    answer = await async_client.get("/ready")
    assert answer.status_code == 503
    said = {"status": "not_ready", "reason": name, "error": "ProbeFailed"}
    assert json.loads(answer.content) == said


async def test_the_web_tells_nobody_an_address(
    answers: dict[str, str], async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> None:
        raise ConnectionRefusedError("connection to db.internal port 5432 failed")

    monkeypatch.setitem(probes.PROBES, "postgres", refused)
    answer = await async_client.get("/ready")
    assert b"internal" not in answer.content
    assert json.loads(answer.content)["error"] == "ConnectionRefusedError"


def test_what_fails_first_is_named_first(answers: dict[str, str]) -> None:
    answers.update(worker="no beat", relay="no beat", postgres="frozen")
    failed = probes.Readiness(list(probes.PROBES)).check()
    assert failed is not None
    assert failed.name == "postgres"


def test_probes_need_neither_a_session_nor_a_known_host(
    answers: dict[str, str], client: Client
) -> None:
    """No database fixture here: a query through the ORM would fail this test."""
    client.cookies["sessionid"] = "of-somebody"
    for path in ("/health", "/ready"):
        assert client.get(path, headers={"host": "10.1.2.3"}).status_code == 200
        assert client.post(path).status_code == 405


@pytest.mark.django_db(transaction=True)
def test_relay_and_worker_are_there_when_they_have_beaten_and_one_relay_leads() -> None:
    from apps.engine import liveness

    for probe in (probes.relay, probes.worker):
        with pytest.raises(probes.ProbeFailed, match="has been alive"):
            probe()
    liveness.beat("worker", "w1", ["diagnostics"], False)
    liveness.beat("relay", "r1", [], False)
    probes.worker()
    with pytest.raises(probes.ProbeFailed, match="no relay leads"):
        probes.relay()
    liveness.beat("relay", "r1", [], True)
    probes.relay()
