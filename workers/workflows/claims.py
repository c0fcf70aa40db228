"""Claims: a donor is waited for, up to 30 days, and what is decided is carried out.

The database decides what is allowed and when; the workflow knows what to do next and wakes when
somebody has decided, a signal came from outside, or the rulebook's clock is due.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from apps.engine.contracts import SignalEnvelope
    from apps.pix.activities import claims as activities
    from apps.pix.contracts import CLAIM, CLAIM_WORKFLOW
    from apps.pix.contracts.claims import (
        SIGNAL_CANCEL,
        SIGNAL_CHANGED,
        SIGNAL_CONFIRM,
        ClaimFacts,
        ClaimLook,
        ClaimOpening,
        ClaimRequest,
        ClaimResult,
        OutsideSignal,
    )
    from workers.approval_wait import woken_in_time
    from workers.attributes import mark
    from workers.steps import WITHOUT_END, local_step, remote_step
    from workers.wakeups import Wakeups

#: A claim is looked at again after so long even if nobody wakes its workflow.
LOOK_AGAIN = timedelta(days=1)
#: Signals from outside that one run keeps until they are judged.
MOST_OUTSIDE = 100


@workflow.defn(name=CLAIM_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class ClaimWorkflow:
    """Carries a claim from its opening to its end. Started for a claim that another workflow
    carries, it waits for that one's result."""

    def __init__(self) -> None:
        self._wakeups = Wakeups()
        self._outside: list[OutsideSignal] = []
        self._received = 0
        self._clock: asyncio.Task[None] | None = None
        self._due_at: datetime | None = None
        self._facts: ClaimFacts | None = None

    @workflow.run
    async def run(self, request: ClaimRequest) -> ClaimResult:
        opening = ClaimOpening(workflow.info().workflow_id, request, workflow.now())
        await local_step(activities.validate_eligibility, opening)
        opening = replace(opening, as_of=workflow.now())
        facts = await local_step(activities.create_claim, opening)
        mark(CLAIM, facts.row_id)
        self._take(facts)
        while not facts.settled or self._outside:
            facts = await self._go_on(facts)
            self._take(facts)
            if workflow.info().is_continue_as_new_suggested() and not self._outside:
                workflow.continue_as_new(ClaimRequest(facts.claim_id))
        self._stop_clock()
        if not facts.joins:
            await self._finish(facts)
        return ClaimResult(facts.claim_id, facts.status, facts.code, facts.detail)

    # --- doors ------------------------------------------------------------------------------------
    @workflow.signal(name=SIGNAL_CONFIRM)
    def confirm(self, first: Any = None, second: Any = None) -> None:
        """The donor has confirmed, says whoever sent this."""
        self._hear(SIGNAL_CONFIRM, first)

    @workflow.signal(name=SIGNAL_CANCEL)
    def cancel(self, first: Any = None, second: Any = None) -> None:
        """The claim is cancelled, says whoever sent this."""
        self._hear(SIGNAL_CANCEL, first)

    @workflow.signal(name=SIGNAL_CHANGED)
    def claim_changed(self, envelope: SignalEnvelope) -> None:
        """The row has changed."""
        self._wakeups.wake(envelope)

    @workflow.query
    def get_status(self) -> str:
        """Return the claim's status at the last look; empty before the first."""
        return self._facts.status if self._facts else ""

    def _hear(self, name: str, argument: Any) -> None:
        self._received += 1
        if len(self._outside) < MOST_OUTSIDE:
            run_id = workflow.info().run_id
            self._outside.append(OutsideSignal(name, run_id, self._received, argument))

    # --- the claim --------------------------------------------------------------------------------
    async def _go_on(self, facts: ClaimFacts) -> ClaimFacts:
        """Do the next step, or wait for one; return the state after it."""
        steps: dict[str, Callable[[ClaimLook], ClaimFacts]] = {
            "tell": activities.notify_donor,
            "complete": activities.complete_claim,
            "cancel": activities.cancel_claim,
            "expire": activities.expire_claim,
        }
        step = None if facts.joins else steps.get(facts.step)
        if step is None:
            await self._wait(facts)
            return await self._look(facts)
        look = self._input(facts)
        if not facts.outbound:
            return await local_step(step, look, timings=facts.timings)
        return await remote_step(step, look, timings=facts.timings, retry=WITHOUT_END)

    async def _look(self, facts: ClaimFacts) -> ClaimFacts:
        signals = self._wakeups.take()
        outside = self._outside.pop(0) if self._outside else None
        look = replace(self._input(facts), signals=signals, outside=outside)
        found = await local_step(activities.get_claim_status, look, timings=facts.timings)
        if not found.waiting:
            self._wakeups.keep(signals)
        return found

    async def _wait(self, facts: ClaimFacts) -> None:
        """Wait for a decision or the clock, and keep the clock of the donor's request."""
        await woken_in_time(
            self._woken,
            request_id=facts.request_id,
            next_at=facts.next_at if facts.request_status == "open" else None,
            expires_at=workflow.now() + LOOK_AGAIN,
            timings=facts.timings,
        )

    def _woken(self) -> bool:
        rung = self._clock is not None and self._clock.done()
        return rung or self._wakeups.woken() or bool(self._outside)

    async def _finish(self, facts: ClaimFacts) -> None:
        look = self._input(facts)
        await local_step(activities.publish_event, look, timings=facts.timings)
        await local_step(activities.send_confirmation, look, timings=facts.timings)

    def _input(self, facts: ClaimFacts) -> ClaimLook:
        return ClaimLook(facts.row_id, workflow.info().workflow_id, workflow.now())

    # --- the clock --------------------------------------------------------------------------------
    def _take(self, facts: ClaimFacts) -> None:
        """Keep the state, and set the clock where what it waits for has changed. The donor's period
        is one timer of exactly its length."""
        self._facts = facts
        rung = self._clock is not None and self._clock.done()
        if facts.due_at == self._due_at and not rung:
            return
        self._stop_clock()
        self._due_at = facts.due_at
        if facts.due_seconds is not None and not facts.joins:
            self._clock = asyncio.create_task(asyncio.sleep(max(facts.due_seconds, 0.001)))

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
        self._clock = None
