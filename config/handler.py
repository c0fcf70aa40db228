"""Django's ASGI handler with one thread for a whole request."""

from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class OneThreadHandler(ASGIHandler):
    """Runs middleware and view one after the other in the request's thread.

    Our views are synchronous. In an asynchronous chain each middleware would switch from the event
    loop to that thread and back, some twenty times a request, and each time wait for the
    interpreter lock. An asynchronous view also works, on the event loop.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        answer: Any = sync_to_async(self.get_response, thread_sensitive=True)
        response: HttpResponseBase = await answer(request)
        return response
