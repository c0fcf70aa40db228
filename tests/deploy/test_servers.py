"""The servers of the launcher: they recover what a killed run left, and nothing else."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.processes import (
    Process,
    StartError,
    check_ports,
    free_port,
    leftover,
    running,
    wrap,
)
from deploy.local.servers import Postgres, Temporal, Valkey, namespaces_work
from deploy.local.stack import ROOT
from tests.support import eventually

Make = Callable[..., Process]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Builds a server in the test's folder; what is left of it ends with the test."""
    made: list[Process] = []

    def build(kind: type[Process], port: int, **options: object) -> Process:
        name = kind.__name__.lower()
        server = kind(
            data=tmp_path / name,
            port=port,
            run_dir=tmp_path / "run",
            log=tmp_path / f"{name}.log",
            **options,
        )
        made.append(server)
        return server

    yield build
    for server in made:
        server.kill()


def write_row(postgres: Postgres) -> None:
    with postgres.connect("countersign") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")


def read_row(postgres: Postgres) -> int:
    with postgres.connect("countersign") as connection:
        return connection.execute("SELECT number FROM kept").fetchone()[0]


def test_postgres_serves_again_with_its_data_after_kill_9(make: Make) -> None:
    port = free_port()
    first = make(Postgres, port)
    first.start()
    write_row(first)
    first.signal(signal.SIGKILL)
    eventually(lambda: not first.alive)
    assert (first.data / "postmaster.pid").exists()
    second = make(Postgres, port)
    second.start()
    assert read_row(second) == 7


def test_no_two_processes_are_given_one_port() -> None:
    few = [free_port() for _ in range(3)]
    script = (
        f"from deploy.local import processes\nprocesses.FREE_PORTS = {few}\nprocesses.free_port()\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "no free port found" in other.stderr


def test_a_running_orphan_is_recognised_and_replaced(make: Make) -> None:
    port = free_port()
    orphan = make(Postgres, port)
    orphan.start()
    write_row(orphan)
    assert leftover(orphan.pid_file) == orphan.pid
    second = make(Postgres, port)
    second.start()
    assert not orphan.alive
    assert read_row(second) == 7


def test_an_orphan_without_our_pid_file_is_found_by_its_lock_file(make: Make) -> None:
    port = free_port()
    orphan = make(Postgres, port)
    orphan.start()
    orphan.pid_file.unlink()
    make(Postgres, port).start()
    assert not orphan.alive


def test_a_stranger_with_the_pid_of_a_stale_lock_file_is_left_alone(make: Make) -> None:
    port = free_port()
    first = make(Postgres, port)
    first.start()
    write_row(first)
    first.signal(signal.SIGKILL)
    eventually(lambda: not first.alive)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        lock = first.data / "postmaster.pid"
        rest = lock.read_text().split("\n", 1)[1]
        lock.write_text(f"{stranger.pid}\n{rest}")
        first.pid_file.write_text(
            json.dumps({"pid": stranger.pid, "started": 1, "argv": first.argv})
        )
        second = make(Postgres, port)
        second.start()
        assert read_row(second) == 7
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_initdb_does_not_stop_the_next_start(make: Make, tmp_path: Path) -> None:
    half = tmp_path / "postgres.draft"
    half.mkdir()
    (half / "PG_VERSION").write_text("17\n")
    server = make(Postgres, free_port())
    server.start()
    assert server.serves()


@pytest.mark.parametrize("mode", ["namespace", "user"])
def test_root_starts_postgres_either_way(mode: str, make: Make, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("both ways are for root")
    if mode == "namespace" and not namespaces_work():
        pytest.skip("no user namespaces here")
    # pytest's folders are closed to others, and the second way is for another user.
    folder = Path("/var/tmp") / f"countersign-{os.getpid()}-{mode}"
    folder.mkdir(mode=0o711)
    try:
        server = Postgres(
            data=folder / "data",
            port=free_port(),
            run_dir=folder / "run",
            log=folder / "log",
            as_root=mode,
        )
        try:
            server.start()
            write_row(server)
            assert server.data.stat().st_uid == (0 if mode == "namespace" else 65534)
        finally:
            server.stop()
        assert server.returncode == 0
    finally:
        shutil.rmtree(folder)


def test_a_folder_that_postgres_cannot_enter_is_named(make: Make, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has to become another user")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = Postgres(
        data=closed / "data",
        port=free_port(),
        run_dir=tmp_path / "run",
        log=tmp_path / "log",
        as_root="user",
    )
    with pytest.raises(StartError, match="COUNTERSIGN_DATA"):
        server.start()


ORDINARY = """
import os
import sys
from pathlib import Path
from deploy.local.servers import Postgres, Temporal, Valkey
print(os.geteuid())
folder, ports = Path(sys.argv[1]), [int(word) for word in sys.argv[2:]]
common = {"run_dir": folder / "run"}
servers = [
    Postgres(data=folder / "p", port=ports[0], log=folder / "p.log", **common),
    Valkey(data=folder / "v", port=ports[1], log=folder / "v.log", **common),
    Temporal(data=folder / "t", port=ports[2], log=folder / "t.log", **common),
]
for server in servers:
    server.start()
for server in servers:
    server.stop()
print([server.returncode for server in servers])
"""


def test_an_ordinary_user_starts_and_stops_everything(tmp_path: Path) -> None:
    ports = [str(free_port()) for _ in range(3)]
    argv = [sys.executable, "-c", ORDINARY, str(tmp_path), *ports]
    if os.geteuid() == 0:
        if not namespaces_work():
            pytest.skip("root cannot become an ordinary user here")
        # The whole launcher as another uid, with the same interpreter wherever it lies.
        argv = wrap(argv, uid=65534, namespace=True)
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n") == [
        "65534" if os.geteuid() == 0 else str(os.geteuid()),
        "[0, 0, 0]",
        "",
    ], done.stderr


def test_valkey_keeps_what_was_written_before_kill_9(make: Make) -> None:
    import redis

    port = free_port()
    first = make(Valkey, port)
    first.start()
    redis.Redis(port=port).set("kept", "yes")
    redis.Redis(port=port).execute_command("WAITAOF", 1, 0, 2000)
    first.signal(signal.SIGKILL)
    eventually(lambda: not first.alive)
    make(Valkey, port).start()
    assert redis.Redis(port=port).get("kept") == b"yes"


def test_temporal_keeps_its_namespaces_after_kill_9(make: Make) -> None:
    port = free_port()
    first = make(Temporal, port)
    first.start()
    assert first.cli("operator", "namespace", "create", "-n", "kept") == 0
    first.signal(signal.SIGKILL)
    eventually(lambda: not first.alive)
    second = make(Temporal, port)
    second.start()
    eventually(lambda: second.cli("operator", "namespace", "describe", "-n", "kept") == 0)


def test_children_die_with_the_launcher(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the kernel sends no death signal here")
    launcher = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\n"
            "from pathlib import Path\n"
            "from deploy.local.servers import Postgres\n"
            "f = Path(sys.argv[1])\n"
            "s = Postgres(data=f / 'd', port=int(sys.argv[2]), run_dir=f, log=f / 'log')\n"
            "s.start()\n"
            "print(s.pid, flush=True)\n"
            "time.sleep(60)\n",
            str(tmp_path),
            str(free_port()),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(launcher.stdout.readline())
    assert running(pid)
    launcher.kill()
    launcher.wait()
    launcher.stdout.close()
    eventually(lambda: not running(pid))


def test_a_taken_port_is_named_with_its_variable(make: Make) -> None:
    port = free_port()
    make(Valkey, port).start()
    with pytest.raises(StartError, match=f"REDIS_PORT {port} is taken"):
        check_ports({"WEB_PORT": free_port(), "REDIS_PORT": port})


def test_two_variables_with_one_port_are_both_named() -> None:
    port = free_port()
    with pytest.raises(StartError, match=f"HEALTH_PORT {port} is taken by WEB_PORT"):
        check_ports({"WEB_PORT": port, "HEALTH_PORT": port})


def test_the_end_of_the_log_is_in_the_error_of_a_server_that_does_not_start(make: Make) -> None:
    server = make(Postgres, free_port(), settings={"max_connections": "not a number"})
    with pytest.raises(StartError, match="max_connections"):
        server.start()
