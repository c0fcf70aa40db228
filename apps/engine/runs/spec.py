"""What a run with items is, said once by its domain."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from apps.engine.models_abstract import Run, RunItem
from apps.engine.process import Process

R = TypeVar("R", bound=Run)

#: Statuses of a run, among others of its domain's.
PENDING, RUNNING, PAUSED = "pending", "running", "paused"
COMPLETED, CANCELLED = "completed", "cancelled"
#: Of an item; between them `running`, where it has a workflow of its own.
WAITING, DONE, FAILED = "waiting", "done", "failed"


@dataclass(frozen=True)
class RunSpec(Generic[R]):
    """What a run with items is.

    `run` is the items' foreign key to it. `record(run, event, *, by, via, **body)` writes the audit
    entry of each event and tells people of it: `paused`, `resumed`, `restarted` with a `reason`,
    and the status in which it ended with `code` and `detail`.
    `signal` wakes its workflow. `act`: the permission of those who may act on what others asked
    for, if they see it; empty: nobody may. `stopped`: the status of a run that a person stopped and
    may resume, and of its items that waited; its workflow ends then. Empty: it is paused, its
    workflow waits. `counts`: `done` and `failed` are columns of the run, because one worker
    settles its items in turn; else they are counted from the items.
    """

    process: Process[R]
    items: type[RunItem]
    run: str
    record: Callable[..., object]
    signal: str = ""
    act: str = ""
    stopped: str = ""
    counts: bool = False
