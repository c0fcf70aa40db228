"""Describes a run with items."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from apps.engine.models_abstract import Run, RunItem
from apps.engine.process import Process

R = TypeVar("R", bound=Run)

#: Statuses of a run; its domain may have others.
PENDING, RUNNING, PAUSED = "pending", "running", "paused"
COMPLETED, CANCELLED = "completed", "cancelled"
#: Statuses of an item; also `running`, if it has its own workflow.
WAITING, DONE, FAILED = "waiting", "done", "failed"


@dataclass(frozen=True)
class RunSpec(Generic[R]):
    """Describes a run with items.

    `run` is the items' foreign key to it. `record(run, event, *, by, via, **body)` writes the audit
    entry of each event and notifies: `paused`, `resumed`, `restarted` with a `reason`, and the
    status in which it ended with `code` and `detail`.
    `signal` wakes its workflow. `act`: the permission to act on runs of others, if they are
    visible; empty: only the requester may. `stopped`: the status of a run that a user stopped and
    may resume, and of its items that waited; its workflow ends then. Empty: it is paused and its
    workflow waits.
    `counts`: `done` and `failed` are columns of the run, because one worker settles its items in
    turn; otherwise they are counted from the items.
    """

    process: Process[R]
    items: type[RunItem]
    run: str
    record: Callable[..., object]
    signal: str = ""
    act: str = ""
    stopped: str = ""
    counts: bool = False
