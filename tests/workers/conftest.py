"""Workers in this process, and as real processes with the tests' own workflows."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client
from temporalio.worker import Worker

from tests.support import eventually, patient
from tests.workers import sample, sample_workflows
from workers.options import worker_options
from workers.run_observer import Listener

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sandboxed() -> bool:
    """Whether workflows of `serving` run in the sandbox."""
    return True


@pytest.fixture
def serving(temporal_client: Client, task_queue: str, sandboxed: bool) -> Callable[..., Any]:
    """`async with serving():` a worker of this process with the sample workflows."""

    @asynccontextmanager
    async def serve(*, threads: int = 8, listeners: Sequence[Listener] = ()) -> AsyncIterator[None]:
        async with Worker(
            temporal_client,
            task_queue=task_queue,
            workflows=sample_workflows.WORKFLOWS,
            activities=sample.ACTIVITIES,
            activity_executor=sample.threads(threads),
            max_concurrent_activities=threads,
            **worker_options(listeners=listeners, sandboxed=sandboxed),
        ):
            yield

    return serve


Serving = Callable[..., AbstractAsyncContextManager[None]]


class WorkerProcess:
    """`runworker` with the sample queue, its log, and what its two ports answer."""

    def __init__(self, folder: Path, queue: str, *words: str, env: dict[str, str]) -> None:
        self.log = folder / f"worker-{len(list(folder.iterdir()))}.log"
        settings = {
            "SAMPLE_QUEUE": queue,
            "HEALTH_PORT": "0",
            "METRICS_PORT": "0",
            "WORKER_THREADS": "16",
            "POSTGRES_MIN_CONNS": "1",
            **env,
        }
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "tests.workers.entry", *words],
                cwd=ROOT,
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
            )

    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines of the log."""
        raw = self.log.read_text().splitlines()
        return [json.loads(line) for line in raw if line.startswith("{")]

    def said(self, msg: str) -> dict[str, Any] | None:
        """The first line with this message."""
        return next((line for line in self.lines() if line.get("msg") == msg), None)

    def hear(self, msg: str, timeout: float = 30) -> dict[str, Any]:
        """As `said`, waiting for it."""

        def heard() -> dict[str, Any] | None:
            assert self.popen.poll() is None or self.said(msg), self.log.read_text()[-3000:]
            return self.said(msg)

        line = eventually(heard, timeout=timeout)
        assert line is not None
        return line

    def get(self, path: str, timeout: float = 6) -> tuple[int, dict[str, Any]]:
        """Of the health server; the timeout is the promise of `/ready` and a little more."""
        port = self.hear("worker.listens")["health_port"]
        return get(f"http://127.0.0.1:{port}{path}", patient(timeout))

    def scrape(self) -> str:
        port = self.hear("worker.listens")["metrics_port"]
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/metrics", timeout=patient(6)
        ) as answer:
            return str(answer.read().decode())

    def figures(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every sample of a scrape by name and labels."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.scrape())
            for sample in family.samples
        }

    def wait_ready(self, timeout: float = 30) -> None:
        eventually(lambda: self.get("/ready")[0] == 200, timeout=timeout)

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()


def get(address: str, timeout: float) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(address, timeout=timeout) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.loads(refusal.read())


MakeWorker = Callable[..., WorkerProcess]


@pytest.fixture
def make_worker(tmp_path: Path, task_queue: str) -> Iterator[MakeWorker]:
    """`make_worker("--no-relay", NAME="value")`: a process that serves `task_queue`."""
    made: list[WorkerProcess] = []

    def build(*words: str, **env: str) -> WorkerProcess:
        words = words or ("--queue", task_queue, "--no-relay")
        made.append(WorkerProcess(tmp_path, task_queue, *words, env=env))
        return made[-1]

    yield build
    for process in made:
        process.close()


@pytest.fixture
def test_database(transactional_db: None) -> str:
    """DATABASE_URL of this test's database, for processes of its own."""
    parts = connection.settings_dict
    return f"postgres://{parts['USER']}@{parts['HOST']}:{parts['PORT']}/{parts['NAME']}"
