"""Delivers one claimed command by one call to Temporal."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from apps.common import correlation
from apps.engine import schedules
from apps.engine.contracts import CommandKind, CommandState
from apps.engine.db_threads import Threads
from apps.engine.error_policy import Verdict, classify, workflow_is_unknown
from apps.engine.relay.config import Limits, backoff
from apps.engine.relay.session import Claimed, Outcome
from apps.engine.relay.settling import start_park, start_wait, undeliverable_settle
from apps.engine.relay.starting import IdTakenError, OldRunOpenError, start

logger = correlation.get_logger("apps.engine.relay")

ClientSource = Callable[[], Awaitable[Client]]


class Delivery:
    """Sends commands; every result becomes an Outcome, or None when it was settled already."""

    def __init__(self, *, client: ClientSource, limits: Limits, threads: Threads) -> None:
        self._client = client
        self._limits = limits
        self._threads = threads

    async def deliver(self, command: Claimed) -> tuple[Outcome | None, Verdict | None]:
        """Return the outcome to settle, and the verdict on the error if there was one.

        Raises only cancellation; ends within the call's deadline (plus the time of
        `on_undeliverable`).
        """
        ids = {"command_id": str(command.id), "workflow_id": command.workflow_id}
        with correlation.correlated(command.correlation_id, **ids):
            try:
                async with asyncio.timeout(self._limits.call_seconds):
                    run_id = await self._call(command)
                return Outcome(command, CommandState.SENT, run_id=run_id), None
            except OldRunOpenError as met:
                return await self._by_itself(command, str(met), start_wait, met.run_id), None
            except IdTakenError as error:
                return await self._by_itself(command, str(error), start_park), None
            except Exception as error:
                return await self._failed(command, error)

    # --- the calls ------------------------------------------------------------------------------
    async def _call(self, command: Claimed) -> str:
        """Make the call; return the run id of a start."""
        client = await self._client()
        deadline = timedelta(seconds=self._limits.call_seconds)
        handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(command.workflow_id)
        match CommandKind(command.kind):
            case CommandKind.START:
                return await start(client, command, deadline)
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
                if request := command.options.get("run_now"):
                    await schedules.run_now(client, command.name, request=request)
        return ""

    # --- the failures ---------------------------------------------------------------------------
    async def _failed(
        self, command: Claimed, error: Exception
    ) -> tuple[Outcome | None, Verdict | None]:
        verdict = classify(error)
        text = f"{type(error).__name__}: {error}"
        if verdict is Verdict.GONE:
            verdict, text, closed = await self._gone(command, text)
            if closed:
                return await self._by_itself(command, text, undeliverable_settle), None
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
        """Settle NOT_FOUND only if a description confirms it. Our start was sent or never existed:
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
        # A new run has begun meanwhile: the next attempt reaches it.
        return Verdict.STRIKE, f"{text}, yet it runs", False

    async def _by_itself(
        self, command: Claimed, text: str, settle: Callable[..., None], *args: Any
    ) -> Outcome | None:
        """Settle a command that needs more than a new state, in its own transaction, under the
        lease."""
        try:
            await self._threads.run(settle, command.id, command.token, text, *args)
        except Exception as error:
            logger.exception(f"{settle.__name__} failed, will be tried again", alert=True)
            message = f"{text}; {settle.__name__}: {type(error).__name__}: {error}"
            return self._again(command, message, strike=False)
        return None

    def _again(self, command: Claimed, error: str, *, strike: bool) -> Outcome:
        return Outcome(
            command,
            CommandState.PENDING,
            error=error,
            strike=strike,
            delay=backoff(command.attempts),
        )
