"""What passes through the workflow sandbox unchanged: one list for workers, replay and tests.

Loading Django anew for every workflow run doubles a worker's CPU time. What passes through is
pure or is never executed inside a workflow; the import rules (pyproject.toml) keep it so, because
the sandbox does not notice a workflow that queries the ORM.
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
