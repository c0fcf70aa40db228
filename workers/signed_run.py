"""Workflow helper: a run that is signed once (`apps.approvals.signed_runs`), then worked through.

A decision, pause, resumption or cancellation changes the row in its own transaction; a signal only
wakes the workflow, which reads the row again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from apps.approvals.activities.signed_runs import RunActivities
from apps.approvals.contracts import RunFacts, RunRefusal, RunStep
from workers.approval_wait import wait_for_decision
from workers.bounded import BoundedRun, I
from workers.steps import Timed, local_step, remote_step
from workers.wakeups import Wakeups

PENDING = "pending"


class SignedRun:
    """Opens the request, waits for the signature, then keeps `concurrency` items running.

    The workflow's signals call `wakeups.wake`; `facts` is the row's state at the last read. A
    refusal to open with a code in `not_mine` means that the row does not belong to this workflow.
    """

    def __init__(self, activities: RunActivities, *, not_mine: frozenset[str]) -> None:
        self.wakeups = Wakeups()
        self.facts = RunFacts(PENDING)
        self._activities = activities
        self._not_mine = not_mine

    async def work(
        self,
        run_id: str,
        *,
        timings: Timed,
        concurrency: int,
        per_run: int,
        prepare: Callable[[int, tuple[int, ...]], Awaitable[tuple[RunFacts, Sequence[I]]]],
        carry_out: Callable[[I], Coroutine[Any, Any, None]],
        renew: Callable[[], None],
    ) -> RunFacts:
        """Work to the end of the run; `prepare`, `carry_out` and `renew` as in `workers.bounded`.

        A cancellation in Temporal counts like a user's. Raises what the steps raise.
        """
        steps = self._activities

        async def step(fn: Callable[[RunStep], RunFacts], *signals: str) -> RunFacts:
            look = RunStep(run_id, workflow.now(), signals)
            self.facts = await local_step(fn, look, timings=timings)
            return self.facts

        async def ready(limit: int, known: tuple[int, ...]) -> tuple[RunFacts, Sequence[I]]:
            self.facts, items = await prepare(limit, known)
            return self.facts, items

        async def opened() -> RunFacts:
            if (await step(steps.read)).status != PENDING:
                return self.facts  # a later run
            now = workflow.now()
            try:
                return await remote_step(steps.open, RunStep(run_id, now), timings=timings)
            except ApplicationError as refused:
                if refused.type in self._not_mine:
                    raise
                code = refused.type or "step_failed"
                refusal = RunRefusal(run_id, code, refused.message, workflow.now())
                return await local_step(steps.refuse, refusal, timings=timings)

        items = BoundedRun(
            self.wakeups,
            concurrency=concurrency,
            per_run=per_run,
            prepare=ready,
            carry_out=carry_out,
            finish=lambda: step(steps.finish),
            renew=renew,
        )
        try:
            self.facts = await wait_for_decision(
                self.wakeups,
                lambda signals: step(steps.read, *signals),
                lambda: step(steps.expire),
                await opened(),
                timings=timings,
                renew=renew,
            )
            await items.work(self.facts)
        except (FailureError, asyncio.CancelledError) as failure:
            if not is_cancelled_exception(failure):
                raise
            # Running items finish.
            await step(steps.cancel)
            await items.end()
        return self.facts
