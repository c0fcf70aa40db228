"""One relay process through the outages of its servers; it is never restarted."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.stack import PrivateServers
from tests.support import eventually, patient, pause

pytestmark = pytest.mark.faults

_INSERT = """
INSERT INTO engine_enginecommand (
    key, kind, workflow_id, workflow_type, task_queue, name, args, options, subject_type,
    subject_id, correlation_id, state, attempts, strikes, next_try_at, error, run_id, created_at)
VALUES (%(id)s, 'start', %(id)s, 'Some', 'outage', '', '[]', '{}', 'test', '1', '', 'pending', 0,
        0, now(), '', '', now())
"""


class Relaying:
    """A private set of servers and `manage.py runrelay` on it."""

    def __init__(self, servers: PrivateServers) -> None:
        self.servers = servers
        assert servers.postgres is not None
        assert servers.temporal is not None
        self.postgres, self.temporal = servers.postgres, servers.temporal
        env = os.environ | {
            "DATABASE_URL": servers.postgres.url,
            "TEMPORAL_ADDRESS": servers.temporal.address,
            "TEMPORAL_NAMESPACE": "default",
            "POSTGRES_MIN_CONNS": "0",
            "POSTGRES_POOL_TIMEOUT": "2",
            "RELAY_CALL_SECONDS": "2",
            "RELAY_LEASE_SECONDS": "3",
        }
        self.process = subprocess.Popen([sys.executable, "manage.py", "runrelay"], env=env)

    def enqueue(self, name: str) -> None:
        with self.postgres.connect("countersign") as connection:
            connection.execute(_INSERT, {"id": name})

    def state(self, name: str) -> tuple[str, int]:
        with self.postgres.connect("countersign") as connection:
            row: Any = connection.execute(
                "SELECT state, strikes FROM engine_enginecommand WHERE key = %s", [name]
            ).fetchone()
            return row[0], row[1]

    def arrives(self, name: str, timeout: float) -> None:
        eventually(lambda: self.state(name) == ("sent", 0), timeout=timeout)
        assert self.process.poll() is None


@pytest.fixture
def relaying(private_servers: Callable[..., PrivateServers]) -> Iterator[Relaying]:
    one = Relaying(private_servers(migrated=True, valkey=False))
    one.enqueue("first")
    one.arrives("first", 40)
    yield one
    one.process.kill()
    one.process.wait()


def test_the_relay_outlives_the_outages_of_its_servers(relaying: Relaying) -> None:
    servers = relaying.servers

    servers.kill9(relaying.temporal)
    relaying.enqueue("temporal-down")
    eventually(lambda: relaying.state("temporal-down")[0] == "pending")
    relaying.temporal.start()
    relaying.arrives("temporal-down", 20)

    servers.freeze(relaying.temporal)
    relaying.enqueue("temporal-hangs")
    # Longer than a call may take: it was given up and tried again.
    pause(3)
    servers.thaw(relaying.temporal)
    relaying.arrives("temporal-hangs", 20)

    servers.kill9(relaying.postgres)
    relaying.postgres.start()
    relaying.enqueue("postgres-killed")
    relaying.arrives("postgres-killed", 20)

    servers.freeze(relaying.postgres)
    # Longer than a statement may take: the session was given up.
    pause(8)
    servers.thaw(relaying.postgres)
    relaying.enqueue("postgres-hung")
    relaying.arrives("postgres-hung", 20)

    relaying.process.terminate()
    assert relaying.process.wait(patient(15)) == 0
