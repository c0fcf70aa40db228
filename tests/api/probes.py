"""An API of the tests' own, with the product's parser, handlers and authentication, whose
operations raise what real ones may. Used as ROOT_URLCONF."""

from typing import Annotated, Any

from django.contrib import admin
from django.db import DataError, OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path, re_path
from ninja import Schema
from psycopg_pool import PoolTimeout
from pydantic import Field

from apps.accounts.auth import api_auth, require
from apps.accounts.models import User
from apps.common.errors import Conflict, Unavailable
from config import problems
from config.api import CountersignAPI, StrictParser, guarded, unknown_address

api = CountersignAPI(
    title="probes",
    version="probes",
    urls_namespace="probes",
    auth=api_auth,
    parser=StrictParser(),
    docs_decorator=guarded,
)
problems.install(api)


class Note(Schema):
    text: str
    number: Annotated[int, Field(le=10**9)] = 0


@api.get("/whoami")
def whoami(request: HttpRequest) -> dict[str, Any]:
    user = require(request, scope="budgets:read")
    return {"username": user.username}


@api.get("/needs")
def needs(request: HttpRequest) -> dict[str, Any]:
    require(request, scope="budgets:read", permission="interventions.view_budget")
    return {}


@api.post("/notes")
def notes(request: HttpRequest, body: Note) -> dict[str, Any]:
    return {"text": body.text, "number": body.number}


@api.post("/anything")
def anything(request: HttpRequest) -> dict[str, Any]:
    return {"size": len(request.body)}


@api.get("/users")
def users(request: HttpRequest, name: str) -> dict[str, Any]:
    return {"count": User.objects.filter(username=name).count()}


@api.get("/raise/{kind}")
def fail(request: HttpRequest, kind: str) -> dict[str, Any]:
    match kind:
        case "conflict":
            raise Conflict("too late", code="already_decided", decided_by="Ngozi", status="x")
        case "unavailable":
            raise Unavailable("engine")
        case "missing":
            raise Http404
        case "operational":
            raise OperationalError("server closed the connection: secret-host")
        case "pool":
            raise OperationalError from PoolTimeout("no connection")
        case "data":
            raise DataError("value too long")
        case "number":
            with connection.cursor() as cursor:
                cursor.execute("SELECT 99999999999::int")
        case "bug":
            raise KeyError("secret-internal-name")
    return {}


def outside(request: HttpRequest) -> HttpResponse:
    """A plain Django view below /api/ that fails."""
    if request.GET.get("kind") == "database":
        raise OperationalError("secret-host")
    raise KeyError("secret-internal-name")


urlpatterns = [
    path("", include("apps.accounts.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("api/outside", outside),
    re_path(r"^api/", unknown_address),
    # The frame of the error pages links to the rest of the site.
    path("", include("apps.console.urls")),
    path("", include("apps.approvals.urls")),
    path("", include("apps.interventions.urls")),
    path("", include("apps.wallets.urls")),
    path("", include("apps.bookings.urls")),
]
