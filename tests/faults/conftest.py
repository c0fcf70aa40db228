"""One stack for a module of fault tests, the story told on it, and points to hold it at."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Harness
from tests.faults.interventions import REFUSED_TARGET
from tests.faults.points import Points
from tests.faults.story import Story
from tests.stack import Stack


@pytest.fixture(scope="module")
def points() -> Iterator[Points]:
    """The folder of the module's failpoints."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-points-"))
    yield Points(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def stack_env(points: Points) -> dict[str, str]:
    """All processes of the stack know the points."""
    return {"FAILPOINTS_DIR": str(points.folder)}


@pytest.fixture(scope="module")
def told(stack: Stack) -> Story:
    """The module's story: keys are made once."""
    return Story(stack)


@pytest.fixture
def story(told: Story) -> Iterator[Story]:
    """The story with an executor that behaves, before and after."""
    told.behave(refuse_targets=[REFUSED_TARGET])
    yield told
    told.behave(refuse_targets=[REFUSED_TARGET])


@pytest.fixture(scope="module")
def module_harness(told: Story, points: Points) -> Iterator[Harness]:
    """In the end everything is proven again: a late repetition would show then."""
    harness = Harness(told, points)
    yield harness
    harness.prove_all()


@pytest.fixture
def harness(module_harness: Harness, story: Story) -> Harness:
    """The module's harness: it remembers what was told before."""
    return module_harness
