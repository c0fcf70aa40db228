"""Automations: runs the nodes of a graph. The rows have the values; the workflow knows the places
of nodes in the definition, and their statuses."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any

from temporalio import workflow
from temporalio.common import RetryPolicy, VersioningBehavior
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from apps.automations import activities
    from apps.automations.contracts import (
        EXECUTION,
        EXECUTION_WORKFLOW,
        PLAIN,
        SIGNAL_CANCEL,
        SIGNAL_CHANGED,
        VALIDATION_WORKFLOW,
        ExecutionStatus,
        NodeStatus,
    )
    from apps.automations.contracts.graph import NodeState, Progress
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
    from apps.engine.contracts import SignalEnvelope, Timings, Whole
    from workers.attributes import mark
    from workers.saga import Saga, fail
    from workers.steps import local_step, remote_step

#: Effects under way at once: the server refuses more than 2,000 of one workflow for ever.
MOST_IN_FLIGHT = 100
#: Beyond its own limit, how long a try may take to write down how it ended, in seconds.
GRACE = 30.0
#: A definition has at most 1 MB, and what its run is given as much.
MOST_INPUT = 2_000_000
#: Ends a workflow task, so that its commands leave before the next local step begins.
INSTANT = timedelta(milliseconds=1)
#: How long effects under way may take to end before a run goes on in a new one, in seconds.
DRAIN_SECONDS = 60.0

Input = Annotated[dict[str, Any], Whole(MOST_INPUT)]


@workflow.defn(name=EXECUTION_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class WorkflowExecution:
    """Runs a graph: effects side by side, everything else in batches, people and times waited for.

    The input is `{"execution_id": …}` for an execution that has its row, or a definition with
    optional `params` for one that is started by hand. Every decision about rows is made in the
    database: the workflow only knows what to ask for next.
    """

    def __init__(self) -> None:
        self._saga = Saga()
        self._status = ExecutionStatus.PENDING
        self._error: dict[str, str] | None = None
        self._opened: Opened | None = None
        self._progress: Progress | None = None
        #: When delays are over.
        self._waking: dict[int, datetime] = {}
        self._flying: dict[int, asyncio.Task[NodeChange]] = {}
        #: The rows may allow more than was asked for yet.
        self._stale = True
        self._cancelling: str | None = None
        self._bell: asyncio.Future[None] = asyncio.Future()
        #: Seconds in which effects were under way.
        self._active = 0.0

    @workflow.run
    async def run(self, input: Input) -> dict[str, Any]:
        return await self._saga.uncancellable(self._carry(input))

    # --- doors ------------------------------------------------------------------------------------
    @workflow.query
    def get_status(self) -> dict[str, Any]:
        """Return what the status endpoint answers, without values: these stay in the database."""
        opened, progress = self._opened, self._progress
        states = progress.states if progress else []
        return {
            "execution_id": workflow.info().workflow_id,
            "status": self._status,
            "progress": {"done": progress.done if progress else 0, "total": len(states)},
            "nodes": {
                id: state.status
                for id, state in zip(opened.ids if opened else (), states, strict=True)
            },
            "result": None,
            "error": self._error,
        }

    @workflow.signal(name=SIGNAL_CANCEL)
    def cancel_workflow(self, reason: Any = None) -> None:
        """Cancel the execution: the same verb as on the page."""
        self._cancelling = reason[:400] if isinstance(reason, str) else ""
        self._ring()

    @workflow.signal(name=SIGNAL_CHANGED)
    def execution_changed(self, envelope: SignalEnvelope) -> None:
        """A person has decided about a node, or about the execution: read the rows again."""
        self._stale = True
        self._ring()

    # --- the run ----------------------------------------------------------------------------------
    async def _carry(self, input: dict[str, Any]) -> dict[str, Any]:
        execution_id = workflow.info().workflow_id
        try:
            opened = await local_step(
                activities.open_execution, OpenInput(execution_id, input, workflow.now())
            )
        except ApplicationError as refused:
            self._end(
                Advanced(ExecutionStatus.FAILED, code=refused.type or "", detail=str(refused))
            )
            raise
        mark(EXECUTION, opened.row_id)
        self._open(opened, input)
        if not opened.status.ended:
            await self._work(opened)
        if self._error is not None:
            fail(self._error["code"], self._error["detail"])
        return {"execution_id": execution_id, "status": self._status}

    def _open(self, opened: Opened, input: dict[str, Any]) -> None:
        self._opened = opened
        self._end(Advanced(opened.status, code=opened.code, detail=opened.detail))
        states = [NodeState()] * len(opened.ids)
        for change in opened.changes:
            # What ran when the last run of this workflow ended is tried again.
            if change.status is not NodeStatus.RUNNING:
                states[change.index] = change.state
            if change.wake_at is not None:
                self._waking[change.index] = change.wake_at
        self._progress = Progress(opened.plan, states)
        before = input.get("active_seconds")
        self._active = float(before) if isinstance(before, int | float) else 0.0

    async def _work(self, opened: Opened) -> None:
        """Work until the execution has ended."""
        progress = self._progress
        assert progress is not None  # since `_open`
        while not self._status.ended:
            self._land(opened, progress)
            if self._is_cancelled():
                await self._cancel(opened)
                continue
            if workflow.info().is_continue_as_new_suggested():
                await self._renew(opened)
            sent = self._send(opened, progress)
            if self._is_due() or self._stale:
                if sent:
                    await workflow.sleep(INSTANT)
                progress = await self._advance(opened, progress)
            elif self._active >= opened.deadline:
                await self._stop(opened)
            else:
                await self._wait(opened.deadline - self._active)
        await self._cut_off()

    def _land(self, opened: Opened, progress: Progress) -> None:
        """Note the effects that have ended, and whether the rows allow more by it."""
        for index, task in list(self._flying.items()):
            if task.done():
                del self._flying[index]
                changed = progress.settle(index, task.result().state)
                self._stale |= len(changed) > 1
        plain = any(opened.plan.nodes[index].type in PLAIN for index in progress.ready)
        idle = not self._flying and not progress.ready and self._status is ExecutionStatus.RUNNING
        self._stale |= plain or progress.finished or idle

    def _send(self, opened: Opened, progress: Progress) -> bool:
        """Schedule the effects that are ready; return whether there were any."""
        effects = [i for i in progress.ready if opened.plan.nodes[i].type not in PLAIN]
        free = MOST_IN_FLIGHT - len(self._flying)
        for index in effects[:free]:
            progress.begin(index)
            task = asyncio.create_task(self._effect(opened, index))
            task.add_done_callback(lambda _task: self._ring())
            self._flying[index] = task
        return bool(effects[:free])

    async def _effect(self, opened: Opened, index: int) -> NodeChange:
        # The database counts the tries that failed: a kill is none.
        pauses = opened.node_pauses
        return await remote_step(
            activities.run_node,
            NodeInput(opened.row_id, index),
            timings=Timings(activity=opened.timeouts[index] + GRACE, heartbeat=opened.heartbeat),
            retry=RetryPolicy(
                initial_interval=timedelta(seconds=pauses.first),
                backoff_coefficient=pauses.factor,
                maximum_interval=timedelta(seconds=max(pauses.first, pauses.most)),
            ),
        )

    async def _advance(self, opened: Opened, progress: Progress) -> Progress:
        """Have the database run what it alone can run; return the progress from then on."""
        self._stale = False
        advanced = await local_step(
            activities.advance_execution, AdvanceInput(opened.row_id, workflow.now())
        )
        self._end(advanced)
        if advanced.attempt:
            progress = self._progress = Progress(opened.plan, _again(progress, advanced.changes))
            self._stale = True
            await self._pause(opened.run_pauses.before(advanced.attempt))
            return progress
        for change in advanced.changes:
            self._apply(progress, change)
        if advanced.more:
            self._stale = True
            # Queries and signals are answered between two workflow tasks only.
            await workflow.sleep(INSTANT)
        return progress

    def _apply(self, progress: Progress, change: NodeChange) -> None:
        if change.status.settled:
            self._waking.pop(change.index, None)
            progress.settle(change.index, change.state)
            return
        progress.begin(change.index, change.status)
        if change.wake_at is not None:
            self._waking[change.index] = change.wake_at

    async def _wait(self, longest: float) -> None:
        """Wait until something has happened, a delay is over, or effects have been under way for
        `longest` seconds."""
        began, flying = workflow.now(), bool(self._flying)
        timeouts = [(at - began).total_seconds() for at in self._waking.values()]
        if flying:
            timeouts.append(longest)
        timeout = max(min(timeouts), 0.001) if timeouts else None
        await self._saga.heard(self._bell, timeout=timeout)
        self._hear()
        if flying:
            self._active += (workflow.now() - began).total_seconds()

    async def _pause(self, seconds: float) -> None:
        """Wait so long before the next attempt of the run, or until somebody cancels it."""
        ends = workflow.now() + timedelta(seconds=seconds)
        while not self._is_cancelled() and (left := (ends - workflow.now()).total_seconds()) > 0:
            await self._saga.heard(self._bell, timeout=left)
            self._hear()

    def _hear(self) -> None:
        if self._bell.done():
            self._bell = asyncio.Future()

    def _is_cancelled(self) -> bool:
        return self._saga.cancelled or self._cancelling is not None

    def _is_due(self) -> bool:
        return any(at <= workflow.now() for at in self._waking.values())

    def _ring(self) -> None:
        if not self._bell.done():
            self._bell.set_result(None)

    # --- ends -------------------------------------------------------------------------------------
    def _end(self, advanced: Advanced) -> None:
        self._status = advanced.status
        if advanced.status is ExecutionStatus.FAILED:
            self._error = {"code": advanced.code, "detail": advanced.detail}

    async def _cancel(self, opened: Opened) -> None:
        reason = self._cancelling or ""
        input = CancelInput(opened.row_id, workflow.now(), reason)
        self._end(await local_step(activities.cancel_execution, input))

    async def _stop(self, opened: Opened) -> None:
        detail = f"Not done within {opened.deadline:g} s."
        input = StopInput(opened.row_id, "deadline_exceeded", detail, workflow.now())
        self._end(await local_step(activities.stop_execution, input))

    async def _cut_off(self) -> None:
        """Cancel the effects under way, and wait until each has noticed."""
        tasks = list(self._flying.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await workflow.wait(tasks)
        self._flying.clear()

    async def _renew(self, opened: Opened) -> None:
        """Go on in a new run, whose history is short, from the rows."""
        tasks = list(self._flying.values())
        if tasks:
            await workflow.wait(tasks, timeout=DRAIN_SECONDS)
        await self._cut_off()
        if self._is_cancelled():
            return
        workflow.continue_as_new(
            {"execution_id": workflow.info().workflow_id, "active_seconds": self._active}
        )


@workflow.defn(name=VALIDATION_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class WorkflowValidation:
    """Tells everything that is wrong with a definition: `{valid, issues}`."""

    @workflow.run
    async def run(self, definition: Input) -> dict[str, Any]:
        return await local_step(activities.validate_definition, definition)


def _again(progress: Progress, changes: tuple[NodeChange, ...]) -> list[NodeState]:
    states = list(progress.states)
    for change in changes:
        states[change.index] = change.state
    return states
