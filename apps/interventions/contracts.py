"""What crosses between the interventions' workflows and activities. Standard library only.

Fields are only ever added, with defaults: histories written by older code are replayed by newer.
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
#: The engine's subject and the two kinds of approval of this domain.
SUBJECT = "intervention"
KIND = "intervention"
ATTENTION_KIND = "intervention.attention"
TRANSFER_KIND = "budget.transfer"
#: Batches: their workflow, their subject in the engine, and what is signed.
BATCH_WORKFLOW = "BatchInterventionWorkflow"
BATCH_SUBJECT = "intervention-batch"
BATCH_KIND = "intervention.batch"
#: Somebody paused, resumed or cancelled a batch. Carries a `SignalEnvelope`, too.
SIGNAL_BATCH_CHANGED = "batch_changed"


class InterventionStatus(StrEnum):
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
    """Of money that is to move between two budgets."""

    AWAITING_APPROVAL = "awaiting_approval"
    DONE = "done"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self is not TransferStatus.AWAITING_APPROVAL


class BatchStatus(StrEnum):
    """Of a batch: `pending` until it is signed."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in (BatchStatus.COMPLETED, BatchStatus.REJECTED, BatchStatus.CANCELLED)


class BatchItemStatus(StrEnum):
    """Of one payment of a batch."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """The saga's seven steps in order, then what undoes them."""

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

    `restarted`: a person or the reconciler asked for a second run, so an earlier run of the saga
    that failed may be run again. Whether it carries on or undoes is what a person decided last:
    the row's word (`SagaFacts`), because a start may be late, lost or sent twice.
    """

    intervention_id: str
    timings: Timings = field(default_factory=Timings)
    restarted: bool = False


@dataclass(frozen=True)
class StepInput:
    """Input of an activity that needs no more than the intervention.

    `signals`: commands of the signals after which it is read again.
    """

    intervention_id: str
    signals: tuple[str, ...] = ()


@dataclass(frozen=True)
class TimedInput:
    """For steps that time decides. `as_of` is the workflow's clock."""

    intervention_id: str
    as_of: datetime


#: What is known of the payment.
Execution = EffectState


@dataclass(frozen=True)
class SagaFacts:
    """What the database knows of a saga: compensation follows this, never the run's memory.

    `attention`: what the newest question to a person came to (`open`: one is asked now), or empty.
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
        return InterventionStatus(self.status).terminal


@dataclass(frozen=True)
class ExecutionResult:
    """The executor's reference of what it did."""

    receipt: str


@dataclass(frozen=True)
class RollBackResult:
    """`execution` is what it came to: reversed, refused (voided in time), or done: it stands."""

    execution: str


#: Refusals that say: this run has no business with this row. It leaves the row alone.
NOT_MINE = frozenset({"not_found", "not_its_workflow", "already_executing"})
#: Code of a second run that finds a person asked about the row: the answer begins another one.
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
    """The execution stands. `missing` names steps that could not be done after it."""

    intervention_id: str
    missing: str = ""


@dataclass(frozen=True)
class AttentionInput:
    """Something that a person must look at: `code` is stable, `detail` says it in words."""

    intervention_id: str
    code: str
    detail: str


@dataclass(frozen=True)
class ReconcileInput:
    """At most `limit` interventions are looked at in one go."""

    limit: Count = 200


@dataclass(frozen=True)
class ReconcileResult:
    """`settled` ended here, `attention` wait for a person, `left` are carried by a process."""

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
    """Input of the workflow of a batch. At most `concurrency` items are carried out at a time;
    after `per_run` items it continues as new."""

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
    """What is to be executed now, and how the batch stands."""

    facts: RunFacts
    items: tuple[ReadyItem, ...] = ()


@dataclass(frozen=True)
class BatchResult:
    """Result of the workflow, readable in the Temporal UI."""

    batch_id: str
    status: str
    progress: RunProgress
    code: str = ""
    detail: str = ""
