"""What crosses between approvals and workflows. Standard library only."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from apps.engine.contracts import Count, RunProgress, Timings

#: How audit entries and links name a request.
SUBJECT_TYPE = "approval"


class RequestStatus(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def settled(self) -> bool:
        return self is not RequestStatus.OPEN


class Verdict(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


class BulkStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"
    COMPLETED = "completed"


class ItemStatus(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


#: The queue of the workflows that belong to no domain: clocks and bulk decisions.
TASK_QUEUE = "approvals"

CLOCK_WORKFLOW = "ApprovalClockWorkflow"
#: Tells the workflow that keeps a request's clock that the request was edited or has ended.
#: Carries an `apps.engine.contracts.SignalEnvelope`.
SIGNAL_CHANGED = "request_changed"


@dataclass(frozen=True)
class Waiting:
    """A row that a person signs, as its workflow reads it again after every wake-up.

    `status` is the row's own; `waiting`: nobody has decided yet; `settled`: it has ended, `code`
    and `detail` say why. `attention`: a person is asked about it. `next_at`: when its request's
    clock next has something to do, expiry included.
    """

    status: str
    waiting: bool = False
    settled: bool = False
    request_id: str = ""
    request_status: str = ""
    next_at: datetime | None = None
    expires_at: datetime | None = None
    attention: bool = False
    code: str = ""
    detail: str = ""


@dataclass(frozen=True)
class ClockRef:
    """Input of the workflow that keeps one request's clock."""

    request_id: str
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True)
class TickInput:
    """`as_of` is the workflow's clock; `commands` are those of signals that came in since."""

    request_id: str
    as_of: datetime
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tick:
    """How the request stands after a tick; `next_at` None: nothing more happens by itself.

    `expires_at` None: it does not expire, or the tick is one from before this was said.
    """

    status: str
    next_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class ClockResult:
    """Result of the workflow, readable in the Temporal UI."""

    request_id: str
    status: str


# --- runs that are signed once (apps.approvals.signed_runs) ---------------------------------------
@dataclass(frozen=True)
class RunFacts(Waiting):
    """The run as its workflow re-reads it."""

    progress: RunProgress = field(default_factory=RunProgress)

    @property
    def runs(self) -> bool:
        return self.status == "running"


@dataclass(frozen=True)
class RunStep:
    """For steps of a run. `signals`: commands of the signals after which it is read again."""

    run_id: str
    as_of: datetime
    signals: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunRefusal:
    """Why a run does not begin."""

    run_id: str
    code: str
    detail: str
    as_of: datetime


@dataclass(frozen=True)
class RunPrepare:
    """Make up to `limit` items ready. `known`: numbers of those that the workflow is at now."""

    run_id: str
    limit: int
    known: tuple[int, ...]
    as_of: datetime


# --- bulk decisions -------------------------------------------------------------------------------
BULK_SUBJECT = "bulk"
BULK_WORKFLOW = "BulkDecideWorkflow"


@dataclass(frozen=True)
class BulkRef:
    """Input of the workflow. `chunk`: how many items one activity works through at most."""

    bulk_id: str
    timings: Timings = field(default_factory=Timings)
    chunk: Count = 100


@dataclass(frozen=True)
class BulkChunk:
    """Work through at most `limit` items, and begin no further one after `seconds`."""

    bulk_id: str
    limit: int = 100
    seconds: float = 100.0


@dataclass(frozen=True)
class BulkProgress:
    """How far it is. `ended`: nothing waits any more, or it was stopped."""

    bulk_id: str
    status: str
    total: int = 0
    done: int = 0
    failed: int = 0
    ended: bool = False


def clock_workflow_id(request_id: object, number: int = 1) -> str:
    """Id of the workflow that keeps the request's clock; each start has one of its own."""
    return f"{SUBJECT_TYPE}-{request_id}-clock" + (f"-{number}" if number > 1 else "")
