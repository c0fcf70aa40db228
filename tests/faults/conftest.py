"""One stack for all fault tests, the story told on it, and points to hold it at."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import running_stack
from tests.faults.harness import Harness
from tests.faults.interventions import REFUSED_TARGET
from tests.faults.points import Points
from tests.faults.story import Story
from tests.stack import Stack

#: So that nobody waits for a probe, or for what a killed consumer had in hand.
SHORT = {
    "INFERENCE_PROBE_SECONDS": "2",
    "PAYMENTS_MAX_OPEN": "30",
    "REDIS_CLAIM_SECONDS": "3",
}


@pytest.fixture(scope="package")
def points() -> Iterator[Points]:
    """The folder of the stack's failpoints."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-points-"))
    yield Points(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def stack(cluster_template: Path, points: Points) -> Iterator[Stack]:
    """One for all modules of this folder, whose processes know the points: leave it running."""
    with running_stack(cluster_template, {"FAILPOINTS_DIR": str(points.folder), **SHORT}) as one:
        one.spawn("consumer")
        yield one


@pytest.fixture(scope="package")
def told(stack: Stack) -> Iterator[Story]:
    """The story of all of them. In the end the audit chain of whatever happened is verified."""
    one = Story(stack)
    yield one
    one.prove_audit()


@pytest.fixture
def story(told: Story) -> Iterator[Story]:
    """The story with an executor that behaves, before and after."""
    told.behave(refuse_targets=[REFUSED_TARGET])
    yield told
    told.behave(refuse_targets=[REFUSED_TARGET])


@pytest.fixture(scope="package")
def shared_harness(told: Story, points: Points) -> Iterator[Harness]:
    """In the end everything is proven again: a late repetition would show then."""
    harness = Harness(told, points)
    yield harness
    harness.prove_all()


@pytest.fixture
def harness(shared_harness: Harness, story: Story) -> Harness:
    """The harness of all of them: it remembers what was told before."""
    return shared_harness
