import threading

import pytest
from asgiref.testing import ApplicationCommunicator
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

from config.handler import OneThreadHandler

seen: list[int] = []


class Noting(MiddlewareMixin):
    """Most middleware is made this way."""

    def process_request(self, request: HttpRequest) -> None:
        seen.append(threading.get_ident())

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        seen.append(threading.get_ident())
        return response


def view(request: HttpRequest) -> HttpResponse:
    seen.append(threading.get_ident())
    return HttpResponse("said")


async def asynchronous(request: HttpRequest) -> HttpResponse:
    return HttpResponse("said")


urlpatterns = [path("sync", view), path("async", asynchronous)]


async def answered(where: str) -> bytes:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": where,
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    # A handler of the test's own: the middleware is read when it is made.
    client = ApplicationCommunicator(OneThreadHandler(), scope)
    await client.send_input({"type": "http.request", "body": b""})
    start = await client.receive_output(10)
    assert start["status"] == 200
    body: bytes = (await client.receive_output(10))["body"]
    await client.wait(10)
    return body


@pytest.fixture(autouse=True)
def _site() -> object:
    seen.clear()
    middleware = [f"{__name__}.Noting", f"{__name__}.Noting"]
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=middleware):
        yield


async def test_middleware_and_view_run_in_one_thread_that_is_not_the_event_loops() -> None:
    assert await answered("/sync") == b"said"
    assert len(seen) == 5 and len(set(seen)) == 1
    assert threading.get_ident() not in seen


async def test_an_asynchronous_view_is_answered_too() -> None:
    assert await answered("/async") == b"said"
