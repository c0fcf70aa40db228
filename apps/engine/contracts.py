"""Messages between the apps and Temporal. Standard library only: workflows import this module."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

#: Search attributes (Keyword) of all our workflows: "type:id" of the row, and the type alone.
SUBJECT_ATTRIBUTE = "CountersignSubject"
KIND_ATTRIBUTE = "CountersignKind"
#: Memo of every run that a command started: the command's key and time, and its subject.
COMMAND_MEMO = "CountersignCommand"
#: Memo, true, of runs that need no row in the mirror.
UNMIRRORED_MEMO = "CountersignUnmirrored"


class CommandKind(StrEnum):
    START = "start"
    SIGNAL = "signal"
    CANCEL = "cancel"
    TERMINATE = "terminate"
    SCHEDULE = "schedule"


class CommandState(StrEnum):
    """`pending`, `leased` and `parked` are unsettled; `parked` waits for an operator."""

    PENDING = "pending"
    LEASED = "leased"
    SENT = "sent"
    PARKED = "parked"
    UNDELIVERABLE = "undeliverable"
    DISCARDED = "discarded"


class RunStatus(StrEnum):
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    TIMED_OUT = "timed_out"
    CONTINUED_AS_NEW = "continued_as_new"
    #: The server does not know the run: its retention has passed, or its database was lost.
    LOST = "lost"

    @property
    def closed(self) -> bool:
        return self is not RunStatus.RUNNING


@dataclass(frozen=True)
class SignalEnvelope:
    """The argument of all our signals: the command's key, for deduplication, and no business data.

    The handler reads the row again: the database is authoritative, the signal only wakes the
    workflow.
    """

    command: str
    subject_id: str = ""
    note: str = ""


# --- inputs from outside --------------------------------------------------------------------------
#: Codes of inputs that a worker refuses: the input does not fit the declared types; the workflow
#: has no handler of that name.
INPUT_INVALID = "input_invalid"
HANDLER_UNKNOWN = "handler_unknown"


@dataclass(frozen=True)
class Between:
    """The range of a number, or of a text's length, in an input from outside.

    Used in type hints: `Annotated[int, Between(1, 1_000)]`. Workers check it before a workflow sees
    the input; inputs of activities and arguments of constructors are not checked.
    """

    least: float
    most: float


@dataclass(frozen=True)
class Whole:
    """An input that its workflow hands on as it came, of at most `most` bytes of JSON: only its
    kind is checked, for whoever gets it checks the rest.

    Used in type hints: `Annotated[dict[str, Any], Whole(1_000_000)]`.
    """

    most: int


#: The minimum is above zero: the server takes a timeout of zero for a missing one, and refuses the
#: workflow's command for ever.
Seconds = Annotated[float, Between(0.001, 400 * 24 * 3600)]
Count = Annotated[int, Between(1, 1_000_000)]


@dataclass(frozen=True)
class RefusedInput:
    """An input that a worker refused. `what`: start, signal, query or update; `name`: the
    handler's; `event`: the signal's number in the history, 0 where the history has none."""

    workflow_id: str
    run_id: str
    workflow_type: str
    what: str
    name: str
    event: int
    code: str
    detail: str
    identity: str = ""

    @property
    def key(self) -> str:
        """Return a key that is the same in every replay and on every worker.

        Queries have no history event: their key is the mistake and its run.
        """
        if self.event:
            return f"{self.what}:{self.event}"
        return f"{self.what}:{self.name}:{self.detail}"


# --- backstops ------------------------------------------------------------------------------------
#: Server-side timeouts, in seconds. They close a workflow without compensation, so they are far
#: above any real duration: a request may wait for a year, a saga for a database that is away for
#: days, a pass over some hundred rows takes minutes.
WAITING_BACKSTOP = 400 * 24 * 3600.0
SAGA_BACKSTOP = 7 * 24 * 3600.0
PASS_BACKSTOP = 24 * 3600.0


# --- schedules ------------------------------------------------------------------------------------
#: How late a run that was missed in an outage still begins, where nobody says otherwise; in
#: seconds. Temporal takes less than the least for the least.
CATCH_UP_SECONDS = 3600
LEAST_CATCH_UP_SECONDS = 10
#: The most of a schedule's times.
MOST_SCHEDULE_SECONDS = int(WAITING_BACKSTOP)


# --- sagas ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Timings:
    """Time limits in seconds, given at the start because a workflow must not read settings.

    `activity`: start to close; `heartbeat`: between two heartbeats; `deadline`: of a saga, inside
    its workflow; `task`: of a workflow task.
    """

    activity: Seconds = 300.0
    heartbeat: Seconds = 30.0
    deadline: Seconds = 1800.0
    task: Seconds = 10.0


class EffectState(StrEnum):
    """What is known of an effect in an external system (`apps.engine.effects`)."""

    NEVER = "never"  # no call was made
    UNKNOWN = "unknown"  # a call was made, its answer is not known
    DONE = "done"  # the other side gave a receipt
    REFUSED = "refused"  # the other side refused, or the call was voided before it took effect
    REVERSED = "reversed"


@dataclass(frozen=True)
class Stop:
    """Why a saga stops, and how its row ends if no effect took place."""

    status: str
    code: str
    detail: str


@dataclass(frozen=True)
class RunProgress:
    """How many items of a run have which status (`apps.engine.runs`)."""

    total: int = 0
    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
