"""What crosses between executions and their workflow. Standard library only.

Values of nodes never cross: the workflow knows places in the definition, and statuses.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.automations.contracts import ExecutionStatus, NodeStatus, Outcome
from apps.automations.contracts.graph import NodeState, Plan


@dataclass(frozen=True)
class NodeChange:
    """The state of the node at this place of the definition. `wake_at`: when a delay is over."""

    index: int
    status: NodeStatus
    outcome: Outcome = Outcome.NONE
    wake_at: datetime | None = None

    @property
    def state(self) -> NodeState:
        """Return the state as the scheduler knows it."""
        return NodeState(self.status, self.outcome)


@dataclass(frozen=True)
class OpenInput:
    """What a workflow was started with: `{"execution_id": …}`, or a definition with optional
    `params`, by hand."""

    workflow_id: str
    input: dict[str, Any]
    as_of: datetime


@dataclass(frozen=True)
class Pauses:
    """Seconds before the next attempt: the first, what each is multiplied by, and the most."""

    first: float
    factor: float
    most: float

    def before(self, attempt: int) -> float:
        """Return the seconds before this attempt, the second or a later one."""
        return float(min(self.first * self.factor ** max(attempt - 2, 0), self.most))


@dataclass(frozen=True)
class Opened:
    """An execution when its workflow begins to carry it.

    `changes`: its nodes that are not pending. `timeouts`: seconds of a try of each node;
    `heartbeat`: seconds in which a killed worker is noticed. `deadline`: seconds of the run without
    what waits for people and for a time.
    """

    row_id: str
    status: ExecutionStatus
    ids: tuple[str, ...]
    plan: Plan
    changes: tuple[NodeChange, ...]
    timeouts: tuple[float, ...]
    heartbeat: float
    deadline: float
    node_pauses: Pauses
    run_pauses: Pauses
    code: str = ""
    detail: str = ""


@dataclass(frozen=True)
class AdvanceInput:
    """Asks for what the database alone can do. `as_of` is the workflow's clock."""

    row_id: str
    as_of: datetime


@dataclass(frozen=True)
class Advanced:
    """How far the execution is. `changes`: all nodes that have changed in this call, and all that
    wait. `more`: there is more of the same to do. `attempt`: above 0, the attempt of the run that
    has to begin, after a pause. `code`, `detail`: why it failed."""

    status: ExecutionStatus
    changes: tuple[NodeChange, ...] = ()
    more: bool = False
    attempt: int = 0
    code: str = ""
    detail: str = ""


@dataclass(frozen=True)
class NodeInput:
    """A node with an effect."""

    row_id: str
    index: int


@dataclass(frozen=True)
class CancelInput:
    """An execution that somebody cancels in the engine, and why."""

    row_id: str
    as_of: datetime
    reason: str = ""


@dataclass(frozen=True)
class StopInput:
    """An execution that may not go on: it fails with this code."""

    row_id: str
    code: str
    detail: str
    as_of: datetime
