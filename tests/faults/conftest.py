"""One stack for a module of fault tests, and the story told on it."""

from collections.abc import Iterator

import pytest

from tests.faults.story import Story
from tests.stack import Stack


@pytest.fixture(scope="module")
def told(stack: Stack) -> Story:
    """The module's story: keys are made once."""
    return Story(stack)


@pytest.fixture
def story(told: Story) -> Iterator[Story]:
    """The story with an executor that behaves, before and after."""
    told.behave(delay_seconds=0, fail_next=0)
    yield told
    told.behave(delay_seconds=0, fail_next=0)
