"""Maps errors of the API to problem documents (RFC 9457). Their codes are part of the API.

The handlers cover errors inside an operation; the middleware covers Django's own responses: unknown
URLs, wrong methods, refused hosts, failures in other middleware. Outside the API the middleware
only shows a page while the database is away.
"""

import json
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.serializers.json import DjangoJSONEncoder
from django.core.signals import got_request_exception
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.decorators import sync_and_async_middleware
from django.utils.translation import gettext
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from apps.audit.doors import denial_record
from apps.common.correlation import get_logger
from apps.common.errors import DomainError
from apps.common.language import lazy as _

CONTENT_TYPE = "application/problem+json"
PREFIX = "/api/"
#: Statuses that any operation can answer with, besides its own.
DOCUMENTED = (400, 401, 403, 404, 409, 413, 422, 429, 500, 503)

#: Members of a problem document that `extra` must not replace.
_OWN = ("type", "title", "status", "code", "detail")
_CODES = {
    400: "bad_request",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}
_DETAILS = {
    "not_authenticated": _("Send a key in X-API-Key, or sign in."),
    "malformed_json": _("The body is not a JSON document."),
    "too_large": _("The request is larger than this server takes."),
    "invalid_text": _("A text holds characters that cannot be stored, or is too long."),
    "out_of_range": _("A number or date is out of range."),
    "database_unavailable": _("The database does not answer. Nothing was changed; try again."),
    "internal": _("Something failed here. It is in the log under the request's id."),
    "method_not_allowed": _("This address does not know the method; see Allow."),
}
#: SQLSTATEs of class 22 that are about numbers and times, not texts.
_NUMERIC = frozenset({"22003", "22007", "22008", "22P03"})

#: After this time a person, or an open page, may try again.
PAGE_RETRY_SECONDS = "5"

log = get_logger(__name__)


def problem(*, status: int, code: str, detail: str = "", **extra: Any) -> HttpResponse:
    """Return a problem document. `type` is a stable URN of the code; extra members follow the
    standard ones."""
    document = {
        "type": f"urn:countersign:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail or str(_DETAILS.get(code, HTTPStatus(status).description)),
        **{name: value for name, value in extra.items() if name not in _OWN},
    }
    # ASCII only: a lone surrogate in a refused text would not survive encoding.
    content = json.dumps(document, cls=_Encoder)
    response = HttpResponse(content, status=status, content_type=CONTENT_TYPE)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = "1"
    elif status == HTTPStatus.TOO_MANY_REQUESTS and "retry_after" in extra:
        response["Retry-After"] = str(extra["retry_after"])
    return response


def install(api: NinjaAPI) -> None:
    """Register the handlers; the most specific class of an error wins."""
    for error, handler in _HANDLERS.items():
        api.add_exception_handler(error, handler)


class _Encoder(DjangoJSONEncoder):
    """Encodes whatever a domain error carries as text, without failing."""

    def default(self, o: Any) -> Any:
        try:
            return super().default(o)
        except TypeError:
            return str(o)


# --- inside an operation ------------------------------------------------------------------------
def _domain(request: HttpRequest, error: DomainError) -> HttpResponse:
    denial_record(request, error)
    # An extra may have the name of a standard member (a request's own `status`).
    extra = {name: value for name, value in error.extra.items() if name not in _OWN}
    return problem(status=error.status, code=error.code, detail=error.detail, **extra)


def _validation(request: HttpRequest, error: ValidationError) -> HttpResponse:
    # Without `input` and `ctx`: the sender knows its input, and `ctx` may hold exceptions.
    errors = [
        {"loc": list(item["loc"]), "type": item["type"], "msg": item["msg"]}
        for item in error.errors
    ]
    first = errors[0] if errors else {"loc": [], "msg": ""}
    detail = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return problem(status=422, code="validation_error", detail=detail, errors=errors)


def _authentication(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return problem(status=401, code="not_authenticated")


def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    cause = error.__cause__
    if isinstance(cause, DomainError):
        return _domain(request, cause)  # our parser's own refusal, wrapped by the framework
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return problem(status=400, code="malformed_json")
    code = _CODES.get(error.status_code, "http_error")
    return problem(status=error.status_code, code=code, detail=error.message)


def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    denial_record(request, error)
    return problem(status=404, code="not_found", detail=gettext("There is no such object."))


def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return problem(status=413, code="too_large")


def _bad_request(request: HttpRequest, error: Exception) -> HttpResponse:
    return problem(status=400, code="bad_request")


def _data(request: HttpRequest, error: DataError) -> HttpResponse:
    # The schemas should have caught it: log a warning.
    log.warning("api_data_error", error=str(error), path=request.path)
    numeric = getattr(error.__cause__, "sqlstate", None) in _NUMERIC
    return problem(status=422, code="out_of_range" if numeric else "invalid_text")


def _encoding(request: HttpRequest, error: UnicodeError) -> HttpResponse:
    return problem(status=422, code="invalid_text")


def _database(request: HttpRequest, error: Exception) -> HttpResponse:
    log.warning("api_database_unavailable", error=str(error), path=request.path)
    return problem(status=503, code="database_unavailable")


def _internal(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("api_internal_error", path=request.path, method=request.method, exc_info=error)
    return problem(status=500, code="internal")


_HANDLERS: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
    Exception: _internal,
    DomainError: _domain,
    ValidationError: _validation,
    AuthenticationError: _authentication,
    HttpError: _http,
    Http404: _not_found,
    RequestDataTooBig: _too_large,
    SuspiciousOperation: _bad_request,
    MultiPartParserError: _bad_request,
    UnreadablePostError: _bad_request,
    DataError: _data,
    UnicodeEncodeError: _encoding,
    # psycopg's PoolTimeout arrives as OperationalError; a session that was cut, as either.
    OperationalError: _database,
    InterfaceError: _database,
}


# --- beside the operations ----------------------------------------------------------------------
@sync_and_async_middleware
def problem_middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[..., Any]:
    """Turn all other error responses below /api/ into problem documents, and failures elsewhere
    that an outage of the database caused into 503. Must be the outermost middleware, because
    sessions are also in the database."""
    got_request_exception.connect(_remember, dispatch_uid="config.problems")

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            return _worded(request, await get_response(request))

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        return _worded(request, get_response(request))

    return synchronous


def _worded(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if response.status_code < 400:
        return response
    if response.get("Content-Type", "").startswith(CONTENT_TYPE):
        return response
    error = getattr(request, "_unhandled", None)
    away = isinstance(error, OperationalError | InterfaceError)
    if not request.path_info.startswith(PREFIX):
        if away and response.status_code == 500:
            return _page(request, response)
        return _form_only(request, response) if response.status_code == 405 else response
    if away:
        return problem(status=503, code="database_unavailable")
    status = 413 if isinstance(error, RequestDataTooBig) else response.status_code
    fresh = problem(status=status, code=_CODES.get(status, "http_error"))
    for name in ("Allow", "Retry-After", "WWW-Authenticate"):
        if name in response:
            fresh[name] = response[name]
    return fresh


def _form_only(request: HttpRequest, refused: HttpResponseBase) -> HttpResponseBase:
    """Show a page where a person opens an address that only takes forms: Django's answer has no
    body, which a browser shows as an empty window."""
    if request.method != "GET" or "HX-Request" in request.headers:
        return refused
    if getattr(refused, "content", b""):
        return refused
    response = HttpResponse(render_to_string("405.html"), status=refused.status_code)
    for name, value in refused.items():
        if name not in ("Content-Type", "Content-Length"):
            response[name] = value
    return response


def _page(request: HttpRequest, failed: HttpResponseBase) -> HttpResponse:
    """Answer 503: a page for a person, or no body for a page that fetches a fragment."""
    log.warning("page_database_unavailable", path=request.path)
    page = ""
    if "HX-Request" not in request.headers:
        reads = request.method in ("GET", "HEAD")
        page = render_to_string("503.html", {"again": request.get_full_path() if reads else ""})
    response = HttpResponse(page, status=HTTPStatus.SERVICE_UNAVAILABLE)
    for name, value in failed.items():
        # Headers from other middleware, above all the content security policy.
        if name not in ("Content-Type", "Content-Length"):
            response[name] = value
    response["Retry-After"] = PAGE_RETRY_SECONDS
    response["Cache-Control"] = "no-store"
    return response


def _remember(sender: Any, request: HttpRequest | None = None, **_unused: Any) -> None:
    """Keep the exception, as the receiver of got_request_exception: the middleware sees only the
    response."""
    if request is not None:
        request._unhandled = sys.exc_info()[1]  # type: ignore[attr-defined]
