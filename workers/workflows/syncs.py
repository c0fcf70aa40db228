"""Synchronisations with the directory: call after call, until both sides are equal or the report
says why not. The rows have the state: whichever worker is next carries on from them."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import VersioningBehavior, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from apps.engine.contracts import RunProgress, SignalEnvelope, Stop, Timings
    from apps.pix.activities import sync as activities
    from apps.pix.contracts import SCHEDULER_WORKFLOW, SYNC_RUN, SYNC_WORKFLOW
    from apps.pix.contracts.sync import (
        COMPARING,
        DEADLINE_SECONDS,
        FETCHING,
        SIGNAL_SYNC_CHANGED,
        Scheduled,
        SyncAt,
        SyncDay,
        SyncEnd,
        SyncFacts,
        SyncOpen,
        SyncRequest,
        SyncStep,
    )
    from workers.approval_wait import earliest, woken_in_time
    from workers.attributes import mark
    from workers.saga import Saga
    from workers.steps import WITHOUT_END, local_step, remote_step
    from workers.wakeups import Wakeups

#: The server's own limit of a run that the daily workflow starts: above the run's.
BACKSTOP = timedelta(seconds=2 * DEADLINE_SECONDS)


@workflow.defn(name=SYNC_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class VSyncWorkflow:
    """Synchronises one participant: `{participant_ispb, sync_type?, last_sync_date?}`."""

    def __init__(self) -> None:
        self._wakeups = Wakeups()
        self._saga = Saga()
        self._facts: SyncFacts | None = None

    @workflow.run
    async def run(self, input: SyncRequest) -> SyncFacts:
        opening = SyncOpen(workflow.info().workflow_id, input, workflow.now())
        facts = await local_step(activities.open_sync, opening)
        mark(SYNC_RUN, facts.run_id)
        workflow.logger.info("VSyncWorkflow started", extra={"sync_run": facts.run_id})
        while not facts.settled:
            if facts.waiting:
                facts = await self._wait(facts)
            else:
                facts = await self._saga.uncancellable(self._carry(facts, input))
        return facts

    @workflow.signal(name=SIGNAL_SYNC_CHANGED)
    def sync_changed(self, envelope: SignalEnvelope) -> None:
        """The repair was decided, or the run stopped."""
        self._wakeups.wake(envelope)

    @workflow.query
    def progress(self) -> RunProgress:
        """Return how many differences have which state, at the last look."""
        return self._facts.progress if self._facts else RunProgress()

    async def _carry(self, facts: SyncFacts, input: SyncRequest) -> SyncFacts:
        """Work until the run has ended or waits for a person; return what stands."""
        left = (facts.ends_at - workflow.now()).total_seconds()
        self._facts = facts
        stop = await self._saga.run_until(self._work(input), deadline=max(left, 0.001))
        if stop is None:
            return self._facts
        return await self._fail(facts, stop)

    async def _work(self, input: SyncRequest) -> None:
        while (facts := self._facts) is not None and not facts.settled and not facts.waiting:
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(input)
            step = SyncStep(facts.run_id)
            call = _call_of(facts.phase)
            # However long the directory is away: the deadline ends it.
            self._facts = await remote_step(call, step, timings=facts.timings, retry=WITHOUT_END)
            self._saga.check()
            if self._facts.rest and not self._facts.settled:
                await asyncio.sleep(self._facts.rest)
                self._saga.check()

    async def _wait(self, facts: SyncFacts) -> SyncFacts:
        """Wait for a person, and keep the clock of the request."""
        woken = await woken_in_time(
            self._wakeups.woken,
            request_id=facts.request_id,
            next_at=facts.next_at,
            expires_at=earliest(facts.expires_at, facts.ends_at),
            timings=facts.timings,
        )
        signals = self._wakeups.take()
        if workflow.now() >= facts.ends_at:
            late = Stop("failed", "deadline_exceeded", "Nobody has decided in time.")
            return await self._fail(facts, late)
        if woken:
            step = SyncStep(facts.run_id, signals)
            seen = await local_step(activities.read_sync, step, timings=facts.timings)
            if not seen.waiting:
                self._wakeups.keep(signals)
        else:
            at = SyncAt(facts.run_id, workflow.now())
            await local_step(activities.expire_sync, at, timings=facts.timings)
        opening = SyncOpen(workflow.info().workflow_id, {}, workflow.now())
        return await local_step(activities.open_sync, opening, timings=facts.timings)

    async def _fail(self, facts: SyncFacts, stop: Stop) -> SyncFacts:
        end = SyncEnd(facts.run_id, stop.code, stop.detail)
        return await local_step(activities.fail_sync, end, timings=facts.timings)


@workflow.defn(name=SCHEDULER_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class VSyncSchedulerWorkflow:
    """Starts a run for each participant of ours that none is synchronising. The runs outlive it."""

    @workflow.run
    async def run(self, first: Any = None, second: Any = None) -> Scheduled:
        info = workflow.info()
        day = SyncDay(info.workflow_id)
        due = await local_step(activities.participants_to_sync, day, result_type=list[str])
        started: list[str] = []
        running: list[str] = []
        for participant in due:
            try:
                await workflow.start_child_workflow(
                    SYNC_WORKFLOW,
                    {"participant_ispb": participant, "scheduled": True},
                    # Again by the same run: the same child, which is there.
                    id=f"vsync-{participant}-{info.start_time:%Y%m%dT%H%M%S}",
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                    execution_timeout=BACKSTOP,
                    task_timeout=timedelta(seconds=Timings().task),
                )
                started.append(participant)
            except WorkflowAlreadyStartedError:
                running.append(participant)
        return Scheduled(tuple(started), tuple(running))


def _call_of(phase: str) -> Callable[[SyncStep], SyncFacts]:
    if phase in FETCHING:
        return activities.fetch_entries
    return activities.compare_entries if phase in COMPARING else activities.generate_report
