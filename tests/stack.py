"""Private servers and whole private stacks, for tests that kill and freeze real processes.

Everything here has its own ports and data. The processes are those of `make run`
(deploy/local/stack.py) with timeouts of seconds, because a kill costs what the timeout that
notices it costs.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from deploy.local.processes import Process, StartError, free_port
from deploy.local.servers import Postgres, Temporal, Valkey
from deploy.local.stack import (
    APPS,
    AUTOMATIONS_TABLES,
    PORTS,
    ROOT,
    Servers,
    environment,
    make_app,
    management,
)

SHORT_TIMEOUTS = {
    "ACTIVITY_TIMEOUT_SECONDS": "5",
    "ACTIVITY_HEARTBEAT_SECONDS": "2",
    "AUTOMATIONS_LEASE_SECONDS": "2",
    "WORKFLOW_TASK_TIMEOUT_SECONDS": "2",
    "RELAY_CALL_SECONDS": "2",
    "RELAY_LEASE_SECONDS": "3",
    "SWEEP_SECONDS": "1",
    "POSTGRES_MIN_CONNS": "1",
    "POSTGRES_POOL_TIMEOUT": "3",
}
#: What an installation may have besides the defaults.
OPTIONS = {"REPLAY_TOPICS": "elsewhere"}


class PrivateServers:
    """A set of servers of one test's own. `postgres`, `valkey`, `temporal`: those asked for."""

    def __init__(
        self,
        folder: Path,
        *,
        postgres: bool = True,
        valkey: bool = True,
        temporal: bool = True,
        template: Path | None = None,
    ) -> None:
        """`template`: a PostgreSQL data folder to begin with instead of an empty cluster."""
        where: dict[str, Any] = {"run_dir": folder / "run"}
        self.postgres = (
            Postgres(
                data=folder / "postgres",
                port=free_port(),
                log=folder / "postgres.log",
                durable=False,
                **where,
            )
            if postgres
            else None
        )
        self.valkey = (
            Valkey(data=folder / "valkey", port=free_port(), log=folder / "valkey.log", **where)
            if valkey
            else None
        )
        self.temporal = (
            Temporal(
                data=folder / "temporal", port=free_port(), log=folder / "temporal.log", **where
            )
            if temporal
            else None
        )
        self.servers = Servers(self.postgres, self.valkey, self.temporal)
        if self.postgres and template:
            copy_cluster(template, self.postgres.data)

    def start(self) -> None:
        """All of them serve when this returns."""
        for server in self.servers.all:
            server.launch()
        for server in self.servers.all:
            server.wait()

    def freeze(self, server: Process | None) -> None:
        """SIGSTOP to the server and, for PostgreSQL, to its sessions: connected, silent."""
        # The server first, so that it has no new children by the time they are listed.
        assert server is not None
        server.signal(signal.SIGSTOP)
        until_stopped([server.pid])
        signal_all(family(server), signal.SIGSTOP)
        until_stopped(family(server))

    def thaw(self, server: Process | None) -> None:
        """SIGCONT to what `freeze` stopped."""
        signal_all(family(server), signal.SIGCONT)

    def kill9(self, server: Process | None) -> None:
        """SIGKILL; the data stay. `server.start()` brings it back on the same port."""
        assert server is not None
        server.signal(signal.SIGKILL)
        assert server.popen is not None
        server.popen.wait()

    def close(self) -> None:
        """End everything without ceremony; frozen servers too."""
        for server in self.servers.all:
            if server.alive:
                self.thaw(server)  # a frozen session would outlive its server
            server.kill()


class Stack:
    """Servers, web, worker, relay and simulators as real processes of one test's own."""

    def __init__(
        self, folder: Path, *, template: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.private = PrivateServers(folder, template=template)
        self._keys: dict[str, str] = json.loads(_keys_of(template).read_text())
        self.ports = {name: free_port() for name in PORTS}
        self.env = environment(
            self.ports,
            self.private.servers,
            base={
                **_plain_environment(),
                **SHORT_TIMEOUTS,
                **OPTIONS,
                "COUNTERSIGN_DATA": str(folder),
                **(env or {}),
            },
            settings="config.settings.local",
        )
        #: Processes by name; a second of a kind has the name given to `spawn`.
        self.apps: dict[str, Process] = {}

    # --- addresses ------------------------------------------------------------------------------
    @property
    def web_url(self) -> str:
        """Without a slash at the end."""
        return f"http://127.0.0.1:{self.ports['WEB_PORT']}"

    @property
    def health_url(self) -> str:
        """Of the first worker: add /health or /ready."""
        return f"http://127.0.0.1:{self.ports['HEALTH_PORT']}"

    @property
    def metrics_url(self) -> str:
        """Of the first worker."""
        return f"http://127.0.0.1:{self.ports['METRICS_PORT']}/metrics"

    # --- processes ------------------------------------------------------------------------------
    def start(self, *kinds: str) -> None:
        """Servers, then the processes of these kinds (without any, all but the consumer)."""
        self.private.start()
        for kind in kinds or [kind for kind in APPS if kind != "consumer"]:
            self.spawn(kind)

    def spawn(self, kind: str, *, name: str = "", env: Mapping[str, str] | None = None) -> Process:
        """Start one of APPS; a second one of a kind needs a name, and gets ports of its own."""
        name = name or kind
        ports = self.ports
        if name != kind:
            ports = {variable: free_port() for variable in PORTS}
        served = ("HEALTH_PORT", "METRICS_PORT", "CONSUMER_HEALTH_PORT")
        special = {key: str(ports[key]) for key in served}
        app = make_app(
            kind,
            name=name,
            ports=ports,
            env={**self.env, **special, **(env or {})},
            run_dir=self.folder / "run",
            log_dir=self.folder / "logs",
        )
        app.launch()
        self.apps[name] = app
        return app

    def process(self, name: str) -> Process:
        """An app by name, or one of "postgres", "valkey", "temporal"."""
        servers = {server.name: server for server in self.private.servers.all}
        return {**servers, **self.apps}[name]

    def kill9(self, name: str) -> None:
        """SIGKILL, and wait until it is gone."""
        self.private.kill9(self.process(name))

    def freeze(self, name: str) -> None:
        """SIGSTOP, with its children."""
        self.private.freeze(self.process(name))

    def thaw(self, name: str) -> None:
        """SIGCONT, with its children."""
        self.private.thaw(self.process(name))

    def stop(self, name: str, seconds: float = 40) -> int | None:
        """An orderly end by signal; the exit status."""
        process = self.process(name)
        process.stop(seconds)
        return process.returncode

    def restart(self, name: str) -> None:
        """Start it again (killing it first if it runs); servers serve when this returns."""
        process = self.process(name)
        process.kill()
        process.start()

    # --- what it says ---------------------------------------------------------------------------
    def get(self, path: str, timeout: float = 10) -> tuple[int, bytes]:
        """Status and body of a GET on the web process, or on a full address."""
        return fetch(path if "://" in path else self.web_url + path, timeout)

    def wait_ready(self, timeout: float = 120) -> None:
        """Return when GET /ready is 200; StartError with its last answer and the logs otherwise."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                status, body = self.get("/ready")
            except OSError as error:
                status, body = 0, str(error).encode()
            if status == 200:
                return
            dead = [app.name for app in self.apps.values() if not app.alive]
            if dead or time.monotonic() > deadline:
                what = f"{', '.join(dead)} ended" if dead else f"/ready: {status} {body[:300]!r}"
                raise StartError(f"the stack is not ready, {what}\n{self.logs()}")
            time.sleep(0.05)

    def manage(self, *words: str, check: bool = True) -> str:
        """Standard output of a management command, without the last newline."""
        done = subprocess.run(
            management(words), env=self.env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"manage.py {' '.join(words)}: {done.stdout}\n{done.stderr}")
        return done.stdout.rstrip("\n")

    def api_key(self, user: str = "admin") -> str:
        """A key of that demo person, with every scope, for the header X-API-Key. They were made
        with the template: a process for each would take longer than most tests."""
        return str(self._keys[user])

    def sql(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        """Rows of a query on the stack's database (empty for a statement without rows)."""
        assert self.private.postgres is not None
        with self.private.postgres.connect("countersign") as connection:
            cursor = connection.execute(query.encode(), params)
            return cursor.fetchall() if cursor.description else []

    def logs(self, lines: int = 15) -> str:
        """The end of every log, for a failure's report."""
        processes = [*self.private.servers.all, *self.apps.values()]
        return "\n".join(f"--- {process.name}\n{process.tail(lines)}" for process in processes)

    def close(self) -> None:
        """End everything without ceremony."""
        for app in self.apps.values():
            app.kill()
        self.private.close()
        shutil.rmtree(self.folder, ignore_errors=True)


# --- helpers ------------------------------------------------------------------------------------
def fetch(url: str, timeout: float = 10) -> tuple[int, bytes]:
    """Status and body of a GET; an HTTP error is an answer, not an exception."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def family(process: Process | None) -> list[int]:
    """The process and its children, parents first."""
    assert process is not None
    found = [process.pid]
    for pid in found:
        # A session may end while it is looked at.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(word) for word in task.read_text().split()]
    return found


def signal_all(pids: Iterable[int], number: int) -> None:
    """Signal those that still exist."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def until_stopped(pids: Iterable[int], seconds: float = 30.0) -> None:
    """Wait until every thread of these stands still. A signal is only sent when `kill` returns: on
    a busy machine the process still answers once, or has one more child."""
    deadline = time.monotonic() + seconds
    while not all(map(_stands_still, pids)):
        if time.monotonic() > deadline:
            raise StartError("a process that was sent SIGSTOP did not stop")
        time.sleep(0.001)


def _stands_still(pid: int) -> bool:
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        # A thread may end while it is looked at.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # After the name, which may hold anything: T is stopped, Z and X are no more.
            if task.read_text().rpartition(")")[2].split()[0] not in "TtZX":
                return False
    return True


def copy_cluster(source: Path, target: Path) -> None:
    """A copy with the owner kept: the server's user owns its files."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


#: One process for all of it: each would start Django anew.
_FILL = """
import io
from django.core.management import call_command
from apps.accounts.demo_users import PEOPLE
call_command("seeddemo", "--bare", stdout=io.StringIO())
call_command("automationsrole", apply=True, stdout=io.StringIO())
for person in PEOPLE:
    call_command("createapikey", "--user", person.username, "--scope", "all")
"""


def _keys_of(template: Path) -> Path:
    """Where the keys of the demo people in a template stand."""
    return template.with_name("keys.json")


def migrated_template(folder: Path, *, fill: Callable[[Postgres], None] | None = None) -> Path:
    """A PostgreSQL data folder, migrated, with the demo and an API key of each of its people; made
    once in `folder`, by whoever comes first, whichever xdist worker that is. `fill` migrates the
    empty database in a quicker way."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "template.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        done = folder / "template"
        if not done.exists():
            _build_template(folder, done, fill)
        return done


def _build_template(
    folder: Path, done: Path, fill: Callable[[Postgres], None] | None = None
) -> None:
    draft = folder / "template-draft"
    shutil.rmtree(draft, ignore_errors=True)
    postgres = Postgres(
        data=draft,
        port=free_port(),
        run_dir=folder / "template-run",
        log=folder / "template.log",
        durable=False,
    )
    try:
        postgres.start()
        env = {
            **_plain_environment(),
            "DJANGO_SETTINGS_MODULE": "config.settings.local",
            "DATABASE_URL": postgres.url,
            "AUTOMATIONS_DATABASE_URL": postgres.automations_url,
            "AUTOMATIONS_TABLES": AUTOMATIONS_TABLES,
            "POSTGRES_MIN_CONNS": "1",
        }
        commands = [["shell", "-v", "0", "-c", _FILL]]
        if fill:
            fill(postgres)
        else:
            commands.insert(0, ["migrate", "--no-input", "-v", "0"])
        for words in commands:
            run = subprocess.run(
                management(words), env=env, cwd=ROOT, capture_output=True, text=True, check=False
            )
            if run.returncode:
                raise StartError(f"manage.py {' '.join(words)}: {run.stdout}\n{run.stderr}")
        # "Key … of <person> (all): <key>", a line for each.
        lines = [line.split() for line in run.stdout.splitlines() if line.startswith("Key ")]
        _keys_of(done).write_text(json.dumps({words[3]: words[-1] for words in lines}))
        postgres.stop()
    finally:
        postgres.kill()
    draft.rename(done)


def _plain_environment() -> dict[str, str]:
    """Ours without what the test session set for itself."""
    ours = ("TEMPORAL_", "COUNTERSIGN_", "POSTGRES_", "PYTEST_")
    mine = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    return {k: v for k, v in os.environ.items() if k not in mine and not k.startswith(ours)}


MakeStack = Callable[..., Stack]
MakeServers = Callable[..., PrivateServers]
