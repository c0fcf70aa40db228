"""Names, statuses and values that automations and their workflows share. Standard library only."""

from enum import StrEnum

#: The queue's name in the settings of the service that this one takes over from.
TASK_QUEUE = "flov7-workflow-task-queue"
#: Types of rows, in audit entries and topics.
AUTOMATION, EXECUTION = "automation", "execution"
EXECUTION_WORKFLOW, VALIDATION_WORKFLOW = "WorkflowExecution", "WorkflowValidation"
#: Signals: cancel it, with or without a reason; read the rows again.
SIGNAL_CANCEL, SIGNAL_CHANGED = "cancel_workflow", "execution_changed"
#: The kind of approval that a node asks for.
STEP_KIND = "automation.step"

#: Limits of a definition: bytes of its JSON, nodes, edges, characters of an id.
MOST_BYTES = 1_000_000
MOST_NODES = 2_000
MOST_EDGES = 6_000
LONGEST_ID = 100


class Runner(StrEnum):
    """What carries an execution: a workflow, or a thread of the process that took the request."""

    ENGINE = "engine"
    LOCAL = "local"


class ExecutionStatus(StrEnum):
    """Status of an execution. `waiting`: all that is left waits for people, or for a time. A failed
    one can be resumed."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Return whether nothing of the execution runs any more."""
        open_statuses = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.WAITING)
        return self not in open_statuses


class NodeType(StrEnum):
    """What a node does."""

    API_CALL = "api_call"
    CONDITION = "condition"
    TRANSFORM = "transform"
    DELAY = "delay"
    DATABASE = "database"
    WEBHOOK = "webhook"
    AI_AGENT = "ai_agent"
    APPROVAL = "approval"


#: Nodes that need nothing but the database: they run in batches, in one transaction. An approval
#: only asks there, a delay only begins and ends.
PLAIN = (NodeType.TRANSFORM, NodeType.CONDITION, NodeType.DELAY, NodeType.APPROVAL)


class OnError(StrEnum):
    """What a node's failure does once its attempts are used up: `fail` blocks what comes after it,
    `continue` passes the error on as the node's output, `branch` takes the edges of the error."""

    FAIL = "fail"
    CONTINUE = "continue"
    BRANCH = "branch"


class NodeStatus(StrEnum):
    """Status of a node in one execution. `waiting`: for a person, or for a time. `skipped`: no edge
    to it was taken. `blocked`: a node before it failed."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"

    @property
    def settled(self) -> bool:
        """Return whether the node has come to an end, until somebody runs it again."""
        return self not in (NodeStatus.PENDING, NodeStatus.RUNNING, NodeStatus.WAITING)


class Outcome(StrEnum):
    """Which of a node's edges its end takes. `none`: it takes none, and blocks what they lead to
    if the node failed."""

    NONE = "none"
    SUCCESS = "success"
    TRUE = "true"
    FALSE = "false"
    APPROVED = "approved"
    REJECTED = "rejected"
    ERROR = "error"


#: The answers of nodes that decide: the one that an edge without a label stands for, then the one
#: that a failure comes to where it is passed on.
ANSWERS: dict[NodeType, tuple[Outcome, Outcome]] = {
    NodeType.CONDITION: (Outcome.TRUE, Outcome.FALSE),
    NodeType.APPROVAL: (Outcome.APPROVED, Outcome.REJECTED),
}


def outcomes_of(type: NodeType, on_error: OnError) -> tuple[Outcome, ...]:
    """Return the outcomes that an edge from such a node may wait for; the first is that of an edge
    without a label."""
    answers = ANSWERS.get(type, (Outcome.SUCCESS,))
    return (*answers, Outcome.ERROR) if on_error is OnError.BRANCH else answers


def outcome_of_failure(type: NodeType, on_error: OnError) -> Outcome:
    """Return which edges are taken when such a node has failed. A decision whose failure is passed
    on counts as a no: what would follow a yes must not run by mistake."""
    if on_error is OnError.BRANCH:
        return Outcome.ERROR
    if on_error is OnError.CONTINUE:
        return ANSWERS.get(type, (Outcome.SUCCESS,))[-1]
    return Outcome.NONE
