"""Names, words and messages of infractions and their workflow. Standard library only."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from apps.approvals.contracts import Waiting
from apps.engine.contracts import Timings

INFRACTION_KIND = "infraction"
ATTENTION_KIND = "infraction.attention"
#: A decision that came from outside, for a person to look at.
SIGNAL_KIND = "infraction.signal"

#: Signals that others send, and the one that only wakes.
SIGNAL_EVIDENCE, SIGNAL_COMPLETE = "evidence_added", "investigation_complete"
SIGNAL_CHANGED = "infraction_changed"

LONGEST_DETAILS = 2000
LONGEST_URL = 2000
CURRENCY = "BRL"


class InfractionStatus(StrEnum):
    """Status of an infraction. `open`: the directory does not know that it was received;
    `investigating`: somebody has brought evidence."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    INVESTIGATING = "investigating"
    ESCALATED = "escalated"
    CLOSED = "closed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Return whether nobody has to decide about it any more; a closed one can still be
        cancelled."""
        return self in (InfractionStatus.CLOSED, InfractionStatus.CANCELLED)


class InfractionReason(StrEnum):
    """Why it is reported, in the directory's words: the payer's participant wants its money back,
    or the payee's wants what went back."""

    REFUND_REQUEST = "REFUND_REQUEST"
    REFUND_CANCELLED = "REFUND_CANCELLED"


class Situation(StrEnum):
    """What happened, in the directory's words."""

    SCAM = "SCAM"
    ACCOUNT_TAKEOVER = "ACCOUNT_TAKEOVER"
    COERCION = "COERCION"
    FRAUDULENT_ACCESS = "FRAUDULENT_ACCESS"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


class Analysis(StrEnum):
    """How it was decided, in the directory's words."""

    AGREED = "AGREED"
    DISAGREED = "DISAGREED"


class FraudType(StrEnum):
    """Which fraud it was, in the directory's words."""

    APPLICATION_FRAUD = "APPLICATION_FRAUD"
    MULE_ACCOUNT = "MULE_ACCOUNT"
    SCAMMER_ACCOUNT = "SCAMMER_ACCOUNT"
    OTHER = "OTHER"


class Owed(StrEnum):
    """What the directory has to be told of an infraction."""

    NOTHING = ""
    CREATE = "create"
    ACKNOWLEDGE = "acknowledge"
    CLOSE = "close"
    CANCEL = "cancel"


class Decision(StrEnum):
    """Decisions of the signal `investigation_complete`."""

    RESOLVE = "RESOLVE"
    DISMISS = "DISMISS"
    ESCALATE = "ESCALATE"


@dataclass(frozen=True)
class StartInput:
    """What a workflow was started with; its service reads it. `as_of` is the workflow's clock."""

    workflow_id: str
    input: dict[str, Any]
    as_of: datetime


@dataclass(frozen=True)
class InfractionInput:
    """Names the infraction. `signals`: commands of the signals after which its row is read."""

    row_id: str
    as_of: datetime
    workflow_id: str = ""
    signals: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutsideInput:
    """A signal that others sent: `key` is the same whenever it is handled. `body` has what could
    be read of its argument; it is empty for none, and for one that is no object. Without a key it
    is no signal, but the clock."""

    row_id: str
    as_of: datetime
    key: str = ""
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InfractionFacts(Waiting):
    """State of an infraction, as its workflow reads it.

    `mine`: this workflow carries it; another one only waits for its end. `decides`: it is decided
    here. `owed`: what the directory is told next. `escalates_at`: then it is escalated.
    """

    row_id: str = ""
    infraction_id: str = ""
    mine: bool = True
    decides: bool = True
    owed: Owed = Owed.NOTHING
    result: str = ""
    fraud_type: str = ""
    escalates_at: datetime | None = None
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True)
class InfractionResult:
    """How an infraction ended. `result`: AGREED or DISAGREED; empty where it was cancelled."""

    infraction_id: str
    status: str
    result: str = ""
    fraud_type: str = ""
