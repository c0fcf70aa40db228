"""Contracts between approvals and workflows. Standard library only."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from apps.engine.contracts import Count, RunProgress, Timings

#: The subject type of requests in audit entries and links.
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


#: Task queue of the workflows that belong to no domain: clocks and bulk decisions.
TASK_QUEUE = "approvals"

CLOCK_WORKFLOW = "ApprovalClockWorkflow"
#: Signal to the workflow that keeps a request's clock: the request was edited or settled. Carries
#: an `apps.engine.contracts.SignalEnvelope`.
SIGNAL_CHANGED = "request_changed"


@dataclass(frozen=True)
class Waiting:
    """State of a row that a person signs, as its workflow reads it after every wake-up.

    `status` is the row's; `waiting`: nobody has decided yet; `settled`: the row has ended, and
    `code` and `detail` say why. `attention`: a review item about it is open. `next_at`: when the
    request's clock is due next, including expiry.
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
    """`as_of` is the workflow's clock; `commands` are the ids of the signals received since
    then."""

    request_id: str
    as_of: datetime
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tick:
    """State of the request after a tick. `next_at` None: no timer is due any more.

    `expires_at` None: the request does not expire, or the tick was recorded before the field
    existed.
    """

    status: str
    next_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class ClockResult:
    """Result of the clock workflow, readable in the Temporal UI."""

    request_id: str
    status: str


# --- runs that are signed once (apps.approvals.signed_runs) ---------------------------------------
@dataclass(frozen=True)
class RunFacts(Waiting):
    """State of the run, as its workflow reads it."""

    progress: RunProgress = field(default_factory=RunProgress)

    @property
    def runs(self) -> bool:
        return self.status == "running"


@dataclass(frozen=True)
class RunStep:
    """Input of a run's steps. `signals`: commands of the signals received since the last read."""

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
    """Prepare up to `limit` items. `known`: numbers of the items that the workflow carries out
    now."""

    run_id: str
    limit: int
    known: tuple[int, ...]
    as_of: datetime


# --- bulk decisions -------------------------------------------------------------------------------
BULK_SUBJECT = "bulk"
BULK_WORKFLOW = "BulkDecideWorkflow"


@dataclass(frozen=True)
class BulkRef:
    """Input of the bulk workflow. `chunk`: the most items for one activity."""

    bulk_id: str
    timings: Timings = field(default_factory=Timings)
    chunk: Count = 100


@dataclass(frozen=True)
class BulkChunk:
    """Work through at most `limit` items; start no further item after `seconds`."""

    bulk_id: str
    limit: int = 100
    seconds: float = 100.0


@dataclass(frozen=True)
class BulkProgress:
    """Progress of a bulk decision. `ended`: no item is left to sign, or it was stopped."""

    bulk_id: str
    status: str
    total: int = 0
    done: int = 0
    failed: int = 0
    ended: bool = False
