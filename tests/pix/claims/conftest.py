from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest

from apps.accounts.demo_users import demo_people_ensure
from apps.accounts.models import User
from tests.pix.claims.stage import ClaimStage
from tests.pix.participants import participants


@pytest.fixture
def people(transactional_db: None, settings: Any) -> dict[str, User]:
    settings.DEMO_LOGINS = True
    participants()
    return demo_people_ensure()


@pytest.fixture
def one_person_at_a_time(db: None, settings: Any) -> dict[str, User]:
    """The same in the transaction of the test."""
    settings.DEMO_LOGINS = True
    participants()
    return demo_people_ensure()


@pytest.fixture
async def stage(
    people: dict[str, User], temporal_client: Any, task_queue: str
) -> AsyncIterator[ClaimStage]:
    """The dev server and a worker of this process."""
    from apps.engine.namespace import engine_ensure

    await engine_ensure(temporal_client)
    stage = ClaimStage(client=temporal_client, queue=task_queue, people=people)
    async with stage.working():
        yield stage


@pytest.fixture
async def days(
    people: dict[str, User], time_skipping: Any, task_queue: str
) -> AsyncIterator[ClaimStage]:
    """The server on which thirty days pass at once, and a worker of this process."""
    from apps.engine.contracts import KIND_ATTRIBUTE, SUBJECT_ATTRIBUTE

    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    await time_skipping.client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=time_skipping.client.namespace,
            search_attributes={SUBJECT_ATTRIBUTE: keyword, KIND_ATTRIBUTE: keyword},
        )
    )
    stage = ClaimStage(
        client=time_skipping.client, queue=task_queue, people=people, environment=time_skipping
    )
    async with stage.working():
        yield stage
