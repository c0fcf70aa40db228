"""All writes to approvals, a module for each noun. Order: lock, recheck, write, audit, enqueue,
broadcast."""

from apps.approvals.rules import rule_put, rule_validate
from apps.approvals.services.bulk import (
    BulkChoice,
    bulk_decide,
    bulk_resume,
    bulk_run,
    bulk_stop,
)
from apps.approvals.services.claims import claim_reassign, claim_release, claim_take
from apps.approvals.services.clock import clock_next, clock_plan
from apps.approvals.services.clock_events import request_escalate, request_tick, signals_judge
from apps.approvals.services.comments import comment_add, comment_put
from apps.approvals.services.deciding import decision_sign, request_decide
from apps.approvals.services.delegations import delegation_give, delegation_revoke
from apps.approvals.services.editing import may_edit, request_edit
from apps.approvals.services.evidence import evidence_add, evidence_erase
from apps.approvals.services.requests import (
    request_cancel,
    request_carried_by,
    request_expire,
    request_open,
    signature_needed,
)
from apps.approvals.validation import REASON_LIMIT

__all__ = [
    "REASON_LIMIT",
    "BulkChoice",
    "bulk_decide",
    "bulk_resume",
    "bulk_run",
    "bulk_stop",
    "claim_reassign",
    "claim_release",
    "claim_take",
    "clock_next",
    "clock_plan",
    "comment_add",
    "comment_put",
    "decision_sign",
    "delegation_give",
    "delegation_revoke",
    "evidence_add",
    "evidence_erase",
    "may_edit",
    "request_cancel",
    "request_carried_by",
    "request_decide",
    "request_edit",
    "request_escalate",
    "request_expire",
    "request_open",
    "request_tick",
    "rule_put",
    "rule_validate",
    "signals_judge",
    "signature_needed",
]
