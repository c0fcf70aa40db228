"""Where interventions and budgets appear in the shared parts of the site."""

import re

from django.conf import settings

from apps.accounts import roles, scopes
from apps.common.uploads import ENVELOPE_BYTES
from apps.engine.default_schedules import DefaultSchedule, declare
from apps.interventions.contracts import TASK_QUEUE
from apps.interventions.scopes import Scope
from apps.web import body_sizes, demo

#: Where batches come in: a page's form with a CSV file, and the API, as JSON too.
BATCHES = body_sizes.Roomier(
    path=re.compile(r"/interventions/batches/new/|/api/v1/intervention-batches", re.ASCII),
    most=settings.BATCH_MAX_BYTES + ENVELOPE_BYTES,
    json=True,
)

RECONCILE = DefaultSchedule(
    name="reconcile-interventions",
    workflow_type="ReconcileInterventionsWorkflow",
    task_queue=TASK_QUEUE,
    cron="*/5 * * * *",
    args=({"limit": 200},),
    note="Settles reservations whose workflow is closed.",
)

DEMO = (
    demo.DemoPart("interventions", "apps.interventions.services.demo.interventions_seed", order=20),
    demo.DemoPart(
        "past and today", "apps.interventions.services.demo_life.life_seed", order=25, bare=False
    ),
)


def register() -> None:
    """Called once, when Django is ready."""
    scopes.register(Scope)
    body_sizes.register(BATCHES)
    declare(RECONCILE)
    for part in DEMO:
        demo.register(part)
    _grant()


def _grant() -> None:
    roles.grant(
        "requester",
        "interventions.request_intervention",
        "interventions.request_budgettransfer",
        "interventions.view_policy",
        "interventions.view_budget",
    )
    for role in ("reviewer", "senior reviewer", "operator"):
        roles.grant(role, "interventions.view_*")
    roles.grant(
        "operator",
        "interventions.cancel_intervention",
        "interventions.request_budgettransfer",
    )
