"""Activities of automations: fetch the input, call the service, return a contract."""

from collections.abc import Callable
from typing import Any

from temporalio import activity

from apps.automations.checking import issues_of
from apps.automations.contracts.messages import (
    Advanced,
    AdvanceInput,
    CancelInput,
    NodeChange,
    NodeInput,
    Opened,
    OpenInput,
    StopInput,
)
from apps.automations.services import advancing, effects, requesting, stopping
from apps.engine.heartbeats import heartbeating


@activity.defn(name="open_execution")
def open_execution(input: OpenInput) -> Opened:
    """Return the workflow's execution; make it if the workflow was started by hand."""
    return requesting.execution_open(
        workflow_id=input.workflow_id, input=input.input, as_of=input.as_of
    )


@activity.defn(name="advance_execution")
def advance_execution(input: AdvanceInput) -> Advanced:
    """Run nodes that need nothing but the database; end the execution if all have ended."""
    return advancing.execution_advance(row_id=input.row_id, as_of=input.as_of)


# `heartbeating` checks for cancellation: an exception raised in the thread could prevent writing
# down the answer.
@activity.defn(name="run_node", no_thread_cancel_exception=True)
def run_node(input: NodeInput) -> NodeChange:
    """Try a node with an effect; return how it has ended."""
    return heartbeating(
        effects.node_try, row_id=input.row_id, index=input.index, stopped=activity.is_cancelled
    )


@activity.defn(name="cancel_execution")
def cancel_execution(input: CancelInput) -> Advanced:
    """Cancel an execution whose workflow was asked to; return how it has ended."""
    return stopping.execution_cancel_signalled(
        row_id=input.row_id, reason=input.reason, as_of=input.as_of
    )


@activity.defn(name="stop_execution")
def stop_execution(input: StopInput) -> Advanced:
    """Fail an execution that may not go on; return how it has ended."""
    return stopping.execution_stop(
        row_id=input.row_id, code=input.code, detail=input.detail, as_of=input.as_of
    )


@activity.defn(name="validate_definition")
def validate_definition(definition: Any) -> dict[str, Any]:
    """Return everything that is wrong with a definition."""
    issues = issues_of(definition)
    return {"valid": not issues, "issues": [issue.as_json() for issue in issues]}


ACTIVITIES: list[Callable[..., Any]] = [
    open_execution,
    advance_execution,
    run_node,
    cancel_execution,
    stop_execution,
    validate_definition,
]
