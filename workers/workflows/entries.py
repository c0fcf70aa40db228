"""Keys: created, updated and deleted in the directory, once each, within a day.

The row says what is done; an input from outside makes one first. What the directory has done is
kept, so that a run that comes later goes on from there. Once it was asked and did not answer, only
its answer, or a person, ends the change.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy, VersioningBehavior
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from apps.engine.contracts import Stop, Timings
    from apps.pix.activities import entries as activities
    from apps.pix.contracts import (
        CREATE_WORKFLOW,
        DELETE_WORKFLOW,
        ENTRY_CHANGE,
        UPDATE_WORKFLOW,
        ChangeKind,
        ChangeStatus,
    )
    from apps.pix.contracts.entries import (
        SIGNAL_POSSESSION,
        CallState,
        ChangeFacts,
        ChangeInput,
        CreateEntryRequest,
        DeleteEntryRequest,
        EndInput,
        EntryResult,
        OpenInput,
        Request,
        UpdateEntryRequest,
    )
    from workers.attributes import mark
    from workers.saga import Saga, fail
    from workers.steps import local_step, remote_step

#: The directory is asked again for as long as the deadline allows, or after what it says itself.
RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=60),
)
LATE = "possession_code_expired"
LATE_WORDS = "Nobody typed the code in time."


@workflow.defn(name=CREATE_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class CreateEntryWorkflow:
    """Waits for the owner's code, if one was sent, and registers the key."""

    def __init__(self) -> None:
        self._saga = Saga()
        self._woken: asyncio.Future[None] = asyncio.Future()

    @workflow.run
    async def run(self, request: CreateEntryRequest) -> EntryResult:
        opening = OpenInput(
            workflow.info().workflow_id, ChangeKind.CREATE, workflow.now(), create=request
        )
        result = await self._saga.uncancellable(self._run(_Change(request), opening))
        return result

    @workflow.signal(name=SIGNAL_POSSESSION)
    def possession_changed(self, first: Any = None, second: Any = None) -> None:
        """Wake up and look. Nothing in the signal is read."""
        if not self._woken.done():
            self._woken.set_result(None)

    async def _run(self, change: "_Change", opening: OpenInput) -> EntryResult:
        await change.open(opening)
        while change.facts.waits:
            await self._wait(change)
        return await change.carry(self._saga, activities.create_entry, activities.activate_entry)

    async def _wait(self, change: "_Change") -> None:
        """Wait for the code, until it has ended."""
        until = change.facts.code_until or workflow.now()
        left = (until - workflow.now()).total_seconds()
        if left > 0 and not self._saga.cancelled:
            await self._saga.heard(self._woken, timeout=left)
        if self._saga.cancelled:
            await change.end(ChangeStatus.CANCELLED, "cancelled", "Its workflow was cancelled.")
        elif self._woken.done():
            self._woken = asyncio.Future()
            await change.read()
        else:
            # If another code was sent meanwhile, that one is waited for.
            await change.end(ChangeStatus.FAILED, LATE, LATE_WORDS)


@workflow.defn(name=UPDATE_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class UpdateEntryWorkflow:
    """Changes the account or the name of a key."""

    def __init__(self) -> None:
        self._saga = Saga()

    @workflow.run
    async def run(self, request: UpdateEntryRequest) -> EntryResult:
        opening = OpenInput(
            workflow.info().workflow_id, ChangeKind.UPDATE, workflow.now(), update=request
        )
        result = await self._saga.uncancellable(self._run(_Change(request), opening))
        return result

    async def _run(self, change: "_Change", opening: OpenInput) -> EntryResult:
        await change.open(opening)
        return await change.carry(self._saga, activities.update_entry, activities.activate_entry)


@workflow.defn(name=DELETE_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class DeleteEntryWorkflow:
    """Removes a key."""

    def __init__(self) -> None:
        self._saga = Saga()

    @workflow.run
    async def run(self, request: DeleteEntryRequest) -> EntryResult:
        opening = OpenInput(
            workflow.info().workflow_id, ChangeKind.DELETE, workflow.now(), delete=request
        )
        result = await self._saga.uncancellable(self._run(_Change(request), opening))
        return result

    async def _run(self, change: "_Change", opening: OpenInput) -> EntryResult:
        await change.open(opening)
        return await change.carry(self._saga, activities.delete_entry, activities.deactivate_entry)


class _Change:
    """A change, its times, and what is known of it."""

    facts: ChangeFacts

    def __init__(self, request: Request) -> None:
        self._timings: Timings = request.timings

    async def open(self, opening: OpenInput) -> None:
        """Find or make its row. What is refused ends the run as failed: nothing stands."""
        try:
            self.facts = await local_step(activities.validate_entry, opening, timings=self._timings)
        except ApplicationError as refused:
            fail(refused.type or "", refused.message)
        mark(ENTRY_CHANGE, self.facts.change_id)
        if not self.facts.settled and self.facts.attention == "open":
            fail("attention_open", "A person is asked about it.")

    async def carry(
        self,
        saga: Saga,
        send: Callable[[ChangeInput], None],
        apply: Callable[[ChangeInput], ChangeFacts],
    ) -> EntryResult:
        """Send it, and do here what the directory did; return how it ended."""

        async def steps() -> None:
            await remote_step(send, self._input(), timings=self._timings, retry=RETRY)
            saga.check()
            self.facts = await local_step(apply, self._input(), timings=self._timings)

        if not self.facts.settled:
            stop = await saga.run_until(steps(), deadline=self._timings.deadline)
            if stop is not None:
                await self._stopped(stop, apply)
        facts = self.facts
        return EntryResult(
            facts.entry_id, facts.entry_status, facts.status, facts.code, facts.detail
        )

    async def read(self) -> None:
        """Read what the database knows."""
        self.facts = await local_step(
            activities.get_entry_status, self._input(), timings=self._timings
        )

    async def end(self, status: ChangeStatus, code: str, detail: str) -> None:
        """End it, unless it has ended, or is not to end any more."""
        input = EndInput(self.facts.change_id, workflow.now(), code, detail, status)
        self.facts = await local_step(activities.end_entry_change, input, timings=self._timings)

    async def _stopped(self, stop: Stop, apply: Callable[[ChangeInput], ChangeFacts]) -> None:
        """End what was refused, late or cancelled as far as the directory went."""
        await self.read()
        if not self.facts.settled and self.facts.call == CallState.DONE:
            try:
                self.facts = await local_step(apply, self._input(), timings=self._timings)
            except ApplicationError as refused:
                await self._ask(refused.type or "", refused.message)
        elif not self.facts.settled and self.facts.call == CallState.SENT:
            await self._ask(stop.code, stop.detail)
        elif not self.facts.settled:
            status = ChangeStatus.CANCELLED if stop.status == "cancelled" else ChangeStatus.FAILED
            await self.end(status, stop.code, stop.detail)

    async def _ask(self, code: str, detail: str) -> None:
        """Open a review item and end as failed, so that a run may continue from the row."""
        input = EndInput(self.facts.change_id, workflow.now(), code, detail)
        await local_step(activities.raise_attention, input, timings=self._timings)
        fail(code, detail)

    def _input(self) -> ChangeInput:
        return ChangeInput(self.facts.change_id, workflow.now())
