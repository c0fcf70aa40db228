"""Slots, threads and pool fit each other, or the worker does not start."""

from dataclasses import replace

import pytest

from tests.workers import sample, sample_workflows
from workers.registry import QueueSpec
from workers.slots import Plan, Slots, TooFewThreads, plan

EMPTY = QueueSpec(name="empty", workflows=[sample_workflows.InOrder])
BUSY = QueueSpec(name="busy", workflows=[sample_workflows.InOrder], activities=sample.ACTIVITIES)
SMALL = QueueSpec(
    name="small",
    workflows=[sample_workflows.InOrder],
    activities=sample.ACTIVITIES,
    max_workflows=10,
    max_activities=5,
)


def planned(*specs: QueueSpec, threads: int, explicit: bool = False) -> Plan:
    return plan(
        specs,
        threads=threads,
        max_workflows=100,
        max_activities=200,
        activities_explicit=explicit,
    )


def test_without_a_number_of_threads_the_contracts_slots_get_theirs() -> None:
    assert planned(BUSY, SMALL, EMPTY, threads=0) == Plan(
        {
            "busy": Slots(workflows=100, remote=200, local=100),
            "small": Slots(workflows=10, remote=5, local=5),
            "empty": Slots(workflows=100, remote=0, local=0),
        },
        threads=310,
    )


@pytest.mark.parametrize("threads", [4, 5, 15, 16, 17, 40, 309])
def test_fewer_threads_scale_the_slots_down_and_every_queue_keeps_some(threads: int) -> None:
    made = planned(BUSY, SMALL, EMPTY, threads=threads)
    slots = made.queues.values()
    assert made.threads == threads
    assert sum(s.threads for s in slots) <= threads
    assert all(s.remote >= 1 and s.local >= 1 for s in slots if s.threads)
    assert made.queues["small"].remote <= 5
    assert made.queues["empty"] == Slots(workflows=100, remote=0, local=0)


def test_a_queue_keeps_the_slots_that_were_asked_for_by_name() -> None:
    kept = replace(SMALL, keeps=True)
    made = planned(BUSY, kept, EMPTY, threads=16)
    assert made.queues["small"] == Slots(workflows=10, remote=5, local=5)
    assert made.queues["busy"] == Slots(workflows=100, remote=3, local=3)
    with pytest.raises(TooFewThreads, match=r"WORKER_THREADS=11 is less than the 12 "):
        planned(BUSY, kept, EMPTY, threads=11)


def test_a_small_queue_is_not_starved_by_a_large_one() -> None:
    """Shares in proportion left a queue of 20 slots one local step at a time beside one of 300."""
    small = replace(SMALL, max_activities=10)
    made = planned(BUSY, small, threads=16).queues
    assert made["small"] == Slots(workflows=10, remote=4, local=4)
    assert made["busy"] == Slots(workflows=100, remote=4, local=4)
    # What a queue does not need is the others'.
    made = planned(BUSY, small, threads=100).queues
    assert (made["small"].threads, made["busy"].threads) == (20, 80)


def test_one_busy_queue_uses_all_sixteen_threads() -> None:
    assert planned(BUSY, EMPTY, threads=16).queues["busy"] == Slots(
        workflows=100, remote=8, local=8
    )


def test_slots_that_were_asked_for_by_name_are_refused_when_the_threads_are_fewer() -> None:
    with pytest.raises(TooFewThreads, match=r"WORKER_THREADS=16 is less than the 300 .*busy: 200"):
        planned(BUSY, threads=16, explicit=True)


def test_threads_for_not_even_one_slot_of_each_kind_are_refused() -> None:
    with pytest.raises(TooFewThreads, match="less than the 4 activity slots"):
        planned(BUSY, SMALL, threads=3)
