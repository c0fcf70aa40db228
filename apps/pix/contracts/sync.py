"""What crosses between synchronisations and their workflows. Standard library only."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from apps.engine.contracts import RunProgress, Timings, Whole

SYNC_KIND = "sync.repair"
ATTENTION_KIND = "sync.attention"
#: Wakes the workflow: the repair was decided, or the run stopped.
SIGNAL_SYNC_CHANGED = "sync_changed"
SCHEDULE = "vsync-daily"
#: Inside the workflow, since the row was made: a day, less what the next daily run needs to find
#: this one ended.
DEADLINE_SECONDS = 24 * 3600.0 - 600.0
#: A call of an activity begins nothing new after so many seconds: it ends within 25.
CALL_SECONDS = 15.0
#: Of the source's input: longer ones are refused.
LONGEST_SYNC_TYPE = 40


class SyncStatus(StrEnum):
    """Status of a run. `waiting`: for a person, who decides whether so much is repaired; `ok`: the
    directory has the same; `differs`: something was left, the report says why."""

    RUNNING = "running"
    WAITING = "waiting"
    OK = "ok"
    DIFFERS = "differs"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        """Return whether another run of the participant may begin."""
        return self not in (SyncStatus.RUNNING, SyncStatus.WAITING)


class SyncPhase(StrEnum):
    """What a run does. Each activity carries on from here, on whichever worker."""

    VERIFY = "verify"
    REPLAY = "replay"
    REPLAYED = "replayed"  # what the log told of is repaired
    VERIFY_AGAIN = "verify_again"
    RECEIVE = "receive"
    COMPARE = "compare"
    REPAIR = "repair"
    VERIFY_LAST = "verify_last"
    REPORT = "report"


#: Phases of the directory's side, in `FetchBacenEntriesActivity`; those of the comparison and the
#: repair, in `CompareEntriesActivity`; then comes the report.
FETCHING = frozenset(
    {SyncPhase.VERIFY, SyncPhase.REPLAY, SyncPhase.VERIFY_AGAIN, SyncPhase.RECEIVE}
)
COMPARING = frozenset(
    {SyncPhase.REPLAYED, SyncPhase.COMPARE, SyncPhase.REPAIR, SyncPhase.VERIFY_LAST}
)


class SyncTrigger(StrEnum):
    """Who began a run: somebody here, the daily schedule, or a workflow that others started."""

    PERSON = "person"
    DAILY = "daily"
    ENGINE = "engine"


class DifferenceKind(StrEnum):
    """`missing`: only the directory has it; `extra`: only we have it; `changed`: the key is on both
    sides, with other contents."""

    MISSING = "missing"
    EXTRA = "extra"
    CHANGED = "changed"


class DifferenceState(StrEnum):
    """`left`: not repaired, `why` says the reason."""

    PENDING = "pending"
    REPAIRED = "repaired"
    LEFT = "left"


class Decision(StrEnum):
    """Whether differences beyond the limit are repaired."""

    NONE = ""
    REPAIR = "repair"
    LEAVE = "leave"


#: Input of the workflow, as the service before this one took it: `{participant_ispb, sync_type?,
#: last_sync_date?}`; also our own `{participant_ispb, run_id}` and `{participant_ispb, scheduled}`.
SyncRequest = Annotated[dict[str, Any], Whole(16 * 1024)]


@dataclass(frozen=True)
class SyncOpen:
    """`document`: the input as it came; the row wins over it."""

    workflow_id: str
    document: dict[str, Any]
    as_of: datetime


@dataclass(frozen=True)
class SyncStep:
    """One call of an activity for a run."""

    run_id: str
    signals: tuple[str, ...] = ()


@dataclass(frozen=True)
class SyncAt:
    """`as_of` is the workflow's clock."""

    run_id: str
    as_of: datetime


@dataclass(frozen=True)
class SyncDay:
    """Input of `participants_to_sync`: which daily run asks."""

    workflow_id: str


@dataclass(frozen=True)
class SyncEnd:
    """How a run ends that cannot go on."""

    run_id: str
    code: str
    detail: str


@dataclass(frozen=True)
class SyncFacts:
    """What the workflow needs to know. `rest`: seconds until the next call is worth making."""

    run_id: str
    participant: str
    status: str
    phase: str
    settled: bool
    waiting: bool
    ends_at: datetime
    request_id: str = ""
    next_at: datetime | None = None
    expires_at: datetime | None = None
    rest: float = 0.0
    progress: RunProgress = field(default_factory=RunProgress)
    timings: Timings = field(default_factory=Timings)
    code: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Scheduled:
    """What the daily workflow has done: participants whose runs it started, and those that had one
    already."""

    started: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
