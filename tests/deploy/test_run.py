"""`make run` itself, as a process, on ports and data of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.processes import free_port, running
from deploy.local.stack import PORTS, ROOT
from tests.conftest import new_folder
from tests.stack import fetch
from tests.support import eventually


class Run:
    """A launcher process and what it wrote."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.ports = {name: free_port() for name in PORTS}
        dropped = {"DATABASE_URL", "REDIS_URL", "TEMPORAL_ADDRESS", "DJANGO_SETTINGS_MODULE"}
        kept = {k: v for k, v in os.environ.items() if k not in dropped}
        kept = {k: v for k, v in kept.items() if not k.startswith(("TEMPORAL_", "PYTEST_"))}
        self.env = {
            **kept,
            **{name: str(port) for name, port in self.ports.items()},
            "COUNTERSIGN_DATA": str(data),
        }
        self.popen: subprocess.Popen[str] | None = None
        self.starts = 0

    @property
    def output(self) -> str:
        return (self.data / f"out-{self.starts}.txt").read_text()

    def start(self, argv: Sequence[str] = (sys.executable, "-m", "deploy.local.run")) -> None:
        self.starts += 1
        with (self.data / f"out-{self.starts}.txt").open("w") as out:
            self.popen = subprocess.Popen(
                argv, cwd=ROOT, env=self.env, stdout=out, stderr=out, start_new_session=True
            )

    def wait_up(self) -> None:
        ended = self.popen.poll
        up = "Ctrl-C stops everything"
        eventually(lambda: up in self.output or ended() is not None, timeout=100)
        assert up in self.output, self.output

    def stack(self) -> dict:
        return json.loads((self.data / "stack.json").read_text())

    def ready(self) -> bool:
        return fetch(f"http://127.0.0.1:{self.ports['WEB_PORT']}/ready")[0] == 200

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "-s", "manage", f"ARGS={' '.join(words)}"],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def launcher() -> Iterator[Run]:
    """One that is not started; what is left of it ends without ceremony."""
    folder = new_folder()
    one = Run(folder)
    try:
        yield one
    finally:
        if one.popen is not None and one.popen.poll() is None:
            one.popen.kill()  # its children get the kernel's signal
            one.popen.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def run() -> Iterator[Run]:
    with launcher() as one:
        yield one


@pytest.fixture(scope="module")
def up() -> Iterator[Run]:
    """`make run` come up in an empty folder, to be left up; at its end it stops in order."""
    with launcher() as one:
        one.start()
        one.wait_up()
        yield one
        pids = one.stack()["pids"]
        one.popen.send_signal(signal.SIGTERM)
        assert one.popen.wait(60) == 0, one.output
        assert not any(map(running, pids.values()))
        assert not (one.data / "stack.json").exists()


#: Those that share it run in one worker.
of_one_run = pytest.mark.xdist_group("make run")


@of_one_run
@pytest.mark.timeout(300)
def test_make_run_says_where_everything_is_heals_and_refuses_a_second_launcher(up: Run) -> None:
    for word in ("Addresses", "requester", "auditor", f":{up.ports['TEMPORAL_UI_PORT']}"):
        assert word in up.output
    assert up.ready()

    key = up.manage("createapikey", "--user", "admin", "--scope", "all")
    assert key.returncode == 0, key.stderr
    assert key.stdout.split()[-1]
    shown = up.manage("simdirectory", "show")
    assert "12345678 Banco Countersign (ours)" in shown.stdout, shown.stderr

    # One of them is killed: it is named and comes back.
    worker = up.stack()["pids"]["worker"]
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: up.stack()["pids"]["worker"] != worker, timeout=20)
    assert "worker was ended by SIGKILL" in up.output
    eventually(up.ready, timeout=30)

    # A second launcher on the same folder is refused and harms nothing.
    pids = up.stack()["pids"]
    second = subprocess.run(
        [sys.executable, "-m", "deploy.local.run"],
        cwd=ROOT,
        env=up.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert "already runs" in second.stdout
    assert up.stack()["pids"] == pids
    assert all(map(running, pids.values()))
    # The dead worker's last sign of life may have been young enough until now.
    eventually(up.ready, timeout=30)


@of_one_run
@pytest.mark.timeout(300)
def test_make_run_survives_kill_9_of_everything(up: Run) -> None:
    # All of it is killed at once, the launcher first.
    pids = up.stack()["pids"]
    os.kill(up.popen.pid, signal.SIGKILL)
    for pid in pids.values():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    up.popen.wait()
    eventually(lambda: not any(map(running, pids.values())))
    assert up.manage("check").stderr.startswith("Nothing runs here: start it with make run")

    up.start()
    up.wait_up()
    assert "Migrations" not in up.output
    assert up.manage("check").returncode == 0


def test_a_taken_port_stops_the_start_and_names_its_variable(run: Run) -> None:
    import socket

    with socket.create_server(("127.0.0.1", run.ports["METRICS_PORT"])):
        run.start()
        assert run.popen.wait(30) == 1
    assert f"METRICS_PORT {run.ports['METRICS_PORT']} is taken by another program" in run.output


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1", "٣٤"])
def test_a_port_that_is_no_port_is_named(run: Run, value: str) -> None:
    run.env["WEB_PORT"] = value
    run.start()
    assert run.popen.wait(30) == 1
    assert "WEB_PORT must be a port" in run.output


def test_a_command_without_a_stack_says_how_to_start_one(run: Run) -> None:
    done = run.manage("check")
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("Nothing runs here: start it with make run")
