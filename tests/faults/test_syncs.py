"""A synchronisation whose worker is killed while it receives, compares and repairs: everything is
found exactly, and repaired once."""

import pytest

from tests.faults.points import Points
from tests.faults.story import Story
from tests.faults.syncs import a_participant, begun, ended, prove, tampered
from tests.support import FULL_SIZE, eventually

pytestmark = pytest.mark.faults

ENTRIES = 1_000_000 if FULL_SIZE else 2_000
COUNTS = (
    {"changed": 400, "missing": 300, "extra": 300}
    if FULL_SIZE
    else {"changed": 20, "missing": 15, "extra": 15}
)


@pytest.mark.timeout(3_600)
def test_a_worker_killed_at_every_stage_repairs_each_difference_once(
    story: Story, points: Points
) -> None:
    ispb = a_participant(story, ENTRIES)
    tampered(story, ispb, **COUNTS)
    stages = ("sync.chunk_kept", "sync.slice_kept", "sync.repaired")
    for stage in stages:
        points.arm(stage)
    run = begun(story, ispb)
    for stage in stages:
        points.wait(stage, timeout=300)
        story.stack.kill9("worker")
        points.release(stage)
        story.stack.restart("worker")
    eventually(lambda: ended(story, run), timeout=600, every=0.5)
    prove(story, run, **COUNTS)
