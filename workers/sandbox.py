"""Modules that pass through the workflow sandbox: one list for workers, replay and tests.

Loading Django again for every workflow run doubles a worker's CPU time. These modules are pure or
never executed inside a workflow; the import rules (pyproject.toml) ensure that, because the sandbox
does not notice a workflow that queries the ORM.
"""

from temporalio.worker.workflow_sandbox import SandboxRestrictions

PASSTHROUGH = (
    "apps",
    "asgiref",
    "django",
    "prometheus_client",
    "psycopg",
    "psycopg_pool",
    "structlog",
    "uuid_utils",
    "workers.approval_wait",
    "workers.attributes",
    "workers.bounded",
    "workers.children",
    "workers.saga",
    "workers.signed_run",
    "workers.steps",
    "workers.wakeups",
)

RESTRICTIONS = SandboxRestrictions.default.with_passthrough_modules(*PASSTHROUGH)
