"""Django's ASGI handler with one thread for a whole request."""

from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class OneThreadHandler(ASGIHandler):
    """Middleware and view run one after the other in the request's thread.

    Our views are synchronous. With an asynchronous chain around them each middleware would go from
    the event loop into that thread and back, some twenty times a request, and at each turn wait for
    whoever else runs Python just then. An asynchronous view works as well: on the event loop.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        answer: Any = sync_to_async(self.get_response, thread_sensitive=True)
        response: HttpResponseBase = await answer(request)
        return response
