"""The launcher's watch over its processes, with small programs in their place."""

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from deploy.local.processes import Process
from deploy.local.run import Launcher
from deploy.local.screen import Screen
from deploy.local.stack import PORTS
from tests.support import eventually, flooded

ELSEWHERE = {
    "DATABASE_URL": "postgres://app@127.0.0.1:9/none",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "TEMPORAL_ADDRESS": "127.0.0.1:9",
}

SLEEPER = "import time; print('began', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
QUITTER = "import sys; print('the reason it ended'); sys.exit(3)"

Build = Callable[..., tuple[Launcher, io.StringIO]]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """`build(web=SLEEPER)`: a launcher whose only processes run these programs."""
    launchers: list[Launcher] = []

    def make(**programs: str) -> tuple[Launcher, io.StringIO]:
        out = io.StringIO()
        plain = {name: value for name, value in os.environ.items() if name not in PORTS}
        environ = {**plain, **ELSEWHERE, "COUNTERSIGN_DATA": str(tmp_path)}
        launcher = Launcher(environ, Screen(Console(file=out, soft_wrap=True)))
        launcher.apps = [
            Process(
                name=name,
                argv=[sys.executable, "-c", program],
                run_dir=tmp_path / "run",
                log=tmp_path / f"{name}.log",
            )
            for name, program in programs.items()
        ]
        for app in launcher.apps:
            launcher._launch(app)
        launcher.holds_folder = True
        launchers.append(launcher)
        return launcher, out

    yield make
    for launcher in launchers:
        for app in launcher.apps:
            app.kill()


def began(process: Process) -> None:
    eventually(lambda: "began" in process.tail())


def test_a_url_in_the_environment_stands_in_for_a_server(build: Build) -> None:
    launcher, _ = build()
    assert launcher.servers.all == []
    assert launcher.env["DATABASE_URL"] == ELSEWHERE["DATABASE_URL"]


def test_a_killed_process_is_named_and_started_again_at_once(build: Build) -> None:
    launcher, out = build(web=SLEEPER)
    (web,) = launcher.apps
    first = web.pid
    web.signal(signal.SIGKILL)
    eventually(lambda: not web.alive)
    assert launcher._revive()
    assert web.alive
    assert web.pid != first
    assert "web was ended by SIGKILL, starts again in 0 s" in out.getvalue()


def test_a_process_that_keeps_ending_is_started_more_and_more_seldom(build: Build) -> None:
    launcher, out = build(relay=QUITTER)
    (relay,) = launcher.apps
    for deaths in range(1, 9):
        eventually(lambda: not relay.alive)
        launcher._revive()
        if deaths > 1:
            assert not launcher._revive()  # it is not due yet
            launcher.due["relay"] = 0
            assert launcher._revive()
    said = out.getvalue()
    assert "relay ended with status 3" in said
    assert "the reason it ended" in said
    waits = [line.split(" in ")[1] for line in said.splitlines() if "starts again in" in line]
    assert [wait.split(" s")[0] for wait in waits] == ["0", "1", "2", "4", "8", "16", "30", "30"]


def test_the_simulators_end_after_the_worker_that_drains_against_them(build: Build) -> None:
    note = "import pathlib, signal, sys, time\n" + (
        "def end(*_):\n"
        "    time.sleep({wait})\n"
        "    with open('{file}', 'a') as f: f.write('{name} ')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('began', flush=True); time.sleep(60)"
    )
    launcher, _ = build()
    file = launcher.data / "order"
    launcher, _ = build(
        simulators=note.format(wait=0, file=file, name="simulators"),
        worker=note.format(wait=0.5, file=file, name="worker"),
    )
    for app in launcher.apps:
        began(app)
    launcher.down()
    assert file.read_text().split() == ["worker", "simulators"]


def test_a_second_signal_kills_what_does_not_end(build: Build) -> None:
    launcher, out = build(worker=STUBBORN)
    (worker,) = launcher.apps
    began(worker)
    launcher.signals = 1
    threading.Timer(0.3, lambda: launcher.on_signal(signal.SIGINT, None)).start()
    # Without the signal this takes as long as a worker may drain, and the test's limit ends it.
    worker.stop_seconds = 500
    launcher.down()
    assert worker.returncode == -signal.SIGKILL
    assert "worker is killed" in out.getvalue()


def test_signals_on_top_of_each_other_end_it(tmp_path: Path) -> None:
    script = (
        "import os, signal\n"
        "from deploy.local.run import Interrupted, Launcher\n"
        "from deploy.local.screen import Screen\n"
        "launcher = Launcher(os.environ, Screen())\n"
        "launcher.apps = []\n"
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):\n"
        "    signal.signal(number, launcher.on_signal)\n"
        "try:\n"
        "    print('began', flush=True)\n"
        "    launcher.watch()\n"
        "except Interrupted:\n"
        "    pass\n"
        "launcher.down()\n"
        "os._exit(0)\n"
    )
    plain = {name: value for name, value in os.environ.items() if name not in PORTS}
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**plain, **ELSEWHERE, "COUNTERSIGN_DATA": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout and process.stdout.readline() == b"began\n"
        assert flooded(process, signal.SIGTERM, signal.SIGINT, signal.SIGHUP) == 0
