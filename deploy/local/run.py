"""`make run`: the whole of Countersign on this machine, kept running until Ctrl-C.

A process that dies is named and started again; everything started here ends with the launcher.
"""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from deploy.local import lock
from deploy.local.processes import Process, StartError, check_ports, stop_leftovers, wrap
from deploy.local.screen import Screen, addresses, logins
from deploy.local.servers import Postgres, Temporal, Valkey
from deploy.local.stack import (
    APPS,
    ROOT,
    TUNING,
    Servers,
    data_folder,
    environment,
    make_app,
    management,
    needed_ports,
    read_ports,
)

READY_SECONDS = 120.0
BACKOFF_MOST = 30.0
#: A process that ran this long has recovered: its next death starts the backoff anew.
HEALTHY_SECONDS = 60.0
DEATHS_BEFORE_READY = 3
#: The code that the processes load; nothing of it begins to work by being imported.
LOADED = "import uvicorn, config.asgi, config.urls, workers.runner, workers.registry"
#: What a source has in it that says what is done after every migrate.
_AFTER_MIGRATE = re.compile(rb"\bpost_migrate\b|\bgrant\(|\bDefaultSchedule\b|\bGRANT\b")


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; not an Exception, so nothing on the way swallows it."""


class Launcher:
    """Owns the data folder and every process in it."""

    def __init__(self, environ: Mapping[str, str], screen: Screen) -> None:
        self.screen = screen
        self.environ = dict(environ)
        self.data = data_folder(environ)
        self.logs = self.data / "logs"
        self.run_dir = self.data / "run"
        self.ports = read_ports(environ)
        self.servers = self._make_servers()
        self.env = environment(
            self.ports, self.servers, base=environ, settings="config.settings.local"
        )
        self.env["COUNTERSIGN_DATA"] = str(self.data)
        self.apps: list[Process] = [
            make_app(kind, ports=self.ports, env=self.env, run_dir=self.run_dir, log_dir=self.logs)
            for kind in APPS
        ]
        self.deaths: dict[str, int] = {}
        self.started: dict[str, float] = {}
        self.due: dict[str, float] = {}
        # The rights of the role of automations are prepared as well.
        self.sources = fingerprint() + self.env.get("AUTOMATIONS_TABLES", "")
        self.signals = 0
        self.stopping = False
        self.holds_folder = False

    def _make_servers(self) -> Servers:
        given = self.environ.get
        ports, run_dir, logs = self.ports, self.run_dir, self.logs
        return Servers(
            postgres=None
            if given("DATABASE_URL")
            else Postgres(
                data=self.data / "postgres",
                port=ports["POSTGRES_PORT"],
                run_dir=run_dir,
                log=logs / "postgres.log",
            ),
            valkey=None
            if given("REDIS_URL")
            else Valkey(
                data=self.data / "valkey",
                port=ports["REDIS_PORT"],
                run_dir=run_dir,
                log=logs / "valkey.log",
            ),
            temporal=None
            if given("TEMPORAL_ADDRESS")
            else Temporal(
                data=self.data / "temporal",
                port=ports["TEMPORAL_PORT"],
                ui_port=ports["TEMPORAL_UI_PORT"],
                run_dir=run_dir,
                log=logs / "temporal.log",
            ),
        )

    # --- the way up -----------------------------------------------------------------------------
    def up(self) -> None:
        """Everything serves when this returns; StartError says what does not."""
        began = time.monotonic()
        lock.hold(self.data)
        self.holds_folder = True
        stop_leftovers(sorted(self.run_dir.glob("*.pid")), seconds=5, note=self.screen.say)
        # A server that left no pid file of ours is found by its own, when it starts.
        check_ports(needed_ports(self.ports, self.environ))
        (self.data / "stack.json").unlink(missing_ok=True)
        if self._is_prepared():  # asked before a cluster is made
            self._start_servers(self.apps)
        else:
            with self._loading():
                # Without its tables only the simulators do anything.
                self._start_servers([app for app in self.apps if app.name == "simulators"])
                self._prepare_database()
        with self._step("Web, worker, relay, simulators"):
            for app in self.apps:
                if app.name not in self.started:
                    self._launch(app)
            self._write_stack()
            self._wait_until_ready()
        self.screen.say(f"Up after {time.monotonic() - began:.1f} s")
        addresses(self.screen, self.ports, self.env)
        logins(self.screen)
        self.screen.say(f"Logs: {self.logs}  ·  Ctrl-C stops everything")

    def _start_servers(self, early: Sequence[Process]) -> None:
        """Start the servers, and meanwhile these processes: to load their code takes longer than
        the servers' start, and needs none of them."""
        with self._step("PostgreSQL, Valkey, Temporal"):
            for process in [*self.servers.all, *early]:
                self._launch(process)
            for server in self.servers.all:
                server.wait()

    def _is_prepared(self) -> bool:
        """Whether this folder's own database was prepared from these sources. One that is
        not in this folder may be another one every time."""
        postgres = self.servers.postgres
        if postgres is None or not (postgres.data / "PG_VERSION").exists():
            return False
        with suppress(OSError):
            return (self.data / "prepared").read_text() == self.sources
        return False

    def _prepare_database(self) -> None:
        """Changes nothing where there is nothing to do."""
        with self._step("Migrations and demo data"):
            self._manage("prepare")
        (self.data / "prepared").write_text(self.sources)

    @contextmanager
    def _loading(self) -> Iterator[None]:
        """Have the code of the processes compiled meanwhile, on the processor that has little to
        do: each of them would compile the same modules otherwise, at the same time."""
        loading = subprocess.Popen(
            wrap([sys.executable, "-c", LOADED], death_signal=signal.SIGKILL),
            env=self.env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            loading.kill()
            loading.wait()

    def _manage(self, *words: str) -> None:
        log = self.logs / f"{words[0]}.log"
        with log.open("wb") as file:
            done = subprocess.run(
                management(words),
                env=self.env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                check=False,
            )
        if done.returncode:
            tail = log.read_text(errors="replace").splitlines()[-25:]
            raise StartError(f"manage.py {' '.join(words)} failed:\n" + "\n".join(tail))

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            answer = self._readiness()
            if answer is None:
                return
            self._revive()
            for app in self.apps:
                if self.deaths.get(app.name, 0) >= DEATHS_BEFORE_READY:
                    raise StartError(f"{app.name} does not stay up:\n{app.tail(25)}")
            if time.monotonic() > deadline:
                raise StartError(f"not ready after {READY_SECONDS:.0f} s: {answer}")
            time.sleep(0.05)

    def _readiness(self) -> str | None:
        """None when everything is there, else what GET /ready says is missing."""
        url = f"http://127.0.0.1:{self.ports['WEB_PORT']}/ready"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return None if response.status == 200 else str(response.status)
        except urllib.error.HTTPError as error:
            return error.read(500).decode("utf-8", "replace")
        except OSError as error:
            return f"{url}: {error}"

    # --- keeping it up --------------------------------------------------------------------------
    def watch(self) -> None:
        """Until a signal: start again what died."""
        while not self.signals:
            if self._revive():
                self._write_stack()
            time.sleep(0.25)  # a signal ends it

    def _launch(self, process: Process) -> None:
        process.launch()
        self.started[process.name] = time.monotonic()

    def _revive(self) -> bool:
        """Name what died since the last call, start what is due; whether anything was started."""
        now = time.monotonic()
        changed = False
        for process in [*self.servers.all, *self.apps]:
            if process.alive or process.name not in self.started:
                continue
            if process.name not in self.due:
                if now - self.started[process.name] > HEALTHY_SECONDS:
                    self.deaths[process.name] = 0
                deaths = self.deaths[process.name] = self.deaths.get(process.name, 0) + 1
                delay = 0.0 if deaths == 1 else min(BACKOFF_MOST, 0.5 * 2 ** (deaths - 1))
                self.due[process.name] = now + delay
                self.screen.say(
                    f"{process.name} {_ending(process)}, starts again in {delay:g} s. "
                    f"The end of {process.log}:\n{process.tail(8)}",
                    style="bold red",
                )
            if self.due[process.name] <= now:
                del self.due[process.name]
                try:
                    self._launch(process)
                except StartError as error:
                    self.screen.say(str(error), style="bold red")
                changed = True
        return changed

    def _write_stack(self) -> None:
        """What `make manage` and outside checks read: ports, environment, pids."""
        ours = {
            name: value
            for name, value in self.env.items()
            if self.environ.get(name) != value or name.startswith(TUNING)
        }
        stack = {
            "data": str(self.data),
            "launcher": os.getpid(),
            "ports": self.ports,
            "env": ours,
            "pids": {p.name: p.pid for p in [*self.servers.all, *self.apps] if p.popen},
        }
        draft = self.data / "stack.json.draft"
        draft.touch(mode=0o600)  # a DATABASE_URL of the caller's may hold a password
        draft.write_text(json.dumps(stack, indent=1))
        draft.replace(self.data / "stack.json")

    # --- the way down ---------------------------------------------------------------------------
    def down(self) -> None:
        """Our processes first, the simulators after the worker that drains against them, then the
        servers. Another signal during this kills what is left."""
        self.stopping = True
        if not self.holds_folder:
            return  # what runs there, and its stack.json, belong to another launcher
        (self.data / "stack.json").unlink(missing_ok=True)
        first = [app for app in self.apps if app.name != "simulators"]
        last = [app for app in self.apps if app.name == "simulators"]
        groups: list[list[Process]] = [first, last, self.servers.all]
        if not any(process.alive for group in groups for process in group):
            return
        self.screen.say("Stopping (Ctrl-C again ends it at once)")
        patience = self.signals + 1
        for group in groups:
            for process in group:
                process.signal(process.stop_signal)
            for process in group:
                self._await_end(process, patience)
        self.screen.say("Stopped")

    def _await_end(self, process: Process, patience: int) -> None:
        deadline = time.monotonic() + process.stop_seconds
        while process.alive and time.monotonic() < deadline and self.signals < patience:
            time.sleep(0.05)
        if process.alive:
            self.screen.say(f"{process.name} is killed")
        process.kill()

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """The first signal ends whatever waits; later ones are only counted.

        Takes no lock: `make` passes a signal on that the launcher has got already, and the second
        would wait for ever for what the first one holds.
        """
        self.signals += 1
        if self.signals == 1 and not self.stopping:
            raise Interrupted

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        with self.screen.step(title):
            yield


def main() -> int:
    """The exit status: 0 after Ctrl-C or SIGTERM, 1 when something cannot start."""
    screen = Screen()
    try:
        launcher = Launcher(os.environ, screen)
    except StartError as error:
        screen.say(str(error), style="bold red")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, launcher.on_signal)
    try:
        launcher.up()
        launcher.watch()
    except Interrupted:
        pass
    except StartError as error:
        screen.say(str(error), style="bold red")
        return 1
    finally:
        launcher.down()
    return 0


def fingerprint(root: Path = ROOT) -> str:
    """Changes when the database has to be prepared again: with a migration of ours, with what is
    done after every migrate (roles, schedules, and what apps grant and declare), with a pinned
    dependency. Read from the sources: starting Django to ask takes as long as preparing."""
    digest = hashlib.sha256()
    files = [path for path in sorted((root / "apps").rglob("*.py")) if _prepares(path)]
    for path in [*files, root / "requirements" / "dev.txt"]:
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _prepares(path: Path) -> bool:
    return path.parent.name == "migrations" or bool(_AFTER_MIGRATE.search(path.read_bytes()))


def _ending(process: Process) -> str:
    code = process.returncode or 0
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


if __name__ == "__main__":
    sys.exit(main())
