"""The correlation id in Temporal headers, which workflows pass on to their activities."""

from typing import Any

import temporalio.client
from temporalio.client import SignalWorkflowInput, StartWorkflowInput, WorkflowHandle
from temporalio.converter import default as default_converter

from apps.common import correlation

CORRELATION_HEADER = "correlation-id"


class CorrelationInterceptor(temporalio.client.Interceptor):
    """Adds the bound correlation id to every start and signal that the client sends."""

    def intercept_client(
        self, next: temporalio.client.OutboundInterceptor
    ) -> temporalio.client.OutboundInterceptor:
        return _Outbound(next)


class _Outbound(temporalio.client.OutboundInterceptor):
    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        input.headers = {**input.headers, **_header()}
        return await super().start_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        input.headers = {**input.headers, **_header()}
        await super().signal_workflow(input)


def _header() -> dict[str, Any]:
    bound = correlation.current()
    if not bound:
        return {}
    return {CORRELATION_HEADER: default_converter().payload_converter.to_payload(bound)}
