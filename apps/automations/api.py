"""API of automations and of their definitions. Mounted at /api/v1/automations."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict

from apps.accounts.auth import require
from apps.automations import definition
from apps.automations.contracts import Runner
from apps.automations.forms import AutomationFilter
from apps.automations.models import Automation, AutomationVersion
from apps.automations.scopes import Scope
from apps.automations.services import definitions
from apps.automations.services.definitions import VIEW
from apps.automations.workflow_api import IssueOut
from apps.common.api import Cursor, Limit, Line, NumberCursor, Reason, Unjudged
from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.common.pagination import numbered_page, page
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered

router = Router(tags=["automations"])

Definition = Annotated[dict[str, Any], Field(description="As /automations/schema says.")]


class AutomationIn(Schema):
    """`runner` local: runs without the engine, in the process that takes the request."""

    model_config = ConfigDict(extra="forbid")

    code: Unjudged
    title: Line
    runner: Runner = Runner.ENGINE
    definition: Definition


class AutomationChange(Schema):
    """What is left out stays."""

    model_config = ConfigDict(extra="forbid")

    title: Line | None = None
    runner: Runner | None = None
    enabled: bool | None = None
    reason: Reason = ""


class VersionIn(Schema):
    """`version`: the number of the newest that the author knows of."""

    model_config = ConfigDict(extra="forbid")

    definition: Definition
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class AutomationOut(Schema):
    """`newest`: number of its newest version; `valid`: of the newest one without issues, 0 for
    none."""

    code: str
    title: str
    runner: Runner
    enabled: bool
    newest: int
    valid: int
    created_by: str = Field(validation_alias="created_by.username")
    created_at: datetime
    updated_at: datetime


class AutomationPage(Schema):
    items: list[AutomationOut]
    next: str | None


class VersionRef(Schema):
    number: int
    name: str
    digest: str
    nodes: int
    valid: bool
    author: str = Field(validation_alias="author.username")
    created_at: datetime

    @staticmethod
    def resolve_valid(row: AutomationVersion) -> bool:
        """Return whether the version has no issues."""
        return not row.issues


class VersionOut(VersionRef):
    definition: dict[str, Any] = Field(validation_alias="document")
    issues: list[IssueOut]


class VersionPage(Schema):
    items: list[VersionRef]
    next: str | None


# --- definitions ----------------------------------------------------------------------------------
@router.get("/schema", response=dict[str, Any])
def automation_schema(request: HttpRequest) -> dict[str, Any]:
    """The JSON Schema of a definition."""
    require(request, scope=Scope.AUTOMATIONS_READ)
    return definition.schema()


# --- automations ----------------------------------------------------------------------------------
@router.post("", response={200: AutomationOut, 201: AutomationOut})
def automation_create(request: HttpRequest, body: AutomationIn) -> Status[Automation]:
    """Make an automation with its first version. A definition with issues is kept as a draft, which
    cannot be run. The same again by the same person: the same one, with 200."""
    user = require(request, scope=Scope.AUTOMATIONS_WRITE)
    row, new = definitions.automation_create(
        code=body.code,
        title=body.title,
        runner=body.runner,
        document=body.definition,
        by=user,
        via="api",
        as_of=timezone.now(),
    )
    return Status(201 if new else 200, row)


@router.get("", response=AutomationPage)
@filtered(AutomationFilter)
def automation_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """All of them, newest first."""
    user = require(request, scope=Scope.AUTOMATIONS_READ, permission=VIEW)
    rows = Automation.objects.select_related("created_by")
    return page(narrow(rows, user=user), cursor=cursor, limit=limit)


@router.get("/{code}", response=AutomationOut)
def automation_read(request: HttpRequest, code: str) -> Automation:
    """One automation."""
    require(request, scope=Scope.AUTOMATIONS_READ, permission=VIEW)
    return definitions.automation_of(code)


@router.patch("/{code}", response=AutomationOut)
def automation_change(request: HttpRequest, code: str, body: AutomationChange) -> Automation:
    """Rename it, switch it on or off, choose what runs it. What runs already goes on."""
    user = require(request, scope=Scope.AUTOMATIONS_WRITE)
    return definitions.automation_change(
        code=code, **body.dict(exclude_unset=True), by=user, via="api", as_of=timezone.now()
    )


@router.get("/{code}/versions", response=VersionPage)
def version_list(
    request: HttpRequest, code: str, cursor: NumberCursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """Its versions, newest first."""
    require(request, scope=Scope.AUTOMATIONS_READ, permission=VIEW)
    rows = definitions.automation_of(code).versions.select_related("author").defer("text")
    return numbered_page(rows, cursor=cursor, limit=limit, order="-number")


@router.post("/{code}/versions", response={200: VersionOut, 201: VersionOut})
def version_create(request: HttpRequest, code: str, body: VersionIn) -> Status[AutomationVersion]:
    """Write the next version. What the newest one says already makes none, and answers 200."""
    user = require(request, scope=Scope.AUTOMATIONS_WRITE)
    row, new = definitions.version_add(
        code=code,
        document=body.definition,
        version=body.version,
        by=user,
        via="api",
        as_of=timezone.now(),
    )
    return Status(201 if new else 200, row)


@router.get("/{code}/versions/{number}", response=VersionOut)
def version_read(request: HttpRequest, code: str, number: int) -> AutomationVersion:
    """One version with its definition and what is wrong with it."""
    require(request, scope=Scope.AUTOMATIONS_READ, permission=VIEW)
    rows = definitions.automation_of(code).versions.select_related("author")
    return row_of(rows, NotFound(_("There is no such version.")), number=min(number, 2**31 - 1))
