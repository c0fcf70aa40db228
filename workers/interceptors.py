"""Interceptors around every activity: connections, errors, logs, metrics, correlation.

The correlation id travels as a header: from the caller that starts a workflow, through the
workflow, to its activities and children. A replay does not compare headers.
"""

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.db import connections
from psycopg_pool import PoolTimeout
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ContinueAsNewInput,
    ExecuteActivityInput,
    Interceptor,
    StartActivityInput,
    StartChildWorkflowInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from apps.common import correlation
from apps.common.errors import DomainError, Unavailable
from apps.common.failpoints import failpoint
from apps.engine.headers import CORRELATION_HEADER
from workers import metrics
from workers.run_observer import BUSY

logger = correlation.get_logger("workers.activities")

#: How long a local step waits for a connection. Less than its two seconds, so that its thread is
#: free again when the step goes remote; the SDK frees the slot at once, whatever the thread does.
LOCAL_CONNECTION_SECONDS = 1.5


class WorkerInterceptor(Interceptor):
    """The interceptor of all our workers."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Activity(next)

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        return _Workflow


# --- activities ---------------------------------------------------------------------------------
class _Activity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        ids = {
            "workflow_id": info.workflow_id or "",
            "run_id": info.workflow_run_id or "",
            "workflow_type": info.workflow_type or "",
            "activity": info.activity_type,
            "activity_id": info.activity_id,
            "attempt": str(info.attempt),
        }
        correlation_id = _correlation_id(input.headers) or info.workflow_id or ""
        if not inspect.iscoroutinefunction(input.fn):
            input.fn = _in_thread(input.fn, name=info.activity_type, local=info.is_local)
        started = time.monotonic()
        status = "failure"
        # The SDK copies the context into the activity's thread, so its log lines carry the ids.
        with correlation.correlated(correlation_id, **ids), BUSY.activity(info.workflow_run_id):
            try:
                result = await self.next.execute_activity(input)
                status = "success"
                return result
            except (CancelledError, asyncio.CancelledError) as error:
                if _worker_stops():
                    # The workflow did not ask for this: the attempt is over, and another worker
                    # takes the next.
                    logger.warning("activity.interrupted_by_shutdown")
                    raise ApplicationError(
                        "the worker was stopped", type="worker_stopped"
                    ) from error
                status = "cancelled"
                logger.info("activity.cancelled")
                raise
            except DomainError as refusal:
                raise _application_error(refusal) from refusal
            except ApplicationError as error:
                logger.warning("activity.failed", code=error.type, error=str(error))
                raise
            except Exception as error:
                # Temporal does not report the error until the last attempt.
                logger.exception("activity.failed", error=f"{type(error).__name__}: {error}")
                raise
            finally:
                metrics.activity_done(
                    info.activity_type, status=status, seconds=time.monotonic() - started
                )


def _in_thread(fn: Callable[..., Any], *, name: str, local: bool) -> Callable[..., Any]:
    """Wrap `fn` so that it closes its thread's database connections when it ends.

    In the activity's own thread: connections are thread-local, and a connection kept by an idle
    thread is missing in the pool (half of the activities then time out waiting).
    """

    @wraps(fn)
    def run(*args: Any) -> Any:
        # The SDK raises cancellation in this thread at any point, even between the acquisition of a
        # lock and the `try` that releases it. A process-wide lock (Django's translations, the
        # connection pool) would then be held for ever, and every thread would wait for it. The
        # shield delays the exception to its end; a step is short, and a long one checks
        # `is_cancelled`.
        with activity.shield_thread_cancel_exception():
            if local:
                _PATIENCE.wait()
            try:
                failpoint(f"{name}.before")
                result = fn(*args)
                # Its effect is committed, and the workflow does not know it yet.
                failpoint(f"{name}.after")
                return result
            finally:
                connections.close_all()

    return run


class _Patience:
    """Limits a local step's wait for the pool; after a wait in vain, steps do not wait at all.

    During an outage one step a second tries; the others go remote at once instead of holding a
    workflow-task slot for two seconds each. Costs nothing while the pool has idle connections,
    which is nearly always.
    """

    def __init__(self) -> None:
        self._in_vain_until = 0.0

    def wait(self) -> None:
        """Return when a connection is probably available; raise ApplicationError (retryable)
        otherwise."""
        pool = getattr(connections["default"], "pool", None)
        if pool is None or pool.closed or pool.get_stats().get("pool_available", 0) > 0:
            return
        if time.monotonic() < self._in_vain_until:
            raise _no_connection()
        try:
            pool.putconn(pool.getconn(timeout=LOCAL_CONNECTION_SECONDS))
        except PoolTimeout as error:
            self._in_vain_until = time.monotonic() + 1.0
            raise _no_connection() from error


_PATIENCE = _Patience()


def _no_connection() -> ApplicationError:
    return ApplicationError(
        "no database connection within the local step's time", type="database_unavailable"
    )


def _worker_stops() -> bool:
    details = activity.cancellation_details()
    return bool(details and details.worker_shutdown and not details.cancel_requested)


def _application_error(refusal: DomainError) -> ApplicationError:
    """Return the refusal with its stable code. Only `Unavailable` is retryable."""
    retryable = isinstance(refusal, Unavailable)
    logger.log(
        30 if retryable else 20, "activity.refused", code=refusal.code, detail=refusal.detail
    )
    return ApplicationError(
        refusal.detail,
        type=refusal.code,
        non_retryable=not retryable,
        next_retry_delay=refusal.retry_after if isinstance(refusal, Unavailable) else None,
    )


def _correlation_id(headers: Mapping[str, Payload]) -> str:
    payload = headers.get(CORRELATION_HEADER)
    if payload is None:
        return ""
    try:
        return str(activity.payload_converter().from_payload(payload, str))[:80]
    except Exception:
        # A foreign header of the same name must not stop the work.
        return ""


# --- workflows ----------------------------------------------------------------------------------
class _Workflow(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    """Passes the workflow's correlation header to what it starts."""

    def start_activity(self, input: StartActivityInput) -> Any:
        input.headers = _handed_on(input.headers)
        return super().start_activity(input)

    def start_local_activity(self, input: StartLocalActivityInput) -> Any:
        input.headers = _handed_on(input.headers)
        return super().start_local_activity(input)

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> Any:
        input.headers = _handed_on(input.headers)
        return await super().start_child_workflow(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> Any:
        input.headers = _handed_on(input.headers)
        return super().continue_as_new(input)


def _handed_on(headers: Mapping[str, Payload]) -> Mapping[str, Payload]:
    payload = workflow.info().headers.get(CORRELATION_HEADER)
    return {**headers, CORRELATION_HEADER: payload} if payload is not None else headers
