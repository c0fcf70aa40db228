"""Kills a victim while a process is held at a named point, and proves what must hold afterwards."""

import contextlib
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tests.faults.points import Points
from tests.faults.saga import FaultSaga
from tests.faults.story import Story
from tests.support import eventually

#: Who is killed. `relay` is the process that leads; `sessions` are those of PostgreSQL.
VICTIMS = ("worker", "web", "relay", "sessions", "temporal", "valkey")

_LEADER = """
SELECT a.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND a.application_name LIKE 'relay %%'
"""
_END_SESSIONS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix."""

    saga: FaultSaga
    point: str
    victim: str

    def __str__(self) -> str:
        return f"{self.victim}@{self.saga}:{self.point}"


class Harness:
    """One stack, its story and its points."""

    def __init__(self, story: Story, points: Points) -> None:
        self.story = story
        self.stack = story.stack
        self.points = points
        #: Everything that was told on this stack, for the proofs over all of it.
        self.told: list[tuple[FaultSaga, str]] = []

    def survive(self, cell: Cell) -> float:
        """Kill the victim with somebody held at the point; seconds from the kill to the saga's end.

        AssertionError when the saga does not end as it should.
        """
        self.story.quiet()
        if cell.victim == "relay":
            self.lead_by_relay()
        self.points.arm(cell.point)
        with ThreadPoolExecutor(1) as teller:
            try:
                telling = teller.submit(cell.saga.begin, self.story, self.points)
                eventually(lambda: self.points.holder(cell.point) or _broken(telling), timeout=60)
                began = time.monotonic()
                self.kill(cell.victim)
            finally:
                self.points.release_all()
            self.restart(cell.victim)
            subject = telling.result()
        self.finish(cell.saga, subject)
        return time.monotonic() - began

    def tell(self, saga: FaultSaga) -> str:
        """The saga with nobody killed, to its end."""
        self.story.quiet()
        subject = saga.begin(self.story, self.points)
        self.finish(saga, subject)
        return subject

    def finish(self, saga: FaultSaga, subject: str) -> None:
        """Wait for the end and prove it."""
        eventually(lambda: saga.ended(self.story, subject), timeout=60, every=0.1)
        saga.prove(self.story, [subject])
        self.told.append((saga, subject))

    def prove_all(self) -> None:
        """Everything told so far still stands as it ended: one late effect would show here."""
        for saga in {saga.name: saga for saga, _ in self.told}.values():
            saga.prove(self.story, [subject for one, subject in self.told if one == saga])
        self.story.prove_ledger()
        self.story.prove_reservations()
        self.story.prove_mails()

    # --- victims --------------------------------------------------------------------------------
    def kill(self, victim: str) -> None:
        """SIGKILL; for `sessions` their end from outside."""
        if victim == "sessions":
            self.stack.sql(_END_SESSIONS)
        else:
            self.stack.kill9(victim)

    def restart(self, victim: str) -> None:
        """Bring it back. A process of ours may not serve yet when this returns."""
        if victim != "sessions":
            self.stack.restart(victim)

    def lead_by_relay(self) -> None:
        """Make the relay's own process lead: after its last death the worker's standby does."""
        wanted = str(self.stack.process("relay").pid)
        eventually(lambda: self._leads(wanted), timeout=60, every=0.4)

    def _leads(self, pid: str) -> bool:
        for backend, name in self.stack.sql(_LEADER):
            if name.split(":")[1] == pid:
                return True
            # It loses its session and with it the lock, and pauses: the other one is quicker.
            with contextlib.suppress(Exception):
                self.stack.sql("SELECT pg_terminate_backend(%s)", backend)
        return False


def _broken(telling: "Future[str]") -> bool:
    """Whether the story ended although nobody was held: then its error says more than a timeout."""
    if telling.done():
        telling.result()
        raise AssertionError("the story passed the point and nobody was held there")
    return False
