"""API of executions. Mounted at /api/v1/workflow."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Body, Header, Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.automations.checking import issues_of
from apps.automations.contracts import ExecutionStatus, NodeStatus, NodeType
from apps.automations.forms import ExecutionFilter
from apps.automations.models import Execution, ExecutionEvent, NodeRun
from apps.automations.scopes import Scope
from apps.automations.services import requesting, stopping
from apps.automations.services.reading import execution_of, node_of, status_of
from apps.automations.services.requesting import RELATED
from apps.automations.services.rows import graph_of
from apps.common.api import Cursor, ErrorOut, Limit, ReasonIn, error_of, why
from apps.common.errors import Invalid, NotFound
from apps.common.language import lazy as _
from apps.common.pagination import numbered_page, page
from apps.web.filters import Narrow, filtered

router = Router(tags=["automations"])

#: The header by which a repeated request is known.
IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", max_length=120)]
#: The number of the last event seen.
EventCursor = Annotated[str | None, Query(max_length=18)]


class IssueOut(Schema):
    """What is wrong with a definition. `path`: a JSON pointer into it."""

    code: str
    detail: str
    path: str
    node: str | None
    edge: str | None
    hint: str


class ValidationOut(Schema):
    """Without issues the definition can be run."""

    valid: bool
    issues: list[IssueOut]


class ExecutionRef(Schema):
    """`execution_id` is the workflow's id too."""

    execution_id: str = Field(validation_alias="workflow_id")
    workflow_id: str
    status: ExecutionStatus


class Progress(Schema):
    """Nodes that have come to an end, of all."""

    done: int
    total: int


class StatusOut(Schema):
    """`result`: the output of the only node that none follows, or an object of several by id, once
    the execution is completed."""

    execution_id: str
    status: ExecutionStatus
    progress: Progress
    nodes: dict[str, NodeStatus]
    result: Any
    error: ErrorOut | None


class HistoryEvent(Schema):
    """`node` is empty for the execution itself."""

    at: datetime
    node: str = Field(validation_alias="node_id")
    event: str
    detail: str


class HistoryOut(Schema):
    execution_id: str
    events: list[HistoryEvent]
    next: str | None


class ExecutionOut(ExecutionRef):
    """`attempt`: of the run, since it was last resumed. `runner`: what carries it."""

    id: UUID
    name: str = Field(validation_alias="definition.name")
    automation: str | None
    version: int = Field(validation_alias="definition.number")
    runner: str
    attempt: int
    progress: Progress
    requested_by: str | None
    created_at: datetime
    settled_at: datetime | None
    error: ErrorOut | None

    resolve_error = staticmethod(error_of)

    @staticmethod
    def resolve_automation(row: Execution) -> str | None:
        """Return the code of its automation."""
        automation = row.definition.automation
        return automation.code if automation else None

    @staticmethod
    def resolve_requested_by(row: Execution) -> str | None:
        """Return who asked for it; None: somebody in the engine."""
        return row.requested_by.username if row.requested_by else None

    @staticmethod
    def resolve_progress(row: Execution) -> dict[str, int]:
        """Return how far it is."""
        return {"done": row.done, "total": row.definition.nodes}


class ExecutionPage(Schema):
    items: list[ExecutionOut]
    next: str | None


class NodeOut(Schema):
    """A node of an execution. `tries` counts those of all attempts; `output` is what the nodes
    after it read; `request_id`: the request that it waits for."""

    node: str
    type: NodeType
    status: NodeStatus
    outcome: str
    tries: int
    output: Any
    error: ErrorOut | None
    started_at: datetime | None
    ended_at: datetime | None
    wake_at: datetime | None
    request_id: UUID | None


class ResumeIn(Schema):
    """With `from_node`: a new execution, which begins at this node and takes over what does not
    come after it."""

    model_config = ConfigDict(extra="forbid")

    from_node: Annotated[str, Field(min_length=1, max_length=100)] | None = None


# --- asking ---------------------------------------------------------------------------------------
@router.post("/validate", response=ValidationOut)
@router.post("/validate/", response=ValidationOut, include_in_schema=False)
def definition_validate(request: HttpRequest, body: Annotated[Any, Body(...)]) -> dict[str, Any]:
    """Everything that is wrong with a definition, at once. Nothing is stored."""
    require(request, scope=Scope.AUTOMATIONS_READ)
    issues = issues_of(body)
    return {"valid": not issues, "issues": [issue.as_json() for issue in issues]}


@router.post("/execute", response={200: ExecutionRef, 202: ExecutionRef})
@router.post("/execute/", response={200: ExecutionRef, 202: ExecutionRef}, include_in_schema=False)
def execution_request(
    request: HttpRequest, body: Annotated[Any, Body(...)], idempotency_key: IdempotencyKey = ""
) -> Status[Execution]:
    """Execute a definition, with optional `params`, or an automation: `{definition_id, params}`,
    with its code or id. The same `Idempotency-Key` again answers with the same execution, and 200.

    A definition needs the scopes automations:write and automations:run, an automation the latter.
    """
    user = require(request, scope=Scope.AUTOMATIONS_RUN)
    asked = _asked(body)
    if "document" in asked:
        require(request, scope=Scope.AUTOMATIONS_WRITE)
    row, new = requesting.execution_request(
        **asked,
        by=user,
        via="api",
        idempotency_key=idempotency_key,
        as_of=timezone.now(),
    )
    return Status(202 if new else 200, row)


# --- reading --------------------------------------------------------------------------------------
@router.get("/executions", response=ExecutionPage)
@filtered(ExecutionFilter)
def execution_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """One's own executions, or all with the permission, newest first."""
    user = require(request, scope=Scope.AUTOMATIONS_READ)
    rows = Execution.objects.visible_to(user).for_list()
    return page(narrow(rows, user=user), cursor=cursor, limit=limit)


@router.get("/status/{execution_id}", response=StatusOut)
@router.get("/status/{execution_id}/", response=StatusOut, include_in_schema=False)
def execution_status(request: HttpRequest, execution_id: str) -> dict[str, Any]:
    """How far an execution is."""
    return status_of(_seen(request, execution_id, *RELATED))


@router.get("/history/{execution_id}", response=HistoryOut)
@router.get("/history/{execution_id}/", response=HistoryOut, include_in_schema=False)
def execution_history(
    request: HttpRequest, execution_id: str, cursor: EventCursor = None, limit: Limit = 200
) -> dict[str, Any]:
    """What happened to an execution and its nodes, oldest first."""
    row = _seen(request, execution_id)
    events = ExecutionEvent.objects.filter(execution=row)
    found = numbered_page(events, cursor=cursor, limit=limit, order="id", digits=18)
    return {"execution_id": row.workflow_id, "events": found["items"], "next": found["next"]}


@router.get("/executions/{execution_id}/nodes/{path:node}", response=NodeOut)
def execution_node(request: HttpRequest, execution_id: str, node: str) -> dict[str, Any]:
    """A node of an execution, with its output."""
    row = _seen(request, execution_id, *RELATED)
    return _node(row, node)


# --- verbs ----------------------------------------------------------------------------------------
@router.post("/cancel/{execution_id}", response=ExecutionRef)
def execution_cancel(
    request: HttpRequest, execution_id: str, body: ReasonIn | None = None
) -> Execution:
    """Cancel an execution. What is under way is cut off, open requests are closed."""
    user = require(request, scope=Scope.AUTOMATIONS_RUN)
    row = execution_of(execution_id, by=user)
    return stopping.execution_cancel(
        execution_id=row.pk, by=user, via="api", reason=why(body), as_of=timezone.now()
    )


@router.post("/resume/{execution_id}", response={200: ExecutionRef, 202: ExecutionRef})
def execution_resume(
    request: HttpRequest,
    execution_id: str,
    body: ResumeIn | None = None,
    idempotency_key: IdempotencyKey = "",
) -> Status[Execution]:
    """Run what has failed, and what it blocked, once more; what has finished never runs again. With
    `from_node`: run it again from there, as a new execution."""
    user = require(request, scope=Scope.AUTOMATIONS_RUN)
    row = execution_of(execution_id, by=user)
    if body is None or body.from_node is None:
        return Status(202, _resumed(row, user))
    made, new = stopping.execution_repeat(
        execution_id=row.pk,
        from_node=body.from_node,
        by=user,
        via="api",
        idempotency_key=idempotency_key,
        as_of=timezone.now(),
    )
    return Status(202 if new else 200, made)


# --- helpers --------------------------------------------------------------------------------------
def _asked(body: Any) -> dict[str, Any]:
    """Return what is to be executed: an automation by its name, or a document."""
    if not isinstance(body, dict):
        raise Invalid(_("A definition is an object."), code="definition_not_an_object")
    params = body.get("params")
    if "definition_id" not in body:
        document = {name: value for name, value in body.items() if name != "params"}
        return {"document": document, "params": params}
    name = body["definition_id"]
    if not isinstance(name, str) or not name or set(body) - {"definition_id", "params"}:
        raise Invalid(
            _("Name an automation in definition_id, with params, and nothing else."),
            code="definition_id_invalid",
        )
    return {"automation": name, "params": params}


def _seen(request: HttpRequest, execution_id: str, *related: str) -> Execution:
    user: User = require(request, scope=Scope.AUTOMATIONS_READ)
    return execution_of(execution_id, by=user, related=related)


def _resumed(row: Execution, user: User) -> Execution:
    return stopping.execution_resume(execution_id=row.pk, by=user, via="api", as_of=timezone.now())


def _node(execution: Execution, node_id: str) -> dict[str, Any]:
    graph = graph_of(execution)
    if node_id not in graph.places:
        raise NotFound(_("There is no such node."))
    row = node_of(execution, node_id) or NodeRun(node_id=node_id, status=NodeStatus.PENDING)
    return {
        "node": node_id,
        "type": graph.type(graph.places[node_id]),
        "status": row.status,
        "outcome": row.outcome,
        "tries": row.tries,
        "output": row.value,
        "error": error_of(row),
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "wake_at": row.wake_at,
        "request_id": row.request_id,
    }
