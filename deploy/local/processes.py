"""Child processes that die with the launcher, and those of an earlier launcher that did not.

Every child leads a session of its own, so Ctrl-C in a terminal reaches the launcher alone and the
launcher decides the order. A child is recognised later by pid, start time and command line
together: a pid by itself may belong to anybody by then.
"""

import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

CHILD = Path(__file__).with_name("child.py")
LOG_LIMIT = 20 * 1024 * 1024
#: Below the range that the kernel gives to outgoing connections: a freed port stays free.
FREE_PORTS = range(15_000, 32_000)


class StartError(Exception):
    """Something cannot start; the text is meant for the person at the terminal."""


def wrap(
    argv: Sequence[str],
    *,
    pid_file: Path | None = None,
    death_signal: int = 0,
    uid: int | None = None,
    namespace: bool = False,
) -> list[str]:
    """The command that becomes `argv` by way of child.py."""
    options = {
        "argv": list(argv),
        "pid_file": str(pid_file) if pid_file else "",
        "death_signal": int(death_signal),
        "parent": os.getpid(),
        "uid": uid,
        "namespace": namespace,
    }
    return [sys.executable, "-I", "-S", str(CHILD), json.dumps(options)]


class Process:
    """One child with a log and a pid file; it can be started again after it ended.

    Start it from a thread that lives as long as the child: the kernel sends the death signal when
    the starting *thread* ends.
    """

    #: Asks for an orderly end.
    stop_signal: signal.Signals = signal.SIGTERM
    #: Sent by the kernel when the launcher dies.
    death_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    start_seconds: float = 60.0

    def __init__(
        self,
        *,
        name: str,
        argv: Sequence[str],
        run_dir: Path,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.env = dict(os.environ if env is None else env)
        self.cwd = cwd
        self.log = log
        self.pid_file = run_dir / f"{name}.pid"
        self.popen: subprocess.Popen[bytes] | None = None

    # --- life -----------------------------------------------------------------------------------
    def start(self) -> None:
        """Launch and wait until it serves; StartError with the end of its log otherwise."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start the process without waiting for it; a leftover of an earlier run ends first."""
        stop_leftovers([self.pid_file], stop_signal=self.stop_signal, seconds=self.stop_seconds)
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        self.spawn()

    def spawn(
        self, *, executable: str | None = None, uid: int | None = None, namespace: bool = False
    ) -> None:
        """Fork and exec, nothing else: subclasses prepare, then call this."""
        argv = [executable or self.argv[0], *self.argv[1:]]
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                wrap(
                    argv,
                    pid_file=self.pid_file,
                    death_signal=self.death_signal,
                    uid=uid,
                    namespace=namespace,
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
            )

    def serves(self) -> bool:
        """Whether it answers now; a plain process serves as soon as it runs."""
        return self.alive

    def wait(self, seconds: float | None = None) -> None:
        """Return when it serves; StartError when it ends before that, or when time is up."""
        limit = self.start_seconds if seconds is None else seconds
        deadline = time.monotonic() + limit
        while True:
            if not self.alive:
                raise StartError(f"{self.name} ended while it started:\n{self.tail()}")
            if self.serves():
                return
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} does not answer after {limit:g} s:\n{self.tail()}")
            time.sleep(0.02)

    @property
    def alive(self) -> bool:
        """Whether the child that we started still runs."""
        return self.popen is not None and self.popen.poll() is None

    @property
    def pid(self) -> int:
        """The child's pid; it must have been started."""
        if self.popen is None:
            raise StartError(f"{self.name} was not started")
        return self.popen.pid

    @property
    def returncode(self) -> int | None:
        """As subprocess has it: negative for a signal, None while it runs."""
        return None if self.popen is None else self.popen.poll()

    def signal(self, number: int) -> None:
        """Send a signal to the child alone; nothing happens when it has ended."""
        if self.popen is not None and self.popen.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.popen.pid, number)

    def stop(self, seconds: float | None = None) -> None:
        """Ask it to end, wait, kill what is left of it."""
        self.signal(self.stop_signal)
        limit = self.stop_seconds if seconds is None else seconds
        with suppress(subprocess.TimeoutExpired):
            if self.popen is not None:
                self.popen.wait(limit)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the child and its process group, and reap it."""
        if self.popen is None:
            return
        if self.popen.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.popen.pid, signal.SIGKILL)
            self.signal(signal.SIGKILL)
            self.popen.wait()
        self.pid_file.unlink(missing_ok=True)

    def tail(self, lines: int = 12) -> str:
        """The last lines of its log, for an error message."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 16_384))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return "  (no log)"
        return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (empty log)"


# --- what an earlier launcher left ------------------------------------------------------------
def command_line(pid: int) -> list[str]:
    """The words of a running process's command line; empty when there is no such process."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        if sys.platform == "linux":
            return []
        done = subprocess.run(
            ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return done.stdout.split()
    # A server that rewrites its title pads it with empty words.
    return raw.decode("utf-8", "replace").rstrip("\0").split("\0") if raw else []


def leftover(pid_file: Path) -> int | None:
    """The pid of the process that wrote this pid file, if that very process still runs."""
    try:
        noted = json.loads(pid_file.read_text())
        pid, argv, started = int(noted["pid"]), list(noted["argv"]), noted["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    words = command_line(pid)
    if sys.platform != "linux":
        return pid if words[: len(argv)] == " ".join(argv).split() else None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if stat[0] == "Z" or int(stat[19]) != started:
        return None
    # Still inside child.py: the options, and so the whole argv, are its last word.
    inside_child = bool(words) and words[-1].startswith('{"argv": ' + json.dumps(argv))
    return pid if inside_child or words[: len(argv)] == argv else None


def running(pid: int) -> bool:
    """Whether the process exists and is not merely waiting to be reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return stat[0] != "Z"
    return sys.platform != "linux"


def stop_leftovers(
    pid_files: Iterable[Path],
    *,
    stop_signal: int = signal.SIGTERM,
    seconds: float = 3.0,
    note: Callable[[str], None] = lambda text: None,
) -> None:
    """End processes of ours that outlived their launcher, and only those; then forget the files."""
    files = list(pid_files)
    found = {file: pid for file in files if (pid := leftover(file)) is not None}
    for file, pid in found.items():
        note(f"stopping {file.stem} (pid {pid}), left by an earlier run")
        end(pid, stop_signal=stop_signal, seconds=0)
    for pid in found.values():
        end(pid, stop_signal=stop_signal, seconds=seconds)
    for file in files:
        file.unlink(missing_ok=True)


def end(pid: int, *, stop_signal: int, seconds: float) -> None:
    """Signal a process that is not our child; with `seconds`, wait that long and then kill it."""
    with suppress(ProcessLookupError):
        os.kill(pid, stop_signal)
        if not seconds:
            return
        deadline = time.monotonic() + seconds
        while running(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        if running(pid):
            os.kill(pid, signal.SIGKILL)
            while running(pid) and time.monotonic() < deadline + 5:
                time.sleep(0.02)


# --- ports --------------------------------------------------------------------------------------
def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


#: The ports that this process was given, each with the lock that says so to others.
_given: dict[int, IO[bytes]] = {}


def free_port() -> int:
    """A port that nobody listens on and that no process was given which still runs."""
    for _ in range(1000):
        port = random.choice(FREE_PORTS)
        if port not in _given and port_is_free(port) and (lock := _claim(port)):
            _given[port] = lock
            return port
    raise StartError("no free port found")


def _claim(port: int) -> IO[bytes] | None:
    """A lock on that port among all processes of this user, None when another has it.

    A server listens seconds after its port was chosen: of two stacks that started side by side,
    one in fifty found a port taken by the other.
    """
    folder = Path(tempfile.gettempdir()) / f"countersign-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    lock = (folder / str(port)).open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def check_ports(ports: Mapping[str, int]) -> None:
    """StartError that names every variable whose port is taken, or that two of them share."""
    problems: dict[str, str] = {}
    for variable, port in ports.items():
        twin = next(name for name, other in ports.items() if other == port)
        if twin != variable:
            problems[variable] = f"{variable} {port} is taken by {twin}"
        elif not port_is_free(port):
            problems[variable] = f"{variable} {port} is taken by another program"
    if problems:
        first = next(iter(problems))
        raise StartError(
            "\n".join(problems.values())
            + f"\nFree it, or choose another port: {first}={free_port()} make run"
        )
