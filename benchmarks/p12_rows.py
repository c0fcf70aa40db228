"""Interventions and their workflows beside the requests of P7."""

import psycopg

from benchmarks import filling
from benchmarks.p7_rows import World

TABLES = ("interventions_intervention", "engine_workflowrun")


def fill(connection: psycopg.Connection, _world: World) -> None:
    """An intervention and a run of its workflow for each request about one; analysed. The
    connection is in autocommit mode."""
    filling.fill(connection, TABLES, STATEMENTS)


_INTERVENTIONS = """
INSERT INTO interventions_intervention
    (id, workflow_id, requested_by_id, idempotency_key, request_digest, error_code, error_detail,
     version, created_at, settled_at, policy_id, budget_id, amount, currency, target, justification,
     region, batch_id, status, executor_id, cancel_requested_at, receipt)
SELECT r.id, 'intervention-' || r.id, r.requested_by_id, '', '',
       CASE r.status WHEN 'rejected' THEN 'rejected' WHEN 'expired' THEN 'budget_exceeded'
            ELSE '' END,
       '', 1, r.created_at, r.settled_at, policy.id, budget.id, r.amount, r.currency,
       substring(r.title from ' to (.*),'), 'Repairs after the rains.', '', NULL,
       CASE r.status WHEN 'open' THEN 'awaiting_approval' WHEN 'approved' THEN 'executed'
            WHEN 'rejected' THEN 'rejected' ELSE 'failed' END,
       '', NULL, ''
FROM approvals_approvalrequest r,
     (SELECT min(id) AS id FROM interventions_policy) policy,
     (SELECT min(id) AS id FROM interventions_budget) budget
"""

_RUNS = """
INSERT INTO engine_workflowrun
    (workflow_id, run_id, workflow_type, task_queue, status, confirmed, subject_type, subject_id,
     started_at, closed_at, seen_at, told_at)
SELECT workflow_id, md5(workflow_id), 'InterventionApprovalWorkflow', 'intervention-critical',
       CASE WHEN settled_at IS NULL THEN 'running' ELSE 'completed' END, true, 'intervention',
       id::text, created_at, settled_at, created_at, settled_at
FROM interventions_intervention ORDER BY created_at
"""

#: In this order.
STATEMENTS = (_INTERVENTIONS, _RUNS)
