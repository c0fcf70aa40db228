import asyncio
from typing import Any

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from apps.common.identifiers import new_id
from apps.engine import client as engine_client
from apps.engine import namespace
from tests.engine.conftest import Background
from tests.support import eventually

DAY = 24 * 3600


def test_a_missing_namespace_is_made_with_retention_and_search_attributes(
    background: Background, settings: Any
) -> None:
    settings.TEMPORAL_NAMESPACE = f"made-{new_id().hex[-10:]}"
    settings.TEMPORAL_RETENTION_DAYS = 12
    client = background.run(engine_client.connect())
    # A fresh namespace is known to all parts of the server a moment later.
    eventually(lambda: background.run(namespace.engine_ensure(client)), timeout=20, every=0.5)
    found = background.run(
        client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=settings.TEMPORAL_NAMESPACE)
        )
    )
    assert found.config.workflow_execution_retention_ttl.seconds == 12 * DAY
    attributes = background.run(
        client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=settings.TEMPORAL_NAMESPACE)
        )
    )
    assert set(namespace.ATTRIBUTES) <= set(attributes.custom_attributes)


def test_it_may_be_done_by_several_at_once_and_again(background: Background, settings: Any) -> None:
    settings.TEMPORAL_NAMESPACE = f"made-{new_id().hex[-10:]}"
    client = background.run(engine_client.connect())

    async def together() -> None:
        await asyncio.gather(*(namespace.engine_ensure(client) for _ in range(4)))

    background.run(together())
    eventually(lambda: background.run(namespace.engine_ensure(client)), timeout=20, every=0.5)


class Forbidden:
    """A client whose every administrative call is refused."""

    namespace = "managed"

    def __init__(self, status: RPCStatusCode) -> None:
        self._status = status
        self.workflow_service = self.operator_service = self

    def __getattr__(self, name: str) -> Any:
        async def refuse(*_: object, **__: object) -> None:
            raise RPCError("not for you", self._status, b"")

        return refuse


def test_a_server_that_does_not_let_us_is_tolerated(
    background: Background, caplog: pytest.LogCaptureFixture
) -> None:
    client: Any = Forbidden(RPCStatusCode.PERMISSION_DENIED)
    assert background.run(namespace.engine_ensure(client)) is False
    assert "an operator has to" in caplog.text


def test_a_server_that_is_away_is_not_taken_for_one_that_refuses(background: Background) -> None:
    client: Any = Forbidden(RPCStatusCode.UNAVAILABLE)
    with pytest.raises(RPCError):
        background.run(namespace.engine_ensure(client))


def test_the_engine_fixture_is_set_up(engine: Client, background: Background) -> None:
    assert background.run(namespace.engine_ensure(engine)) is True
