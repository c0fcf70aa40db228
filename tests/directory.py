"""The simulated directory, in this process and behind a real socket: a reset is milliseconds."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc

from apps.pix.bridge import directory_pb2 as pb
from apps.pix.bridge.client import Directory, directory
from apps.simulators.directory import control_pb2, control_pb2_grpc
from apps.simulators.directory.server import Directory as Server

#: Ours, and strangers that agree, refuse and stay silent.
OURS, OTHER = "12345678", "87654321"
AGREES, REFUSES, SILENT = "11111111", "22222222", "33333333"


class SimulatedDirectory:
    """What a test tells the directory, and asks behind the bridge."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = grpc.insecure_channel(address)
        self.control: Any = control_pb2_grpc.ControlStub(self._channel)

    @property
    def client(self) -> Directory:
        """The product's own client; the settings must name this directory."""
        return directory()

    def reset(self, *, lag_seconds: float = 0.0, limits: bool = False) -> None:
        """Forget everything. Lists are up to date unless a test wants them late."""
        request = control_pb2.ResetRequest(lag_seconds=lag_seconds, limits=limits)
        self.control.Reset(request)

    def now(self) -> datetime:
        """Its time."""
        return self._clock(0)

    def advance(self, **duration: float) -> datetime:
        """`advance(days=7)`: its time after that."""
        return self._clock(timedelta(**duration).total_seconds())

    def faults(self, operation: str = "", **fault: Any) -> None:
        """`faults("Claims.Create", lose_answer=True, next=1)`; also status, retry_after,
        delay_seconds, clear."""
        self.control.Faults(control_pb2.FaultsRequest(operation=operation, **fault))

    def tamper(self, participant: str = OURS, **counts: Any) -> None:
        """`tamper(changed=4, missing=3, extra=3, key_type="PHONE")`."""
        self.control.Tamper(control_pb2.TamperRequest(participant=participant, **counts))

    def open_claim(self, key: str, **of: str) -> pb.Claim:
        """A stranger claims the key: type, claimer_participant, claimer_tax_id, claimer_name."""
        claim: pb.Claim = self.control.OpenClaim(control_pb2.OpenClaimRequest(key=key, **of))
        return claim

    def open_infraction(self, counterparty: str = OURS, **of: str) -> pb.Infraction:
        """A stranger reports: reporter_participant, transaction_id, reason, situation_type,
        details, amount."""
        request = control_pb2.OpenInfractionRequest(counterparty_participant=counterparty, **of)
        infraction: pb.Infraction = self.control.OpenInfraction(request)
        return infraction

    def behave(self, participant: str, behaviour: str) -> None:
        """ours, agrees, refuses, silent"""
        request = control_pb2.BehaveRequest(participant=participant, behaviour=behaviour)
        self.control.Behave(request)

    def load(self, entries: Iterable[pb.CidEntry]) -> int:
        """Entries (with their request ids) that were always there. How many."""
        requests = (control_pb2.LoadRequest(entries=part) for part in _parts(entries, 2000))
        loaded: int = self.control.Load(requests).entries
        return loaded

    def dump(self, participant: str = OURS, key_type: str = "") -> list[pb.CidEntry]:
        """All entries of a participant."""
        request = control_pb2.DumpRequest(participant=participant, key_type=key_type)
        return list(self.control.Dump(request))

    def show(self) -> Any:
        """A ShowResponse: holdings, open claims and infractions, faults, calls."""
        return self.control.Show(control_pb2.ShowRequest())

    def calls(self, operation: str) -> int:
        """How often an operation was called since the reset."""
        return int(self.show().calls.get(operation, 0))

    def verifier(self, key_type: str, participant: str = OURS) -> str:
        """64 digits."""
        held = {(one.participant, one.key_type): one.verifier for one in self.show().holdings}
        return str(held.get((participant, key_type), "0" * 64))

    def close(self) -> None:
        """Let go of the connection."""
        self._channel.close()

    def _clock(self, seconds: float) -> datetime:
        told = self.control.Clock(control_pb2.ClockRequest(advance_seconds=seconds))
        time: datetime = told.now.ToDatetime(tzinfo=UTC)
        return time


def _parts(entries: Iterable[pb.CidEntry], size: int) -> Iterator[list[pb.CidEntry]]:
    part: list[pb.CidEntry] = []
    for entry in entries:
        part.append(entry)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def serving(folder: Path) -> Iterator[SimulatedDirectory]:
    """The directory of a session."""
    server = Server(folder / "directory.sqlite3")
    server.start()
    simulated = SimulatedDirectory(f"127.0.0.1:{server.port}")
    try:
        yield simulated
    finally:
        simulated.close()
        server.stop()
