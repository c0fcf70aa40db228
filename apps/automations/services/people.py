"""Approval nodes: a person's signature is asked for, and what was decided is the node's output."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group

from apps.accounts.models import User
from apps.approvals.contracts import RequestStatus
from apps.approvals.kinds import SettledRequest, TierRule
from apps.approvals.services import request_open
from apps.automations import metrics
from apps.automations.contracts import (
    EXECUTION,
    SIGNAL_CHANGED,
    STEP_KIND,
    NodeStatus,
    NodeType,
    Outcome,
)
from apps.automations.expressions import templates
from apps.automations.models import Execution, NodeRun
from apps.automations.services.rows import PROCESS, Graph, events_add, execution_lock
from apps.automations.values import json_of
from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.common.validation import amount_sent, clean_amount, clean_currency, clean_text
from apps.engine import process


@dataclass(frozen=True)
class Asked:
    """What a person is asked, its expressions filled in."""

    title: str
    detail: str
    amount: Decimal | None
    currency: str


def asked_of(data: dict[str, Any], values: dict[str, Any]) -> Asked:
    """Return what the node asks. Raises Invalid `title_invalid`, `detail_invalid`,
    `amount_invalid`, `currency_invalid`, and as `templates.filled_in`."""
    wanted = {name: data.get(name) for name in ("title", "detail", "amount", "currency")}
    found = templates.filled_in(wanted, values)
    detail = _said(found["detail"]) if found["detail"] else ""
    amount, currency = None, ""
    if found["amount"] is not None:
        currency = clean_currency(found["currency"])
        amount = clean_amount(amount_sent(found["amount"]), currency)
    return Asked(
        title=clean_text(_said(found["title"]), field="title", limit=200),
        detail=detail and clean_text(detail, field="detail", limit=5000, multiline=True),
        amount=amount,
        currency=currency,
    )


def approval_ask(
    execution: Execution,
    graph: Graph,
    index: int,
    asked: Asked,
    *,
    number: int,
    as_of: datetime,
) -> UUID:
    """Open the node's request; return its id. `number`: how often the node has asked. Joins the
    caller's transaction. Raises Invalid `group_unknown`, and as `request_open`."""
    data = graph.data[index]
    group = data["group"]
    if not Group.objects.filter(name=group).exists():
        raise Invalid(filled(_("There is no group {name!r}."), name=group), code="group_unknown")
    definition = execution.definition
    automation = definition.automation
    request = request_open(
        key=f"{EXECUTION}:{execution.pk}:{index}:{number}",
        kind=STEP_KIND,
        scope=automation.code if automation else "",
        title=asked.title,
        subject_type=EXECUTION,
        subject_id=str(execution.pk),
        workflow_id=execution.workflow_id,
        requested_by=execution.requested_by,
        amount=asked.amount,
        currency=asked.currency,
        payload={
            "execution": execution.workflow_id,
            "automation": automation.code if automation else "",
            "definition": definition.digest,
            "node": graph.ids[index],
            "title": asked.title,
            "detail": asked.detail,
            "amount": exact(asked.amount, asked.currency) if asked.amount is not None else "",
            "currency": asked.currency,
            "group": group,
            "quorum": data.get("quorum", 1),
            "requested_by": execution.requested_by.audit_id if execution.requested_by else "",
        },
        tiers=(TierRule(group, data.get("quorum", 1)),),
        written_by=definition.author,
        as_of=as_of,
    )
    assert request is not None  # the kind is always signed
    return request.pk


def approval_settled(
    *, request: SettledRequest, by: User | None, via: str, as_of: datetime
) -> None:
    """End the node that waits for the request: `ApprovalKind.on_settled`. An expiry counts as
    rejected. No-op for a node that waits for it no more."""
    execution = execution_lock(request.subject_id)
    node = NodeRun.objects.filter(execution=execution, request_id=request.pk).first()
    if node is None or node.status != NodeStatus.WAITING or execution.has_ended:
        return
    approved = request.status == RequestStatus.APPROVED
    node.status = NodeStatus.COMPLETED
    node.outcome = Outcome.APPROVED if approved else Outcome.REJECTED
    node.ended_at = as_of
    node.output = json_of(
        {
            "approved": approved,
            "by": by.username if by else "",
            "reason": request.settled_words,
            "at": as_of.isoformat(),
            "request_id": str(request.pk),
            **({"expired": True} if request.status == RequestStatus.EXPIRED else {}),
        }
    )
    node.save(update_fields=["status", "outcome", "ended_at", "output"])
    metrics.count([node])
    execution.done += 1
    process.save(PROCESS, execution, "done")
    events_add(execution, [(node.node_id, "node_completed", node.outcome)], at=as_of)
    process.wake(PROCESS, execution, signal=SIGNAL_CHANGED, event=f"settled:{request.pk}")


def check_people(graph: Graph) -> None:
    """Raise Invalid `approval_needs_engine` for a graph that asks people: without the engine nobody
    keeps their dates."""
    if any(node.type is NodeType.APPROVAL for node in graph.plan.nodes):
        raise Invalid(
            _("Without the engine nobody can be asked: leave out the approval, or use the engine."),
            code="approval_needs_engine",
        )


# --- helpers --------------------------------------------------------------------------------------
def _said(value: Any) -> str:
    return value if isinstance(value, str) else json_of(value)
