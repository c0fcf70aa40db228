"""`/health/temporal`: whether graphs can run on the engine. No login, no addresses."""

import asyncio
from functools import cache, partial

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed, JsonResponse

from apps.automations.contracts import TASK_QUEUE
from apps.common.correlation import get_logger
from apps.engine.probes import ProbeFailed, Readiness, polled

logger = get_logger(__name__)


@cache
def _readiness() -> Readiness:
    return Readiness(["postgres", "temporal"], worker=partial(polled, TASK_QUEUE))


async def temporal(request: HttpRequest) -> HttpResponseBase:
    """Return 200 when the engine answers and a worker serves the queue, or when the engine is not
    used; 503 otherwise, within 5 s."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    if not settings.ENABLE_TEMPORAL_FEATURES:
        return _answer("disabled", connected=False, worker=False, status=200)
    failed = await asyncio.shield(asyncio.wrap_future(_readiness().start()))
    if failed is None:
        return _answer("healthy", connected=True, worker=True, status=200)
    logger.warning("automations.not_ready", reason=failed.name, error=failed.error)
    return _answer("unhealthy", connected=_connected(failed), worker=False, status=503)


def _connected(failed: ProbeFailed) -> bool:
    # An earlier failure is told first: the engine answered if only the worker is missing.
    return failed.name == "worker"


def _answer(said: str, *, connected: bool, worker: bool, status: int) -> JsonResponse:
    document = {"status": said, "connected": connected, "worker": worker, "task_queue": TASK_QUEUE}
    return JsonResponse(document, status=status)
