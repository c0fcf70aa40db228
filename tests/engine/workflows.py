"""Workflows that the engine's tests start; served by a worker of their own."""

from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from apps.engine.contracts import SignalEnvelope


@dataclass(frozen=True)
class Work:
    """Input: fails at once when told to, ends after so many signals (0: at once)."""

    name: str
    signals: int = 0
    fail: bool = False


@workflow.defn
class CollectingWorkflow:
    """Result: the keys of the signals, in the order in which they came."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @workflow.run
    async def run(self, work: Work) -> list[str]:
        if work.fail:
            raise ApplicationError("told to fail", non_retryable=True)
        await workflow.wait_condition(lambda: len(self.seen) >= work.signals)
        return self.seen

    @workflow.signal
    def poke(self, envelope: SignalEnvelope) -> None:
        self.seen.append(envelope.command)
