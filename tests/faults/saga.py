"""What a domain registers with the harness: a process that must survive every kill."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.faults.points import Points
from tests.faults.story import Story


@dataclass(frozen=True)
class FaultSaga:
    """One way through a domain's process.

    `points` are those at which the harness holds and kills somebody during it. `begin` tells the
    story as long as people have a part in it and gives the subject's id; it is patient, because
    anything may be killed while it runs. `ended` asks the database. `prove` raises AssertionError
    unless each of these subjects ended as this saga should: its rows, its money, its effects in
    the outside world once, and nothing left over.
    """

    name: str
    points: tuple[str, ...]
    begin: Callable[[Story, Points], str]
    ended: Callable[[Story, str], bool]
    prove: Callable[[Story, Sequence[str]], None]

    def __str__(self) -> str:
        return self.name
