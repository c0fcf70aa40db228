"""The simulated inference service behind a real socket, and a worker for payment events."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest


@pytest.fixture
def inference() -> Iterator[Any]:
    from tests.payments.stage import running_inference

    with running_inference() as running:
        yield running


@pytest.fixture
async def stage(
    transactional_db: None, temporal_client: Any, task_queue: str, inference: Any, settings: Any
) -> AsyncIterator[Any]:
    """The dev server, a worker of this process, and the inference service over HTTP."""
    from apps.engine.namespace import engine_ensure
    from tests.payments.stage import Stage

    settings.INFERENCE_SERVICE_URL = inference.url
    settings.INFERENCE_TIMEOUT_SECONDS = 2.0
    settings.INFERENCE_PROBE_SECONDS = 0.2
    await engine_ensure(temporal_client)
    stage = Stage(client=temporal_client, queue=task_queue, inference=inference)
    async with stage.working(slots=24):
        yield stage


@pytest.fixture
def people(transactional_db: None) -> Any:
    """The demo's people, committed: threads see them."""
    from tests.payments.world import people_of

    return people_of()
