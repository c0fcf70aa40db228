"""Answers `/health` and `/ready` before any other middleware runs."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from apps.engine.views import health as views

Probe = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

_PROBES: dict[str, Probe] = {"/health": views.health, "/ready": views.ready}


def register(path: str, probe: Probe) -> None:
    """Answer this path as `/health` is. Needs no login: the answer names no addresses."""
    _PROBES[path] = probe


@sync_and_async_middleware
def probes(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answer probes. Must be the first in MIDDLEWARE.

    Behind the others, a probe would depend on what it reports about: sessions are read from
    PostgreSQL, orchestrators call by addresses that ALLOWED_HOSTS does not list, and every probe
    would add two log lines.
    """
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            view = _PROBES.get(request.path_info)
            return await (view or get_response)(request)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        view = _PROBES.get(request.path_info)
        response: HttpResponseBase = async_to_sync(view)(request) if view else get_response(request)
        return response

    return synchronous
