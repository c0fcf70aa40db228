"""Registers interventions and budgets with the shared parts of the site."""

import re

from django.conf import settings
from django.db.models import Q

from apps.accounts import roles, scopes
from apps.audit import subject_types
from apps.common.language import lazy as _
from apps.common.uploads import ENVELOPE_BYTES
from apps.engine.default_schedules import DefaultSchedule, declare
from apps.interventions import home
from apps.interventions.contracts import TASK_QUEUE, InterventionStatus
from apps.interventions.models import Intervention
from apps.interventions.scopes import Scope
from apps.web import body_sizes, dashboard, demo, failures, navigation
from apps.web.dashboard import Card, Domain, Place, Series, button
from apps.web.domain_cards import domain_card
from apps.web.failures import Failures
from apps.web.navigation import Item, Section
from apps.web.pieces import Link

#: The addresses that accept batches: a page's form with a CSV file, and the API, which also accepts
#: JSON.
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
    note=_("Settles reservations whose workflow is closed."),
)

DEMO = (
    demo.DemoPart("interventions", "apps.interventions.services.demo.interventions_seed", order=20),
    demo.DemoPart("life", "apps.interventions.services.demo_life.life_seed", order=25, bare=False),
)

SECTION = Section("interventions", _("Interventions"), 20)

PLACES = (
    Item("interventions", _("All"), "interventions", icon="interventions", order=10),
    Item("interventions", _("Batches"), "batches", icon="batches", order=20),
    Item("interventions", _("Outcomes"), "outcomes", icon="outcomes", order=30),
    Item(
        "interventions",
        _("Budgets"),
        "budgets",
        icon="budgets",
        permission="interventions.view_budget",
        order=40,
    ),
    Item("interventions", _("Transfers"), "transfers", icon="transfers", order=50),
    Item(
        "interventions",
        _("Policies"),
        "policies",
        icon="policies",
        permission="interventions.view_policy",
        order=60,
    ),
)

CARDS = (
    button(
        "intervention-ask",
        Link(
            _("Ask for an intervention"), "intervention_new", "interventions.request_intervention"
        ),
        order=20,
    ),
    Card(
        key="budgets",
        template="web/_rows_panel.html",
        context=home.budgets_card,
        place=Place.SIDE,
        order=60,
        topics=("home",),
        permission="interventions.view_budget",
    ),
)

FAILURES = Failures(
    key="interventions",
    title=_("Interventions"),
    rows=home.failed,
    listed=home.failed_list,
    order=20,
)

DOMAIN = Domain(
    key="interventions",
    title=_("Interventions"),
    home=Link(_("All of them"), "interventions"),
    today=home.today,
    order=30,
    series=Series(
        rows=Intervention.objects.visible_to,
        marked=Q(status=InterventionStatus.FAILED),
        marked_title=_("Failed"),
        tone="bad",
        sentence=_("Interventions asked for in the last 24 hours: {count}; failed: {marked}."),
        none=_("Nobody asked for an intervention in the last 24 hours."),
    ),
    topics=("home", "interventions"),
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    scopes.register(Scope)
    subject_types.register("intervention", "policy", "budget")
    navigation.register_sections(SECTION)
    navigation.register(*PLACES)
    dashboard.register(*CARDS, domain_card(DOMAIN))
    failures.register(FAILURES)
    dashboard.watch_queue(TASK_QUEUE)
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
