"""What the engine's messages are made of. Standard library only: workflows import this."""

from dataclasses import dataclass
from enum import StrEnum

#: Search attributes (Keyword) of every workflow of ours: "type:id" of its row, and the type alone.
SUBJECT_ATTRIBUTE = "CountersignSubject"
KIND_ATTRIBUTE = "CountersignKind"
#: Memo of every run that a command of ours began: the command's key and time, and its subject.
COMMAND_MEMO = "CountersignCommand"
#: Memo, true, of runs that nobody looks at: they get no row in the mirror.
UNMIRRORED_MEMO = "CountersignUnmirrored"


class CommandKind(StrEnum):
    START = "start"
    SIGNAL = "signal"
    CANCEL = "cancel"
    TERMINATE = "terminate"
    SCHEDULE = "schedule"


class CommandState(StrEnum):
    """`pending` and `leased` are unsettled; so is `parked`, which waits for an operator."""

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
    #: The server does not know the run: its retention is over, or its database was lost.
    LOST = "lost"

    @property
    def closed(self) -> bool:
        return self is not RunStatus.RUNNING


@dataclass(frozen=True)
class SignalEnvelope:
    """What every signal of ours carries: its command's key, for deduplication, and no business.

    The handler re-reads the row: the database is the truth, the signal only wakes the workflow.
    """

    command: str
    subject_id: str = ""
    note: str = ""
