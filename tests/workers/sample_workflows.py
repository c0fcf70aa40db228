"""Workflows of the tests."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, VersioningBehavior
from temporalio.exceptions import ApplicationError

from workers.steps import local_step, remote_step

with workflow.unsafe.imports_passed_through():
    from tests.workers import sample


@dataclass(frozen=True)
class Short:
    """Timings of seconds."""

    activity: float = 5.0
    heartbeat: float = 1.0


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class InOrder:
    @workflow.run
    async def run(self, word: str) -> list[str]:
        one = await local_step(sample.first, word)
        two = await local_step(sample.second, word)
        return [one, two]


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class OneStep:
    """Runs the named activity by `local_step` or `remote_step`; returns how it was refused."""

    @workflow.run
    async def run(self, way: str, name: str) -> object:
        fn = getattr(sample, name)
        try:
            return await (local_step if way == "step" else remote_step)(fn, "x", timings=Short())
        except ApplicationError as refusal:
            return ["refused", refusal.type, refusal.message]


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class TwoAttempts:
    """Runs an activity that never succeeds, under a retry policy of the caller's."""

    @workflow.run
    async def run(self, way: str) -> list[str]:
        retry = RetryPolicy(initial_interval=timedelta(milliseconds=10), maximum_attempts=2)
        call = local_step if way == "step" else remote_step
        try:
            return await call(sample.never_available, "x", timings=Short(), retry=retry)
        except ApplicationError as last:
            return [last.type or "", last.message]


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class Succeeds:
    @workflow.run
    async def run(self) -> str:
        return await local_step(sample.first, "x")


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class Fails:
    @workflow.run
    async def run(self) -> str:
        return await local_step(sample.refuse, "x")


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class Holds:
    """Its activity takes a while."""

    @workflow.run
    async def run(self, seconds: float) -> str:
        return await remote_step(sample.hold, seconds, timings=Long())


@dataclass(frozen=True)
class Long:
    activity: float = 60.0
    heartbeat: float = 60.0


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class LongCall:
    @workflow.run
    async def run(self, seconds: float) -> str:
        return await remote_step(sample.long_call, seconds, timings=Short(activity=30), attempts=1)


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class Many:
    """Many database activities at once."""

    @workflow.run
    async def run(self, count: int) -> list[str]:
        calls = (remote_step(sample.query, "x", timings=Long(), attempts=1) for _ in range(count))
        return sorted(set(await asyncio.gather(*calls)))


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class Waits:
    """Ends with the number of signals it has seen, cancelled, or as a new run."""

    def __init__(self) -> None:
        self.seen = 0
        self.again = False

    @workflow.signal
    def nudge(self) -> None:
        self.seen += 1

    @workflow.signal
    def renew(self) -> None:
        self.again = True

    @workflow.run
    async def run(self, wanted: int) -> int:
        await workflow.wait_condition(lambda: self.seen >= wanted or self.again)
        if self.again:
            workflow.continue_as_new(0)
        # Local work in the last workflow task: a signal that comes now is not handled by it.
        await workflow.execute_local_activity(
            sample.hold, 1.0, schedule_to_close_timeout=timedelta(seconds=5)
        )
        return self.seen


WORKFLOWS = [InOrder, OneStep, TwoAttempts, Succeeds, Fails, Holds, LongCall, Many, Waits]
