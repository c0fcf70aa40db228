"""One claimed command → one call to Temporal → its outcome."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from apps.common import correlation
from apps.engine import schedules, subjects
from apps.engine.contracts import (
    KIND_ATTRIBUTE,
    SUBJECT_ATTRIBUTE,
    CommandKind,
    CommandState,
)
from apps.engine.db_threads import Threads
from apps.engine.error_policy import Verdict, classify, workflow_is_unknown
from apps.engine.models import EngineCommand
from apps.engine.relay.config import Limits, backoff
from apps.engine.relay.session import Claimed, Outcome
from apps.live.broadcast import broadcast

logger = correlation.get_logger("apps.engine.relay")

ClientSource = Callable[[], Awaitable[Client]]


class Delivery:
    """Sends commands and turns whatever happens into an Outcome, or None when it settled itself."""

    def __init__(self, *, client: ClientSource, limits: Limits, threads: Threads) -> None:
        self._client = client
        self._limits = limits
        self._threads = threads

    async def deliver(self, command: Claimed) -> tuple[Outcome | None, Verdict | None]:
        """The outcome to be settled, and the verdict on the error if there was one.

        Never raises but for cancellation; ends within the call's deadline (and the time that
        `on_undeliverable` takes).
        """
        ids = {"command_id": str(command.id), "workflow_id": command.workflow_id}
        with correlation.correlated(command.correlation_id, **ids):
            try:
                async with asyncio.timeout(self._limits.call_seconds):
                    run_id = await self._call(command)
                return Outcome(command, CommandState.SENT, run_id=run_id), None
            except Exception as error:
                return await self._failed(command, error)

    # --- the calls ------------------------------------------------------------------------------
    async def _call(self, command: Claimed) -> str:
        """Make the call; the run id of a start."""
        client = await self._client()
        deadline = timedelta(seconds=self._limits.call_seconds)
        handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(command.workflow_id)
        match CommandKind(command.kind):
            case CommandKind.START:
                return await self._start(client, command, deadline)
            case CommandKind.SIGNAL:
                await handle.signal(command.name, args=command.args, rpc_timeout=deadline)
            case CommandKind.CANCEL:
                await handle.cancel(reason=command.options.get("reason", ""), rpc_timeout=deadline)
            case CommandKind.TERMINATE:
                await handle.terminate(
                    reason=command.options.get("reason", ""), rpc_timeout=deadline
                )
            case CommandKind.SCHEDULE:
                await schedules.apply(client, command.name, threads=self._threads)
        return ""

    async def _start(self, client: Client, command: Claimed, deadline: timedelta) -> str:
        options = command.options
        again = bool(options.get("allow_duplicate_failed"))
        try:
            handle = await client.start_workflow(
                command.workflow_type,
                args=command.args,
                id=command.workflow_id,
                task_queue=command.task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
                if again
                else WorkflowIDReusePolicy.REJECT_DUPLICATE,
                execution_timeout=_seconds(options.get("execution_timeout_seconds")),
                task_timeout=_seconds(options.get("task_timeout_seconds")),
                search_attributes=_attributes(command),
                rpc_timeout=deadline,
            )
        except WorkflowAlreadyStartedError as error:
            # An earlier try whose answer was lost, or a second command for the same id.
            return error.run_id or ""
        return handle.result_run_id or handle.first_execution_run_id or ""

    # --- the failures ---------------------------------------------------------------------------
    async def _failed(
        self, command: Claimed, error: Exception
    ) -> tuple[Outcome | None, Verdict | None]:
        verdict = classify(error)
        text = f"{type(error).__name__}: {error}"
        if verdict is Verdict.GONE:
            verdict, text, closed = await self._gone(command, text)
            if closed:
                return await self._undeliverable(command, text), None
        if verdict is Verdict.STRIKE and command.strikes + 1 >= self._limits.max_attempts:
            text = f"given up after {command.strikes + 1} failures: {text}"
            verdict = Verdict.POISON
        if verdict is Verdict.POISON:
            return Outcome(command, CommandState.PARKED, error=text, strike=True), verdict
        logger.warning(
            "command failed, will be tried again",
            kind=command.kind,
            attempts=command.attempts,
            verdict=verdict.value,
            error=text,
        )
        return self._again(command, text, strike=verdict is Verdict.STRIKE), verdict

    async def _gone(self, command: Claimed, text: str) -> tuple[Verdict, str, bool]:
        """NOT_FOUND settles only when the description agrees. Our start was sent, or is none:
        an unsettled one would have been claimed before this command."""
        if command.kind == CommandKind.START:
            return Verdict.STRIKE, text, False
        try:
            async with asyncio.timeout(self._limits.call_seconds):
                client = await self._client()
                handle = client.get_workflow_handle(command.workflow_id)
                description = await handle.describe(
                    rpc_timeout=timedelta(seconds=self._limits.call_seconds)
                )
        except RPCError as error:
            if workflow_is_unknown(error):
                return Verdict.GONE, text, True
            return classify(error), f"{text}; {error}", False
        except Exception as error:
            return classify(error), f"{text}; {type(error).__name__}: {error}", False
        if description.close_time is not None:
            status = description.status.name.lower() if description.status else "closed"
            return Verdict.GONE, f"{text} ({status})", True
        # A new run has begun meanwhile: the next try reaches it.
        return Verdict.STRIKE, f"{text}, yet it runs", False

    async def _undeliverable(self, command: Claimed, text: str) -> Outcome | None:
        try:
            await self._threads.run(undeliverable_settle, command.id, command.token, text)
        except Exception as error:
            logger.exception("on_undeliverable failed, will be tried again", alert=True)
            said = f"{text}; on_undeliverable: {type(error).__name__}: {error}"
            return self._again(command, said, strike=False)
        return None

    def _again(self, command: Claimed, error: str, *, strike: bool) -> Outcome:
        return Outcome(
            command,
            CommandState.PENDING,
            error=error,
            strike=strike,
            delay=backoff(command.attempts),
        )


def undeliverable_settle(command_id: int, token: UUID, error: str) -> None:
    """Settle a command that can never arrive and tell its subject, in one transaction.

    Nothing happens when the lease is no longer ours. When an older command of the workflow has
    become visible meanwhile (a start, perhaps), this one waits for it.
    """
    with transaction.atomic(durable=True):
        command = (
            EngineCommand.objects.select_for_update()
            .filter(pk=command_id, lease_token=token, state=CommandState.LEASED)
            .first()
        )
        if command is None:
            return
        older = EngineCommand.objects.filter(
            workflow_id=command.workflow_id, pk__lt=command_id, state__in=EngineCommand.UNSETTLED
        )
        waits = older.exists()
        command.state = CommandState.PENDING if waits else CommandState.UNDELIVERABLE
        command.settled_at = None if waits else timezone.now()
        command.next_try_at = timezone.now()
        command.error = error.replace("\x00", "")[:4000]
        command.lease_token = command.leased_until = None
        command.save(
            update_fields=[
                *("state", "settled_at", "next_try_at", "error"),
                *("lease_token", "leased_until"),
            ]
        )
        if waits:
            return
        subject = subjects.get(command.subject_type)
        logger.warning(
            "command undeliverable",
            kind=command.kind,
            name=command.name,
            subject=f"{command.subject_type}:{command.subject_id}",
            error=error,
            alert=subject is None,
        )
        if subject is not None:
            subject.on_undeliverable(command)
        broadcast("engine", id=str(command.pk), version=command.attempts)


def parked_announce(outcome: Outcome) -> None:
    """A command was parked: an alert in the log, and the pages that watch the engine."""
    command = outcome.command
    logger.error(
        "command parked: an operator must retry or discard it",
        alert=True,
        command_id=str(command.id),
        key=command.key,
        kind=command.kind,
        workflow_id=command.workflow_id,
        task_queue=command.task_queue,
        subject=f"{command.subject_type}:{command.subject_id}",
        error=outcome.error,
    )
    broadcast("engine", id=str(command.id), version=command.attempts)


def _seconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)


def _attributes(command: Claimed) -> TypedSearchAttributes:
    """The row that the workflow belongs to, and what the command adds."""
    values = {
        SUBJECT_ATTRIBUTE: f"{command.subject_type}:{command.subject_id}",
        KIND_ATTRIBUTE: command.subject_type,
    }
    if not command.subject_type:
        values = {}
    values |= command.options.get("search_attributes", {})
    return TypedSearchAttributes(
        [
            SearchAttributePair(SearchAttributeKey.for_keyword(name), value)
            for name, value in values.items()
        ]
    )
