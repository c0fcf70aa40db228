"""Early pytest plugin: real PostgreSQL, Valkey and Temporal on free ports, before Django loads.

One PostgreSQL and one Temporal for the session; each xdist worker has a database of its own (made
by pytest-django), a Temporal namespace of its own and a Valkey of its own (Redis pub/sub knows no
databases). The stack of `make run` is never touched.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.local.processes import Process, free_port
from deploy.local.servers import Postgres, Temporal, Valkey

#: xdist workers find the session's servers here.
SHARED = "COUNTERSIGN_TEST_SERVERS"
MOST_WORKERS = 8

_started: list[Process] = []
_preparing: "subprocess.Popen[bytes] | None" = None
_folder: Path | None = None


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config,
) -> Generator[None, None, None]:
    """A wrapper, so that it runs before pytest-django reads the settings."""
    options = early_config.known_args_namespace
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    idle = options.collectonly or options.help or options.version
    if not worker:
        os.environ.pop(SHARED, None)
        _forget_surroundings()
    try:
        if idle:
            # Settings need addresses; nothing connects to them.
            _announce(postgres="postgres://app@127.0.0.1:9/none", temporal="127.0.0.1:9")
        elif not worker:
            _start_shared()
            if getattr(options, "numprocesses", None):
                _prepare()
        if not idle:
            _start_own(worker)
        yield
    except BaseException:
        _stop()
        raise


def pytest_unconfigure() -> None:
    """The end of the session, also after an error or Ctrl-C."""
    _stop()


def _forget_surroundings() -> None:
    """The developer's own settings must not change what the tests see."""
    prefixes = ("TEMPORAL_", "POSTGRES_", "WORKER_", "RELAY_", "KAFKA_", "PULSAR_", "COUNTERSIGN_")
    prefixes += ("AUTOMATION_SECRET_", "AUTOMATIONS_", "AI_", "OUTBOUND_")
    for name in [n for n in os.environ if n.startswith(prefixes)]:
        del os.environ[name]


def _start_shared() -> None:
    folder = _make_folder()
    postgres = Postgres(
        data=folder / "postgres",
        port=free_port(),
        run_dir=folder / "run",
        log=folder / "postgres.log",
        durable=False,
    )
    temporal = Temporal(
        port=free_port(),
        run_dir=folder / "run",
        log=folder / "temporal.log",
        namespaces=["test", *(f"test-gw{number}" for number in range(MOST_WORKERS))],
    )
    for server in (temporal, postgres):
        _started.append(server)
        server.launch()
    for server in (temporal, postgres):
        server.wait()
    _announce(postgres=postgres.url, temporal=temporal.address)
    os.environ[SHARED] = json.dumps(
        {"postgres_port": postgres.port, "temporal": temporal.address, "folder": str(folder)}
    )


def _prepare() -> None:
    """Begin with what the first tests need, while xdist's workers still collect."""
    global _preparing
    _preparing = subprocess.Popen(
        [sys.executable, "-m", "tests.prepare"], cwd=Path(__file__).resolve().parents[1]
    )


def _announce(*, postgres: str, temporal: str) -> None:
    os.environ.update(
        DATABASE_URL=postgres,
        TEMPORAL_ADDRESS=temporal,
        DJANGO_SETTINGS_MODULE="config.settings.test",
        # A runner inside a test takes any free ports: those of `make run` are not ours.
        HEALTH_PORT="0",
        METRICS_PORT="0",
    )


def _start_own(worker: str) -> None:
    folder = _make_folder()
    valkey = Valkey(
        data=folder / "valkey",
        port=free_port(),
        run_dir=folder / "run",
        log=folder / "valkey.log",
        durable=False,
    )
    _started.append(valkey)
    valkey.start()
    os.environ["REDIS_URL"] = valkey.url
    os.environ["TEMPORAL_NAMESPACE"] = f"test-{worker}" if worker else "test"


def _make_folder() -> Path:
    global _folder
    if _folder is None:
        _folder = Path(tempfile.mkdtemp(prefix="countersign-tests-"))
        # Where PostgreSQL must become another user, that user has to get in.
        _folder.chmod(0o711)
    return _folder


def _stop() -> None:
    global _folder, _preparing
    if _preparing is not None:
        _preparing.kill()
        _preparing.wait()
        _preparing = None
    for server in reversed(_started):
        with suppress(Exception):
            # Nothing of it is kept: no reason to wait for an orderly end.
            server.kill()
    _started.clear()
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)
        _folder = None
