from collections.abc import AsyncIterator

import pytest
from channels.layers import channel_layers

from apps.live import broadcast


@pytest.fixture(autouse=True)
async def _own_layer() -> AsyncIterator[None]:
    """A channel layer of the test's own: its connections belong to the test's event loop."""
    channel_layers.backends.clear()
    yield
    broadcast._publisher.drain(2)
    channel_layers.backends.clear()
