"""People and participants of Pix keys, and workers for their workflows."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from apps.accounts.demo_users import demo_people_ensure
from tests.directory import OURS
from tests.pix.infraction_stage import Stage, World
from tests.pix.participants import participants


@pytest.fixture
def pix(transactional_db: None, settings: Any) -> World:
    """People, and one participant that is ours."""
    settings.DEMO_LOGINS = True
    participants(OURS)
    return World(people=demo_people_ensure())


@pytest.fixture
async def infractions(
    pix: World, temporal_client: Any, task_queue: str, settings: Any
) -> AsyncIterator[Stage]:
    """A worker for the queue, at work."""
    from apps.engine.namespace import engine_ensure

    await engine_ensure(temporal_client)
    stage = Stage(client=temporal_client, queue=task_queue, world=pix)
    async with stage.working():
        yield stage


@pytest.fixture
async def skipping_infractions(
    pix: World, time_skipping: Any, task_queue: str
) -> AsyncIterator[Stage]:
    """The same on the time-skipping server: days pass at once."""
    from temporalio.api.enums.v1 import IndexedValueType
    from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest

    from apps.engine.contracts import KIND_ATTRIBUTE, SUBJECT_ATTRIBUTE

    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    await time_skipping.client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=time_skipping.client.namespace,
            search_attributes={SUBJECT_ATTRIBUTE: keyword, KIND_ATTRIBUTE: keyword},
        )
    )
    stage = Stage(
        client=time_skipping.client, queue=task_queue, world=pix, environment=time_skipping
    )
    async with stage.working():
        yield stage
