"""`/health` and `/ready` of the web process: no login, no session, no query through the ORM."""

import asyncio
from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed, JsonResponse

from apps.common.correlation import get_logger
from apps.engine.probes import PROBES, ProbeFailed, Readiness

logger = get_logger(__name__)


@cache
def _readiness() -> Readiness:
    return Readiness(list(PROBES))


async def health(request: HttpRequest) -> HttpResponseBase:
    """Return 200 as long as the process answers."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    return JsonResponse({"status": "healthy", "service": settings.SERVICE_NAME})


async def ready(request: HttpRequest) -> HttpResponseBase:
    """Return 200 when PostgreSQL, Redis, Temporal, a leading relay and a worker respond; 503 names
    the first that does not, within 5 s, even if it hangs. Needs no login, so only the log has the
    server's message and address."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    # Shielded: the round is shared, and one caller that disconnects must not cancel it for others.
    failed = await asyncio.shield(asyncio.wrap_future(_readiness().start()))
    if failed is not None:
        logger.warning("not_ready", reason=failed.name, error=failed.error)
    error = failed.kind if failed else ""
    return JsonResponse(readiness_body(failed, error=error), status=503 if failed else 200)


def readiness_body(failed: ProbeFailed | None, *, error: str) -> dict[str, str]:
    """Return the document of web and worker; `error` is as much of the reason as the reader may
    know."""
    if failed is None:
        return {"status": "ready", "service": settings.SERVICE_NAME}
    return {"status": "not_ready", "reason": failed.name, "error": error}
