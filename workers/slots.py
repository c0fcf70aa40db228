"""Limits of a worker's concurrency: slots, threads and connections, checked together.

A slot without a thread accepts work that then waits until it times out (200 slots on 16 threads
failed a third of it). The connection pool is the real limit of the database; waiters queue in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workers.registry import QueueSpec


class TooFewThreads(Exception):
    """The threads do not cover the slots; the text says which settings to change."""


@dataclass(frozen=True)
class Slots:
    """Concurrent workflow tasks, remote activities and local activities of one queue."""

    workflows: int
    remote: int
    local: int

    @property
    def threads(self) -> int:
        return self.remote + self.local


@dataclass(frozen=True)
class Plan:
    """Slots by queue name, and the activity threads that they share."""

    queues: dict[str, Slots]
    threads: int


def plan(
    specs: Sequence[QueueSpec],
    *,
    threads: int,
    max_workflows: int,
    max_activities: int,
    activities_explicit: bool,
) -> Plan:
    """Return slots and threads for these queues in one process.

    `threads=0` follows the slots. A lower number than the queues need scales the slots down, but
    those of a queue that `keeps` its own, and none if the slots of all were set explicitly too:
    then TooFewThreads, as when not even one slot of each kind fits.
    """
    requested = {spec.name: _wanted(spec, max_workflows, max_activities) for spec in specs}
    total = sum(slots.threads for slots in requested.values())
    if threads == 0 or total <= threads:
        return Plan(requested, max(threads, total, 1))
    kept = {spec.name: requested[spec.name] for spec in specs if spec.keeps}
    least = sum(
        kept[name].threads if name in kept else 2
        for name, slots in requested.items()
        if slots.threads
    )
    if activities_explicit or threads < least:
        raise TooFewThreads(_refusal(requested, threads, total, least, activities_explicit))
    rest = {name: slots for name, slots in requested.items() if name not in kept}
    scaled = _scaled(rest, threads - sum(slots.threads for slots in kept.values()))
    return Plan({name: kept.get(name) or scaled[name] for name in requested}, threads)


def _wanted(spec: QueueSpec, max_workflows: int, max_activities: int) -> Slots:
    workflows = spec.max_workflows or max_workflows
    if not spec.activities:
        return Slots(workflows=workflows, remote=0, local=0)
    remote = spec.max_activities or max_activities
    # A workflow task runs one local step at a time, so more local slots than tasks are never used.
    return Slots(workflows=workflows, remote=remote, local=min(remote, workflows))


def _scaled(requested: dict[str, Slots], threads: int) -> dict[str, Slots]:
    """Return equal shares: a queue that needs less than its share leaves the rest to the others.

    Shares in proportion to the needs left a queue of 20 slots a single local step beside one of
    300, however idle that was.
    """
    shares = dict.fromkeys((name for name, slots in requested.items() if slots.threads), 0)
    for _ in range(threads):
        # One at a time to whoever has least; the greatest need first among equals.
        wanting = [name for name in shares if shares[name] < requested[name].threads]
        shares[min(wanting, key=lambda name: (shares[name], -requested[name].threads))] += 1
    return {
        name: Slots(
            workflows=slots.workflows,
            remote=min(slots.remote, shares[name] - shares[name] // 2),
            local=min(slots.local, shares[name] // 2),
        )
        if name in shares
        else slots
        for name, slots in requested.items()
    }


def _refusal(
    requested: dict[str, Slots], threads: int, total: int, least: int, explicit: bool
) -> str:
    by_queue = ", ".join(
        f"{name}: {slots.remote} remote + {slots.local} local" for name, slots in requested.items()
    )
    need = total if explicit else least
    return (
        f"WORKER_THREADS={threads} is less than the {need} activity slots that these queues need "
        f"({by_queue}). Raise WORKER_THREADS, lower MAX_CONCURRENT_ACTIVITIES, serve fewer queues, "
        "or leave one of the two variables unset."
    )
