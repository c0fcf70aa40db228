"""The request to execute a definition: by a program, on a page, or by hand in the engine."""

import json
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.audit.contracts import ENGINE, Actor
from apps.automations.contracts import EXECUTION, ExecutionStatus, Runner
from apps.automations.contracts.graph import NodeState
from apps.automations.contracts.messages import Opened, Pauses
from apps.automations.models import Automation, AutomationVersion, Execution
from apps.automations.services.definitions import CHANGE, Written, automation_of
from apps.automations.services.people import check_people
from apps.automations.services.rows import (
    PROCESS,
    Graph,
    changes_between,
    events_add,
    graph_of,
    record,
    stored_of,
)
from apps.automations.services.waking import local_wake
from apps.automations.values import json_of
from apps.common.canonical_json import digest
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.identifiers import new_id
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.strict_json import NotJson, document_of
from apps.common.validation import clean_workflow_id
from apps.engine import process

RUN = "automations.add_execution"
#: So many issues of a definition are told with its refusal.
MOST_TOLD = 20
#: Seconds in which a killed worker is noticed while a node runs: the others wait for it.
LONGEST_HEARTBEAT = 10.0
#: What is read with an execution's row.
RELATED = ("definition__automation", "requested_by")


def execution_request(
    *,
    automation: str = "",
    document: Any = None,
    params: dict[str, Any] | None = None,
    by: User,
    via: str,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[Execution, bool]:
    """Execute an automation, by its code or id, or a definition that came with the request; return
    the execution, and whether it is new.

    Row, audit entry and the start of its workflow commit together. Repeating the key by the same
    person returns the same row. Raises, each audited: NotAllowed `permission_denied`, for a
    definition also to those who may not write any; NotFound `automation_not_found`; Invalid
    `definition_invalid` (extra issues), `definition_not_an_object`, `definition_too_large`,
    `params_invalid`, `approval_needs_engine`, `idempotency_key_invalid`; Conflict
    `automation_disabled`, `automation_draft`, `idempotency_key_reused`.
    """
    with process.audited(PROCESS, "request", by=by, via=via):
        if not by.has_perm(RUN) or (document is not None and not by.has_perm(CHANGE)):
            raise NotAllowed(_("You may not execute this."), code="permission_denied")
        given = _params(params)

        def columns() -> dict[str, Any]:
            if document is not None:
                return _columns(_given(document, author=by, as_of=as_of), Runner.ENGINE, given)
            row = automation_of(automation)
            return _columns(_runnable(row), Runner(row.runner), given)

        return process.ask_once(
            PROCESS,
            columns,
            made=partial(execution_made, by=by, via=via, as_of=as_of),
            by=by,
            key=idempotency_key,
            digest=digest([automation, document, given]),
            related=RELATED,
            as_of=as_of,
        )


def execution_open(*, workflow_id: str, input: dict[str, Any], as_of: datetime) -> Opened:
    """Return the workflow's execution; a definition that was started by hand gets its row now. The
    row wins over the input.

    Raises, audited: NotFound for an id that no row has; NotAllowed `bare_start_refused`; Invalid
    `workflow_id_invalid`, and as `execution_request`.
    """
    with process.audited(PROCESS, "request", workflow_id, by=ENGINE, via="engine"):
        execution = _of_workflow(workflow_id)
        if execution is None:
            if "nodes" not in input:
                raise process.unknown(PROCESS)
            if settings.AUTOMATIONS_BARE_STARTS != "accept":
                raise NotAllowed(
                    _("Definitions are executed over the API here, by somebody with a name."),
                    code="bare_start_refused",
                )
            execution = _adopt(clean_workflow_id(workflow_id), input, as_of)
        return _opened(execution)


def execution_made(execution: Execution, *, by: Actor, via: str, as_of: datetime) -> None:
    """Audit a new execution, begin its history, and have it run. Joins the caller's
    transaction."""
    version = execution.definition
    automation = version.automation.code if version.automation else ""
    record(
        execution,
        f"{EXECUTION}.requested",
        by=by,
        via=via,
        automation=automation,
        number=version.number,
        digest=version.digest,
        runner=execution.runner,
    )
    events_add(execution, [("", "execution_requested", "")], at=as_of)
    if execution.runner == Runner.LOCAL:
        local_wake()


def _adopt(workflow_id: str, input: dict[str, Any], as_of: datetime) -> Execution:
    """Make the row of a workflow that was started by hand."""
    document = {name: value for name, value in input.items() if name != "params"}
    given = _params(input.get("params"))
    try:
        # What the engine has read may still be what nobody else can: NaN, halves of characters.
        document_of(json.dumps(input).encode())
    except NotJson as error:
        raise Invalid(
            filled(_("It is not JSON: {error}"), error=error), code="definition_not_json"
        ) from None
    with transaction.atomic(durable=True):
        execution = Execution(
            **_columns(_given(document, author=None, as_of=as_of), Runner.ENGINE, given),
            id=new_id(),
            workflow_id=workflow_id,
            request_digest=digest(document),
            created_at=as_of,
        )
        # Two attempts at once: the second waits here and then reads the row of the first.
        try:
            with transaction.atomic():
                execution.save(force_insert=True)
        except IntegrityError:
            return Execution.objects.select_related(*RELATED).get(workflow_id=workflow_id)
        execution_made(execution, by=ENGINE, via="engine", as_of=as_of)
        process.tell(PROCESS, execution, "status")
    return execution


# --- helpers --------------------------------------------------------------------------------------
def _columns(version: AutomationVersion, runner: Runner, params: str) -> dict[str, Any]:
    if not settings.ENABLE_TEMPORAL_FEATURES:
        runner = Runner.LOCAL
    if runner is Runner.LOCAL:
        check_people(Graph(version.document))
    return {"definition": version, "runner": runner, "params": params}


def _params(params: Any) -> str:
    if params is None:
        return "{}"
    if not isinstance(params, dict):
        raise Invalid(_("What a run is given is an object."), code="params_invalid")
    return json_of(params)


def _runnable(automation: Automation) -> AutomationVersion:
    """Return the version that is executed."""
    if not automation.enabled:
        raise Conflict(_("The automation is switched off."), code="automation_disabled")
    if not automation.valid:
        raise Conflict(
            _("The automation has no version without issues yet."), code="automation_draft"
        )
    return automation.versions.get(number=automation.valid)


def _given(document: Any, *, author: User | None, as_of: datetime) -> AutomationVersion:
    """Keep a definition that came with a request, once for each author; return it."""
    written = Written(document, name="Unnamed")
    if written.issues:
        first = written.issues[0]
        raise Invalid(
            filled(_("The definition has issues: {first}"), first=first.detail),
            code="definition_invalid",
            issues=[issue.as_json() for issue in written.issues[:MOST_TOLD]],
        )
    rows = AutomationVersion.objects.filter(automation=None, digest=written.digest, author=author)
    if known := rows.first():
        return known
    try:
        with transaction.atomic():
            row = written.row(number=0, author=author, created_at=as_of)
            row.save(force_insert=True)
    except IntegrityError:
        return rows.get()
    return row


def _of_workflow(workflow_id: str) -> Execution | None:
    rows = Execution.objects.select_related(*RELATED)
    return rows.filter(workflow_id=workflow_id[:200]).first()


def _opened(execution: Execution) -> Opened:
    graph = graph_of(execution)
    stored = stored_of(execution, graph)
    pending = [NodeState()] * len(graph.ids)
    return Opened(
        row_id=str(execution.pk),
        status=ExecutionStatus(execution.status),
        ids=graph.ids,
        plan=graph.plan,
        changes=changes_between(pending, stored.states, stored.waking),
        timeouts=tuple(graph.timeout(index) for index in range(len(graph.ids))),
        heartbeat=min(settings.ACTIVITY_HEARTBEAT_SECONDS, LONGEST_HEARTBEAT),
        deadline=settings.TEMPORAL_WORKFLOW_TIMEOUT_MINUTES * 60,
        node_pauses=node_pauses(),
        run_pauses=run_pauses(),
        code=execution.error_code,
        detail=execution.error_detail,
    )


def node_pauses() -> Pauses:
    """Return the pauses between the tries of a node."""
    return _pauses(settings.TEMPORAL_ACTIVITY_INITIAL_INTERVAL_SECONDS)


def run_pauses() -> Pauses:
    """Return the pauses between the attempts of a run."""
    return _pauses(settings.TEMPORAL_WORKFLOW_INITIAL_INTERVAL_SECONDS)


def _pauses(first: float) -> Pauses:
    return Pauses(
        first=first,
        factor=settings.TEMPORAL_WORKFLOW_BACKOFF_COEFFICIENT,
        most=settings.TEMPORAL_MAX_INTERVAL_SECONDS,
    )
