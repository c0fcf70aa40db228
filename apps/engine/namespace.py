"""Prepares the Temporal server for our workflows: namespace, retention, search attributes."""

from datetime import timedelta

from django.conf import settings
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from apps.common import correlation
from apps.engine import client as engine_client
from apps.engine.contracts import KIND_ATTRIBUTE, SUBJECT_ATTRIBUTE

logger = correlation.get_logger(__name__)

#: Keyword search attributes that every installation has.
ATTRIBUTES = (SUBJECT_ATTRIBUTE, KIND_ATTRIBUTE)
_CALL = timedelta(seconds=5)
#: Refusals that repeating does not change: an operator has to act on the server.
_REFUSALS = {
    RPCStatusCode.PERMISSION_DENIED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.UNIMPLEMENTED,
}


async def engine_ensure(client: Client | None = None) -> bool:
    """Create or update namespace, retention and search attributes from the settings; return True
    when they are as set.

    Idempotent; several processes may run it at once. If the server does not allow it (a managed
    service, a key with few rights), log what an operator has to do and continue. Raises RPCError or
    RuntimeError when the server cannot be reached.
    """
    if client is None:
        client = await engine_client.connect()
    results = [await _namespace(client), await _attributes(client)]
    return all(results)


async def _namespace(client: Client) -> bool:
    retention = Duration(seconds=settings.TEMPORAL_RETENTION_DAYS * 24 * 3600)
    service = client.workflow_service
    try:
        try:
            found = await service.describe_namespace(
                DescribeNamespaceRequest(namespace=client.namespace), timeout=_CALL
            )
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            await service.register_namespace(
                RegisterNamespaceRequest(
                    namespace=client.namespace, workflow_execution_retention_period=retention
                ),
                timeout=_CALL,
            )
            logger.info("namespace registered", namespace=client.namespace)
            return True
        if found.config.workflow_execution_retention_ttl.seconds != retention.seconds:
            await service.update_namespace(
                UpdateNamespaceRequest(
                    namespace=client.namespace,
                    config=NamespaceConfig(workflow_execution_retention_ttl=retention),
                ),
                timeout=_CALL,
            )
            logger.info("retention set", days=settings.TEMPORAL_RETENTION_DAYS)
        return True
    except RPCError as error:
        return _tolerate(error, "namespace and retention", client)


async def _attributes(client: Client) -> bool:
    service = client.operator_service
    try:
        known = await service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), timeout=_CALL
        )
        missing = [name for name in ATTRIBUTES if name not in known.custom_attributes]
        if missing:
            keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
            await service.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=client.namespace,
                    search_attributes={name: keyword for name in missing},
                ),
                timeout=_CALL,
            )
            logger.info("search attributes added", names=missing)
        return True
    except RPCError as error:
        return _tolerate(error, f"search attributes {', '.join(ATTRIBUTES)} (Keyword)", client)


def _tolerate(error: RPCError, what: str, client: Client) -> bool:
    """Re-raise what may pass by itself; log what an operator must do."""
    if error.status == RPCStatusCode.ALREADY_EXISTS:
        return True
    if error.status == RPCStatusCode.NOT_FOUND:
        # After its registration, the parts of the server learn of a namespace within seconds.
        return False
    if error.status not in _REFUSALS:
        raise error
    logger.warning(
        "the server does not let us set it up: an operator has to",
        what=what,
        namespace=client.namespace,
        error=str(error),
    )
    return False
