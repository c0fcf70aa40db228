from collections.abc import Iterator

import pytest

from tests.approvals import world


@pytest.fixture(autouse=True)
def _fresh_domain() -> Iterator[None]:
    world.domain.settled.clear()
    world.domain.edited.clear()
    world.domain.fails_with = None
    yield
    world.domain.fails_with = None
