"""Infractions: open from receipt to decision, for days to weeks.

The rows decide; the workflow knows what to ask for next: it tells the directory what it is owed,
keeps the clock, and hands on the signals that others send. While the directory is away everything
else goes on.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from temporalio import workflow
from temporalio.common import RetryPolicy, VersioningBehavior
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from apps.engine.contracts import SignalEnvelope, Whole
    from apps.pix.activities import infractions as activities
    from apps.pix.contracts import INFRACTION, INFRACTION_WORKFLOW
    from apps.pix.contracts.infractions import (
        SIGNAL_CHANGED,
        SIGNAL_COMPLETE,
        SIGNAL_EVIDENCE,
        Decision,
        InfractionFacts,
        InfractionInput,
        InfractionResult,
        OutsideInput,
        StartInput,
    )
    from workers.approval_wait import earliest, woken_in_time
    from workers.attributes import mark
    from workers.steps import local_step, remote_step
    from workers.wakeups import Wakeups

#: An input has a few ids and a text.
MOST_INPUT = 64_000
#: Attempts of a call to the directory; after them the workflow does other things, then tries again.
CALLS = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=30),
    maximum_attempts=3,
)
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0
#: One that waits for another workflow's infraction looks itself so often, should nobody wake it.
LOOK = timedelta(hours=1)
#: Signals that wait to be handed on; whoever sends more in one moment is not heard.
MOST_SIGNALS = 1_000

Input = Annotated[dict[str, Any], Whole(MOST_INPUT)]
_DECIDES: dict[str, Callable[[OutsideInput], InfractionFacts]] = {
    Decision.RESOLVE: activities.resolve_infraction,
    Decision.DISMISS: activities.dismiss_infraction,
}


@workflow.defn(name=INFRACTION_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class InvestigateInfractionWorkflow:
    """Carries one infraction to its end. One that was started for an infraction that another
    workflow carries waits for the same end."""

    def __init__(self) -> None:
        self._wakeups = Wakeups()
        #: Signals from outside that were not handed on: name, argument, number.
        self._outside: list[tuple[str, dict[str, Any], int]] = []
        self._numbered = 0
        self._pause = FIRST_PAUSE
        self._tell_at: datetime | None = None
        self._asked = False

    @workflow.run
    async def run(self, input: Input) -> InfractionResult:
        start = StartInput(workflow.info().workflow_id, input, workflow.now())
        await local_step(activities.validate_infraction, start)
        facts = await local_step(activities.create_infraction, start)
        mark(INFRACTION, facts.row_id)
        if facts.mine:
            workflow.logger.info(
                "InvestigateInfractionWorkflow started",
                extra={"infraction_id": facts.infraction_id},
            )
            facts = await self._begin(facts)
        facts = await self._carry(facts, input)
        if facts.mine:
            await local_step(activities.publish_infraction_event, self._of(facts))
        return InfractionResult(facts.infraction_id, facts.status, facts.result, facts.fraud_type)

    # --- signals ----------------------------------------------------------------------------------
    @workflow.signal(name=SIGNAL_CHANGED)
    def infraction_changed(self, envelope: SignalEnvelope) -> None:
        """The row has changed."""
        self._wakeups.wake(envelope)

    @workflow.signal(name=SIGNAL_EVIDENCE)
    def evidence_added(self, first: Any = None, second: Any = None) -> None:
        """Evidence from outside: `{evidence_url, description}`."""
        self._hear(SIGNAL_EVIDENCE, first)

    @workflow.signal(name=SIGNAL_COMPLETE)
    def investigation_complete(self, first: Any = None, second: Any = None) -> None:
        """A decision from outside: `{decision: RESOLVE | DISMISS | ESCALATE, notes}`."""
        self._hear(SIGNAL_COMPLETE, first)

    def _hear(self, name: str, argument: Any) -> None:
        self._numbered += 1
        if len(self._outside) < MOST_SIGNALS:
            body = argument if isinstance(argument, dict) else {}
            self._outside.append((name, body, self._numbered))

    # --- the run ----------------------------------------------------------------------------------
    async def _begin(self, facts: InfractionFacts) -> InfractionFacts:
        """Open the request and tell people, before the directory is asked for anything."""
        if facts.settled or not facts.decides:
            return facts
        self._asked = True
        facts = await local_step(activities.investigate_infraction, self._of(facts))
        await local_step(activities.notify_reported_participant, self._of(facts))
        return facts

    async def _carry(self, facts: InfractionFacts, input: dict[str, Any]) -> InfractionFacts:
        """Work until the row has ended and the directory knows."""
        while True:
            if self._outside:
                facts = await self._hand_on(facts)
            elif facts.mine and facts.decides and not facts.settled and not self._asked:
                # The directory has named one of ours as the other side since.
                facts = await self._begin(facts)
            elif facts.mine and facts.owed and self._may_tell():
                facts = await self._tell(facts)
            elif facts.settled and not (facts.mine and facts.owed):
                return facts
            elif workflow.info().is_continue_as_new_suggested():
                # The next run reads its row: no signal that wakes is lost.
                workflow.continue_as_new(input)
            else:
                facts = await self._wait(facts)

    async def _hand_on(self, facts: InfractionFacts) -> InfractionFacts:
        """Hand on the first signal from outside. Its key is the same in every attempt."""
        name, body, number = self._outside[0]
        key = f"{workflow.info().run_id}:{number}"
        given = OutsideInput(facts.row_id, workflow.now(), key, body)
        step: Callable[[OutsideInput], InfractionFacts] = activities.add_evidence
        if name == SIGNAL_COMPLETE:
            decision = body.get("decision")
            known = decision.strip().upper() if isinstance(decision, str) else ""
            step = _DECIDES.get(known, activities.escalate_infraction)
        await local_step(step, given)
        self._outside.pop(0)
        return await self._read(facts)

    def _may_tell(self) -> bool:
        return self._tell_at is None or workflow.now() >= self._tell_at

    async def _tell(self, facts: InfractionFacts) -> InfractionFacts:
        """Tell the directory what it is owed; without an answer that changes that, later again."""
        try:
            found = await remote_step(
                activities.notify_bacen, self._of(facts), timings=facts.timings, retry=CALLS
            )
        except (ApplicationError, ActivityError) as failure:
            if isinstance(failure, ApplicationError) and failure.non_retryable:
                raise
            workflow.logger.info("infraction.directory_silent")
            found = facts
        if found.owed != facts.owed:
            self._tell_at, self._pause = None, FIRST_PAUSE
            return found
        self._tell_at = workflow.now() + timedelta(seconds=self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return await self._read(facts)

    async def _wait(self, facts: InfractionFacts) -> InfractionFacts:
        """Wait for a change, a signal, or the next time that something is due."""
        told = self._tell_at if facts.owed else None
        looks = None if facts.mine else workflow.now() + LOOK
        due = facts.escalates_at if facts.mine else None
        woken = await woken_in_time(
            lambda: self._wakeups.woken() or bool(self._outside),
            request_id=facts.request_id,
            next_at=facts.next_at if facts.mine else None,
            expires_at=earliest(told, looks, due),
            timings=facts.timings,
        )
        if not woken and due is not None and workflow.now() >= due:
            given = OutsideInput(facts.row_id, workflow.now())
            return await local_step(activities.escalate_infraction, given, timings=facts.timings)
        return await self._read(facts)

    async def _read(self, facts: InfractionFacts) -> InfractionFacts:
        signals = self._wakeups.take()
        look = self._of(facts, *signals)
        found = await local_step(activities.get_infraction_status, look, timings=facts.timings)
        if found != facts:
            self._wakeups.keep(signals)
        return found

    def _of(self, facts: InfractionFacts, *signals: str) -> InfractionInput:
        id = workflow.info().workflow_id
        return InfractionInput(facts.row_id, workflow.now(), id, signals)
