"""Messages between payments' apps and their workflows. Without Django: workflows import this
module."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from apps.engine.contracts import RunProgress, Timings

TASK_QUEUE = "payment-events"
EVENT_WORKFLOW = "PaymentEventWorkflow"
BATCH_WORKFLOW = "PaymentBatchWorkflow"
REPLAY_WORKFLOW = "ReplayRunWorkflow"
REVIEW_WORKFLOW = "DLQReviewWorkflow"
#: A review's workflow id is this and the id of the row.
REVIEW_PREFIX = "dlq-"
#: Kinds of rows, in audit entries and in the outbox.
EVENT = "payment_event"
BATCH = "payment_batch"
QUARANTINED = "quarantined_event"
EDIT = "quarantine_edit"
REPLAY = "replay_run"
RULE = "payment_rule"
CUSTOMER = "payment_customer"
#: The kind of approval of an edit.
EDIT_KIND = "quarantine.edit"
SIGNAL_REPLAY_CHANGED = "replay_changed"
SIGNAL_REVIEW_DECIDED = "review_decided"


class Lane(StrEnum):
    """How events are carried: a workflow each, or one for hundreds."""

    EVENT = "event"
    BATCH = "batch"


class BatchState(StrEnum):
    OPEN = "open"
    DONE = "done"
    LOST = "lost"  # nobody carried it any more; its open events were admitted again


class Outcome(StrEnum):
    """What became of a message that was taken in."""

    ACCEPTED = "accepted"
    TWIN = "twin"
    QUARANTINED = "quarantined"


class Stage(StrEnum):
    """Where an event failed."""

    READ = "read"  # the bytes are no event
    INTAKE = "intake"  # the event cannot be taken in beside what is known
    VALIDATE = "validate"  # a rule fails
    INFERENCE = "inference"  # the inference service refuses it
    ENGINE = "engine"  # its workflow was ended from outside
    UPSTREAM = "upstream"  # another program has refused it (the topic of dead letters)


class QuarantineState(StrEnum):
    OPEN = "open"
    REPLAYING = "replaying"
    REPLAYED = "replayed"
    DISCARDED = "discarded"
    SUPERSEDED = "superseded"
    RETARGETED = "retargeted"


#: States in which a row waits for nobody.
SETTLED = (
    QuarantineState.REPLAYED,
    QuarantineState.DISCARDED,
    QuarantineState.SUPERSEDED,
    QuarantineState.RETARGETED,
)


class EditStatus(StrEnum):
    """Status of an edit of a quarantined event."""

    AWAITING_APPROVAL = "awaiting_approval"
    SIGNED = "signed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Return whether the status is final."""
        return self is not EditStatus.AWAITING_APPROVAL


class ReplayStatus(StrEnum):
    """Status of a replay of many events."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Return whether the status is final."""
        return self in (ReplayStatus.COMPLETED, ReplayStatus.CANCELLED)


class ReplayItemStatus(StrEnum):
    """Status of one event of a replay. `running`: it is on its way; `done`: it is kept."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Scoring(StrEnum):
    """Which scores an event gets besides that of churn."""

    FRAUD = "fraud"
    RETRY = "retry"
    NEITHER = "neither"


class PaymentStatus(StrEnum):
    """The known statuses of payments, in lower case."""

    SUCCEEDED = "succeeded"
    CAPTURED = "captured"
    COMPLETED = "completed"
    PAID = "paid"
    SETTLED = "settled"
    FAILED = "failed"
    DECLINED = "declined"
    CREATED = "created"
    PENDING = "pending"
    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    REQUIRES_ACTION = "requires_action"
    CANCELED = "canceled"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    DISPUTED = "disputed"


_SUCCESSFUL = ("succeeded", "captured", "completed", "paid", "settled")
#: By status: which scores the event gets.
STATUSES: dict[str, Scoring] = {
    **dict.fromkeys((status.value for status in PaymentStatus), Scoring.NEITHER),
    **dict.fromkeys(_SUCCESSFUL, Scoring.FRAUD),
    **dict.fromkeys(("failed", "declined"), Scoring.RETRY),
}


# --- activities -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class ValidateInput:
    """`document`: the whole event, of a workflow that was started by hand."""

    event_id: str
    document: dict[str, Any] | None = None


@dataclass(frozen=True)
class Validated:
    """`stored`: the event's row is there already; `timings`: those of the settings."""

    scoring: str
    stored: bool = False
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True)
class ScoreInput:
    event_id: str


@dataclass(frozen=True)
class FraudScore:
    """`fraud_score`: 0 to 1."""

    fraud_score: float
    risk_level: str


@dataclass(frozen=True)
class RetryStrategy:
    action: str
    delay_seconds: int
    max_attempts: int
    reason: str


@dataclass(frozen=True)
class ChurnPrediction:
    """`churn_score`: 0 to 1."""

    churn_score: float
    churn_risk_level: str
    days_to_churn_estimate: int


@dataclass(frozen=True)
class PersistInput:
    event_id: str
    fraud: FraudScore | None = None
    retry: RetryStrategy | None = None
    churn: ChurnPrediction | None = None
    run_id: str = ""


@dataclass(frozen=True)
class Persisted:
    """`new`: the row was not there before."""

    new: bool


@dataclass(frozen=True)
class EndInput:
    event_id: str
    code: str
    detail: str


@dataclass(frozen=True)
class EventResult:
    """The workflow's result."""

    event_id: str
    status: str


# --- batches --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class BatchRef:
    """The workflow's input. The rows say which events are in the batch."""

    batch_id: str


@dataclass(frozen=True)
class BatchValidated:
    """`steps`: names of the scores that at least one open event needs; none, and none is open."""

    steps: tuple[str, ...] = ()
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True)
class BatchScore:
    """`step`: the score's name; `seconds`: after so many no further call is made."""

    batch_id: str
    step: str
    seconds: float


@dataclass(frozen=True)
class BatchScored:
    """`waiting`: so many events have no score yet, because the time was over."""

    waiting: int


@dataclass(frozen=True)
class BatchPersist:
    batch_id: str
    run_id: str = ""


@dataclass(frozen=True)
class BatchResult:
    """The workflow's result. `kept` of the batch's events; the others are in the quarantine, or
    have left for workflows of their own."""

    batch_id: str
    status: str
    kept: int


# --- reviews --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ReviewRef:
    """The workflow's input: the row of the quarantine, with the time limits of the settings."""

    quarantine_id: str
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True)
class ReviewLook:
    """Which row is looked at, as that workflow."""

    quarantine_id: str
    workflow_id: str


@dataclass(frozen=True)
class ReviewFacts:
    """The row's state, and the workflow's result. `waits`: for a person; `code`: what the event
    failed with at its last attempt."""

    quarantine_id: str
    state: str
    waits: bool
    attempt: int
    code: str


# --- replays --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ReplayRef:
    """A replay's row, with the time limits of the settings."""

    run_id: str
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True)
class ReplayStep:
    """Which replay goes on, as that workflow's."""

    run_id: str
    workflow_id: str


@dataclass(frozen=True)
class ReplayFacts:
    """A replay's state. `runs`: items may begin; `settled`: it has ended; neither: it is paused.
    `wait_seconds`: when to look again."""

    status: str
    runs: bool
    settled: bool
    progress: RunProgress = field(default_factory=RunProgress)
    wait_seconds: float = 1.0
    code: str = ""
    detail: str = ""
