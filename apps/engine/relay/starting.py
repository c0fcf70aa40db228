"""Starts workflows, and decides what counts as started when the id is taken."""

from datetime import timedelta
from typing import Any, Protocol

from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from apps.engine.contracts import (
    COMMAND_MEMO,
    KIND_ATTRIBUTE,
    SUBJECT_ATTRIBUTE,
    UNMIRRORED_MEMO,
)
from apps.engine.error_policy import workflow_is_unknown
from apps.engine.relay.session import Claimed

#: Statuses of a run that a second run cannot follow: by `allow_duplicate_failed`, by
#: `allow_duplicate`.
_IN_THE_WAY = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED)
_OPEN = (WorkflowExecutionStatus.RUNNING,)
_SUBJECT = SearchAttributeKey.for_keyword(SUBJECT_ATTRIBUTE)


class IdTakenError(Exception):
    """The id belongs to a workflow of another type or another subject."""


class OldRunOpenError(Exception):
    """The run before a requested second run is still open."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"The run {run_id} still runs: the second one begins when it has closed.")
        self.run_id = run_id


class _Subject(Protocol):
    @property
    def subject_type(self) -> str: ...
    @property
    def subject_id(self) -> str: ...
    @property
    def options(self) -> dict[str, Any]: ...


async def start(client: Client, command: Claimed, deadline: timedelta) -> str:
    """Start the command's workflow; return the run id, also of a run that an earlier attempt began.

    An existing run counts if its type and subject are the command's. Raises IdTakenError otherwise,
    OldRunOpenError, and whatever a call raises.
    """
    options = command.options
    if _allows_another(command) and command.attempts > 1:
        # Without this check the server would add another run after one that this command began and
        # that failed before we knew of it. The check also saves a start that would be refused.
        known = await _describe(client, command, "", deadline)
        if known is not None and (run_id := await _counts(client, command, known, deadline)):
            return run_id
    try:
        handle = await client.start_workflow(
            command.workflow_type,
            args=command.args,
            id=command.workflow_id,
            task_queue=command.task_queue,
            id_reuse_policy=reuse_policy(options),
            execution_timeout=_seconds(options.get("execution_timeout_seconds")),
            task_timeout=_seconds(options.get("task_timeout_seconds")),
            search_attributes=attributes_of(command),
            memo=_memo(command),
            rpc_timeout=deadline,
        )
    except WorkflowAlreadyStartedError as error:
        known = await _describe(client, command, error.run_id or "", deadline)
        if known is None:
            raise
        run_id = await _counts(client, command, known, deadline)
        if not run_id:
            # The run failed between the two calls: the next attempt begins the second run.
            raise OldRunOpenError(known.run_id) from error
        return run_id
    return handle.result_run_id or handle.first_execution_run_id or ""


def reuse_policy(options: dict[str, Any]) -> WorkflowIDReusePolicy:
    """Return which closed runs another one of the same id may follow."""
    if options.get("allow_duplicate"):
        return WorkflowIDReusePolicy.ALLOW_DUPLICATE
    if options.get("allow_duplicate_failed"):
        return WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    return WorkflowIDReusePolicy.REJECT_DUPLICATE


def attributes_of(command: _Subject) -> TypedSearchAttributes:
    """Return the search attributes that name the row; none for unmirrored workflows."""
    if not command.subject_type or command.options.get("unmirrored"):
        return TypedSearchAttributes([])
    kind = SearchAttributeKey.for_keyword(KIND_ATTRIBUTE)
    return TypedSearchAttributes(
        [
            SearchAttributePair(_SUBJECT, _subject_of(command)),
            SearchAttributePair(kind, command.subject_type),
        ]
    )


# --- to whom a run belongs -----------------------------------------------------------------------
async def _counts(
    client: Client, command: Claimed, known: WorkflowExecutionDescription, deadline: timedelta
) -> str:
    """Return the id of the known run if it is the one that the command asked for; empty if a second
    run may follow it. Raises IdTakenError and OldRunOpenError."""
    joins = command.options.get("allow_duplicate")
    memo = await _memo_of(known)
    same_key = memo.get("key") == command.key
    if _allows_another(command) and known.status not in (_OPEN if joins else _IN_THE_WAY):
        ours = same_key and memo.get("created_at") == command.created_at.isoformat()
        return known.run_id if ours else ""
    await _check_owner(client, command, known, memo, deadline)
    # Compare only the key: after a restored backup a decision is made again, and its run continues.
    waits = _allows_another(command) and not joins
    if waits and known.status == WorkflowExecutionStatus.RUNNING and not same_key:
        raise OldRunOpenError(known.run_id)
    return known.run_id


def _allows_another(command: Claimed) -> bool:
    """Return whether the command may begin another run after one that has closed."""
    options = command.options
    return bool(options.get("allow_duplicate") or options.get("allow_duplicate_failed"))


async def _check_owner(
    client: Client,
    command: Claimed,
    known: WorkflowExecutionDescription,
    memo: dict[str, Any],
    deadline: timedelta,
) -> None:
    """Check that the run has the command's type and subject. A run without a subject (started by
    hand) must have the command's input."""
    if known.workflow_type != command.workflow_type:
        raise IdTakenError(
            f"The id {known.id} belongs to a workflow of the type {known.workflow_type}, and not "
            f"{command.workflow_type}."
        )
    expected = _subject_of(command)
    subject = known.typed_search_attributes.get(_SUBJECT) or memo.get("subject")
    if subject is None and await _input_of(client, known, deadline) == command.args:
        return
    if subject != expected:
        raise IdTakenError(
            f"The id {known.id} belongs to a workflow "
            + (f"of {subject}" if subject else "without a subject, with other input")
            + f", and not of {expected}."
        )


async def _describe(
    client: Client, command: Claimed, run_id: str, deadline: timedelta
) -> WorkflowExecutionDescription | None:
    """Return the run, or the workflow's newest; None when the server knows none."""
    handle: Any = client.get_workflow_handle(command.workflow_id, run_id=run_id or None)
    try:
        description: WorkflowExecutionDescription = await handle.describe(rpc_timeout=deadline)
    except RPCError as error:
        if workflow_is_unknown(error):
            return None
        raise
    return description


async def _input_of(
    client: Client, known: WorkflowExecutionDescription, deadline: timedelta
) -> list[Any] | None:
    """Return the run's input as JSON; None when it cannot be read."""
    handle: Any = client.get_workflow_handle(known.id, run_id=known.run_id)
    events = handle.fetch_history_events(page_size=1, rpc_timeout=deadline)
    async for event in events:
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        try:
            return list(await client.data_converter.decode(payloads))
        except Exception:
            return None
    return None


# --- memo of our runs ---------------------------------------------------------------------------
def _memo(command: Claimed) -> dict[str, Any]:
    """Return the memo that identifies the run as this command's, also after it continued as new."""
    memo: dict[str, Any] = {
        COMMAND_MEMO: {
            "key": command.key,
            "created_at": command.created_at.isoformat(),
            "subject": _subject_of(command),
        }
    }
    return memo | {UNMIRRORED_MEMO: True} if command.options.get("unmirrored") else memo


async def _memo_of(known: WorkflowExecutionDescription) -> dict[str, Any]:
    try:
        memo = await known.memo_value(COMMAND_MEMO, {})
    except Exception:
        # Written by a foreign client in a format that we cannot read.
        return {}
    return memo if isinstance(memo, dict) else {}


def _subject_of(command: _Subject) -> str:
    return f"{command.subject_type}:{command.subject_id}"


def _seconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)
