"""Messages between the interventions' workflows and activities. Standard library only.

Fields are only added, with defaults, because newer code replays histories that older code wrote.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from apps.approvals.contracts import RunFacts
from apps.engine.contracts import Count, EffectState, RunProgress, Timings

TASK_QUEUE = "intervention-critical"
APPROVAL_WORKFLOW = "InterventionApprovalWorkflow"
EXECUTE_WORKFLOW = "ExecuteInterventionWorkflow"
RECONCILE_WORKFLOW = "ReconcileInterventionsWorkflow"
#: Signals. Each carries an `apps.engine.contracts.SignalEnvelope`.
SIGNAL_SETTLED = "request_settled"
SIGNAL_CANCEL = "cancel_requested"
#: Type of the subject in the engine, and kinds of approval.
SUBJECT = "intervention"
KIND = "intervention"
ATTENTION_KIND = "intervention.attention"
TRANSFER_KIND = "budget.transfer"
#: Batches: their workflow, the type of their subject in the engine, and their kind of approval.
BATCH_WORKFLOW = "BatchInterventionWorkflow"
BATCH_SUBJECT = "intervention-batch"
BATCH_KIND = "intervention.batch"
#: Signal that somebody paused, resumed or cancelled a batch. Also carries a `SignalEnvelope`.
SIGNAL_BATCH_CHANGED = "batch_changed"


class InterventionStatus(StrEnum):
    """Status of an intervention."""

    PENDING = "pending"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    EXECUTING = "executing"
    EXECUTED = "executed"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Return whether the status is final."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        InterventionStatus.EXECUTED,
        InterventionStatus.FAILED,
        InterventionStatus.REJECTED,
        InterventionStatus.EXPIRED,
        InterventionStatus.CANCELLED,
    }
)


class TransferStatus(StrEnum):
    """Status of a transfer between two budgets."""

    AWAITING_APPROVAL = "awaiting_approval"
    DONE = "done"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Return whether the status is final."""
        return self is not TransferStatus.AWAITING_APPROVAL


class BatchStatus(StrEnum):
    """Status of a batch; `pending` until it is signed."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Return whether the status is final."""
        return self in (BatchStatus.COMPLETED, BatchStatus.REJECTED, BatchStatus.CANCELLED)


class BatchItemStatus(StrEnum):
    """Status of one payment of a batch."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """The saga's seven steps in order, then its compensation."""

    VALIDATE_POLICY = "validate_policy"
    GET_POLICY_DETAILS = "get_policy_details"
    RESERVE_BUDGET = "reserve_budget"
    EXECUTE = "execute_intervention"
    UPDATE_FEATURE_STORE = "update_feature_store"
    NOTIFY_STAKEHOLDERS = "notify_stakeholders"
    RECORD_OUTCOME = "record_outcome"
    ROLL_BACK = "roll_back"
    RELEASE_BUDGET = "release_budget"


SAGA_STEPS: tuple[Step, ...] = tuple(Step)[:7]


@dataclass(frozen=True)
class InterventionRef:
    """Input of both workflows.

    `restarted`: a person or the reconciler requested another run, so an earlier run of the saga
    that failed may run again. Whether it continues or compensates follows a person's newest
    decision, which the row has (`SagaFacts`), because a start may be late, lost or sent twice.
    """

    intervention_id: str
    timings: Timings = field(default_factory=Timings)
    restarted: bool = False


@dataclass(frozen=True)
class StepInput:
    """Input of an activity that needs only the intervention.

    `signals`: command keys of the signals that caused the activity to read the row again.
    """

    intervention_id: str
    signals: tuple[str, ...] = ()


@dataclass(frozen=True)
class TimedInput:
    """Input of steps that depend on the time. `as_of` is the workflow's clock."""

    intervention_id: str
    as_of: datetime


#: State of the payment.
Execution = EffectState


@dataclass(frozen=True)
class SagaFacts:
    """What the database knows of a saga. Compensation follows these facts, never the run's memory.

    `attention`: the status of the newest request for a person's decision (`open`: it is still
    open), or empty.
    """

    status: str
    execution: str = Execution.NEVER
    reserved: bool = False
    reversible: bool = True
    attention: str = ""
    code: str = ""
    detail: str = ""

    @property
    def settled(self) -> bool:
        """Return whether the intervention has ended."""
        return InterventionStatus(self.status).terminal


@dataclass(frozen=True)
class ExecutionResult:
    """The executor's receipt."""

    receipt: str


@dataclass(frozen=True)
class RollBackResult:
    """`execution` is the resulting state: reversed, refused (voided in time), or done: it
    stands."""

    execution: str


#: Codes of refusals after which a run leaves the row alone, because the row is not its own.
NOT_MINE = frozenset({"not_found", "not_its_workflow", "already_executing"})
#: Code of another run while a person's decision is open: that decision starts the next run.
ATTENTION_OPEN = "attention_open"


@dataclass(frozen=True)
class SettleInput:
    """How the intervention ends; `code` and `detail` are empty on success."""

    intervention_id: str
    status: str
    code: str = ""
    detail: str = ""


@dataclass(frozen=True)
class OutcomeInput:
    """The outcome of an execution that stands. `missing` names later steps that could not be
    done."""

    intervention_id: str
    missing: str = ""


@dataclass(frozen=True)
class AttentionInput:
    """A problem that a person must decide: `code` is stable, `detail` describes it in words."""

    intervention_id: str
    code: str
    detail: str


@dataclass(frozen=True)
class ReconcileInput:
    """`limit`: the maximum number of interventions in one call."""

    limit: Count = 200


@dataclass(frozen=True)
class ReconcileResult:
    """Numbers of interventions: `settled` were ended by the call, `attention` wait for a person,
    `left` were not changed."""

    settled: int = 0
    attention: int = 0
    left: int = 0


@dataclass(frozen=True)
class InterventionResult:
    """Result of both workflows, readable in the Temporal UI."""

    intervention_id: str
    status: str
    code: str = ""
    detail: str = ""


# --- batches --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class BatchRef:
    """Input of a batch's workflow. At most `concurrency` items are executed at a time; after
    `per_run` items it continues as new."""

    batch_id: str
    timings: Timings = field(default_factory=Timings)
    concurrency: Count = 10
    per_run: Count = 500


@dataclass(frozen=True)
class ReadyItem:
    """An item whose intervention is to be executed."""

    number: int
    intervention_id: str


@dataclass(frozen=True)
class PreparedItems:
    """The items to execute now, and the status of the batch."""

    facts: RunFacts
    items: tuple[ReadyItem, ...] = ()


@dataclass(frozen=True)
class BatchResult:
    """Result of a batch's workflow, readable in the Temporal UI."""

    batch_id: str
    status: str
    progress: RunProgress
    code: str = ""
    detail: str = ""
