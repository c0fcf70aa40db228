"""The directory as a process: what it said is true after a kill, and a large one is quick."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from apps.pix.bridge import channel
from apps.pix.bridge import directory_pb2 as pb
from deploy.local.processes import free_port
from deploy.local.stack import PORTS, app_argv, needed_ports
from tests.directory import OURS, SimulatedDirectory
from tests.simulators.directory.acting import PHONE, claim, create
from tests.support import FULL_SIZE, eventually, within

MANY = 200_000 if FULL_SIZE else 20_000


class Simulators:
    """`python -m apps.simulators` with a directory, on the same ports and data after a kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in PORTS}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ports['BRIDGE_PORT']}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            app_argv("simulators", self.ports),
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "config.settings.local",
                "COUNTERSIGN_DATA": str(self.folder),
            },
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("ab"),
        )

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait()


@pytest.fixture
def simulators(tmp_path: Path, settings: Any) -> Iterator[Callable[[], SimulatedDirectory]]:
    """Calling it starts them, killing those that run first."""
    process = Simulators(tmp_path)
    settings.BRIDGE_GRPC_ADDR = process.address
    made: list[SimulatedDirectory] = []

    def start() -> SimulatedDirectory:
        if process.process is not None:
            process.end(signal.SIGKILL)
        channel.close()
        process.start()
        made.append(SimulatedDirectory(process.address))
        eventually(made[-1].client.serving)
        return made[-1]

    yield start
    channel.close()
    for one in made:
        one.close()
    if process.process is not None:
        assert process.end(signal.SIGTERM) in (0, -signal.SIGTERM), (tmp_path / "log").read_text()


def test_what_it_said_is_true_after_a_kill(
    simulators: Callable[[], SimulatedDirectory],
) -> None:
    directory = simulators()
    entry = create(directory)
    opened = claim(directory, "OWNERSHIP")
    infraction = directory.open_infraction(OURS)
    directory.advance(days=2)
    client = directory.client
    file = client.sync_file_create(participant=OURS, key_type="PHONE")
    data = [one.data for one in client.sync_file_download(participant=OURS, file_id=file.id)]
    verifier, dumped = directory.verifier("PHONE"), directory.dump()
    ahead = directory.show().ahead_seconds
    directory = simulators()
    found = client.entry_get(participant=OURS, key=PHONE)
    assert (found.owner, found.created_at) == (entry.owner, entry.created_at)
    assert client.claim_get(participant=OURS, claim_id=opened.id) == opened
    assert client.infraction_get(participant=OURS, infraction_id=infraction.id).status == "OPEN"
    assert (directory.verifier("PHONE"), directory.dump()) == (verifier, dumped)
    again = client.sync_file_download(participant=OURS, file_id=file.id)
    assert [one.data for one in again] == data
    assert directory.show().ahead_seconds == ahead == 2 * 86_400


def test_killed_at_any_moment_it_has_done_a_write_whole_or_not_at_all(
    simulators: Callable[[], SimulatedDirectory],
) -> None:
    from threading import Thread

    from apps.pix.bridge.problems import DirectoryUnavailable

    directory = simulators()
    answered: list[str] = []

    def write() -> None:
        try:
            for number in range(100_000):
                key = f"+5511{number:09}"
                create(directory, key, account=account_of(number))
                answered.append(key)
        except DirectoryUnavailable:
            return

    writer = Thread(target=write)
    writer.start()
    eventually(lambda: len(answered) > 50)
    directory = simulators()
    writer.join()
    kept = directory.dump()
    assert set(answered) <= {one.entry.key for one in kept}
    assert len(kept) - len(answered) in (0, 1)
    together = 0
    for one in kept:
        together ^= int(one.cid, 16)
    assert f"{together:064x}" == directory.verifier("PHONE")


def account_of(number: int) -> Any:
    from tests.simulators.directory.acting import account

    return account(number=str(number))


def many(count: int) -> Iterator[pb.CidEntry]:
    """Random keys of as many people."""
    owner = pb.Owner(type="NATURAL_PERSON", tax_id="11122233396", name="Maria Souza")
    for number in range(count):
        yield pb.CidEntry(
            request_id=str(UUID(int=number * 2**64 + 7, version=4)),
            entry=pb.Entry(
                key_type="EVP",
                key=str(UUID(int=(number * 0x9E3779B97F4A7C15) % 2**128, version=4)),
                account=pb.Account(
                    participant=OURS, branch="0001", number=str(number), type="CACC"
                ),
                owner=owner,
            ),
        )


def test_a_large_directory_is_quick(
    simulators: Callable[[], SimulatedDirectory], record_property: Any
) -> None:
    directory = simulators()
    client = directory.client
    began = time.monotonic()
    assert directory.load(many(MANY)) == MANY
    loaded = time.monotonic() - began
    with within(0.5):
        assert not client.sync_verify(participant=OURS, key_type="EVP", verifier="0" * 64).ok
    began = time.monotonic()
    with within(20):
        file = client.sync_file_create(participant=OURS, key_type="EVP", within=25)
        found = client.sync_file_get(participant=OURS, file_id=file.id)
        size = sum(
            len(chunk.data)
            for chunk in client.sync_file_download(participant=OURS, file_id=file.id, within=25)
        )
    assert size == found.size == 65 * MANY
    ordered = time.monotonic() - began
    began = time.monotonic()
    directory.tamper(changed=400, missing=300, extra=300, key_type="EVP")
    tampered = time.monotonic() - began
    began = time.monotonic()
    for number in range(100):
        client.entry_create(
            participant=OURS,
            request_id=str(UUID(int=number, version=4)),
            key_type="PHONE",
            key=f"+5511{number:09}",
            account=account_of(number),
            owner=create_owner(),
            reason="USER_REQUESTED",
        )
    written = (time.monotonic() - began) / 100
    for column, seconds in (
        ("load", loaded),
        ("file", ordered),
        ("tamper", tampered),
        ("one write", written),
    ):
        table = ["Simulated directory", f"{MANY:,} entries", column, f"{seconds:.4f} s"]
        record_property("table", table)


def create_owner() -> Any:
    from tests.simulators.directory.acting import PERSON

    return PERSON


def test_a_second_directory_on_the_port_is_refused_and_the_rest_starts(
    simulators: Callable[[], SimulatedDirectory], tmp_path: Path
) -> None:
    directory = simulators()
    port = directory.address.rpartition(":")[2]
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    second = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "apps.simulators",
            "--port",
            str(free_port()),
            "--bridge-port",
            port,
        ],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings.local",
            "COUNTERSIGN_DATA": str(elsewhere),
        },
        stderr=subprocess.PIPE,
    )
    assert second.stderr is not None
    try:
        said = iter(second.stderr.readline, b"")
        assert any(b"No directory on port" in line for line in said)
        assert second.poll() is None
    finally:
        second.kill()
        second.wait()
        second.stderr.close()
    assert directory.client.serving()


def test_the_launcher_looks_whether_the_bridges_port_is_free() -> None:
    assert needed_ports(PORTS, {})["BRIDGE_PORT"] == 50051
