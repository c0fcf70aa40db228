"""Registers executions with the shared parts of the site."""

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts import roles
from apps.approvals.kinds import Fact, status_fact
from apps.approvals.signed_words import Wording
from apps.approvals.subject import kind_register
from apps.audit import subject_types
from apps.automations import home
from apps.automations.contracts import (
    EXECUTION,
    STEP_KIND,
    TASK_QUEUE,
    ExecutionStatus,
    NodeStatus,
)
from apps.automations.models import Execution
from apps.automations.scopes import Scope
from apps.automations.services.people import approval_settled
from apps.automations.services.requesting import RUN
from apps.automations.services.rows import PROCESS
from apps.automations.services.stopping import CANCEL, execution_closed
from apps.automations.views import health
from apps.common.language import lazy as _
from apps.engine import middleware, process, timeline
from apps.web import dashboard, demo, failures, navigation, refusals, search, tones
from apps.web.dashboard import Domain, Series
from apps.web.domain_cards import domain_card
from apps.web.failures import Failures
from apps.web.navigation import Item
from apps.web.pieces import Link
from apps.web.search import BY_UUID, Found, Source, among, by_value

VIEW = "automations.view_execution"


PLACE = Item("automations", _("Executions"), "executions", icon="runs", order=20)

DOMAIN = Domain(
    key="executions",
    title=_("Executions"),
    home=Link(_("All of them"), "executions"),
    today=home.today,
    order=55,
    series=Series(
        rows=Execution.objects.visible_to,
        marked=Q(status=ExecutionStatus.FAILED),
        marked_title=_("Failed"),
        tone="bad",
        sentence=_("Executions asked for in the last 24 hours: {count}; failed: {marked}."),
        none=_("Nobody ran an automation in the last 24 hours."),
    ),
    topics=("home", "executions"),
    permission=VIEW,
)
FAILURES = Failures(
    key="executions",
    title=_("Executions"),
    rows=home.failed,
    listed=home.failed_list,
    order=55,
)
DEMO = demo.DemoPart(
    "executions",
    "apps.automations.services.demo_executions.executions_seed",
    order=46,
    bare=False,
)

SOURCE = Source(
    key="executions",
    title=_("Executions"),
    hint=_("id"),
    permission="",
    scope=Scope.AUTOMATIONS_READ,
    order=67,
    find=among(
        Execution.objects.select_related("definition").all,
        BY_UUID,
        by_value("workflow_id", like=r"[!-~]{1,200}"),
        found=lambda execution: Found(
            title=execution.definition.name,
            href=reverse("execution", args=[execution.pk]),
            key=execution.workflow_id,
            state=execution.status,
            at=execution.created_at,
        ),
        seen=lambda user: Execution.objects.all().seen_by(user),
    ),
)

NEXT_STEPS = {
    "definition_invalid": _("Mend what is named, and send it again."),
    "automation_disabled": _("Switch it on first."),
    "automation_draft": _("Write a version without issues first."),
    "approval_needs_engine": _(
        "Nothing was begun. Take the approval out, or have the engine run it."
    ),
    "not_failed": _("Nothing was changed. One that has ended can run again from a node."),
    "not_ended": _("Cancel it first."),
    "params_invalid": _("Give an object, such as an empty one."),
    "node_unknown": _("Choose one of its nodes."),
    "bare_start_refused": _("Send the definition over the API instead."),
    "group_unknown": _(
        "Name a group that exists, in a new version; or make the group, then resume."
    ),
    "input_too_large": _("Write a version whose nodes pass on less."),
    "node_broke": _("Resume it. If it fails again, tell whoever runs this site."),
    "expression_failed": _("Write a version that reads what is there, and run that."),
    "closed_in_engine": _("Resume it to go on."),
}

TONES: dict[str, str] = {
    NodeStatus.WAITING: "warn",
    NodeStatus.SKIPPED: "",
    NodeStatus.BLOCKED: "bad",
}
WORDS: dict[str, str] = {
    EXECUTION: _("execution"),
    NodeStatus.SKIPPED: _("skipped"),
    NodeStatus.BLOCKED: _("blocked"),
    # Why an execution, or a node of it, has failed.
    "expression_failed": _("an expression failed"),
    "input_too_large": _("input too large"),
    "value_not_json": _("value is no JSON"),
    "group_unknown": _("group not known"),
    "node_broke": _("the node could not be run"),
    "closed_in_engine": _("ended in the engine"),
}
ACTIONS = {
    "execution.requested": _("Asked for the execution"),
    "execution.completed": _("Completed it"),
    "execution.failed": _("Ended it: a node has failed"),
    "execution.cancelled": _("Cancelled it"),
    "execution.resumed": _("Had what failed run again"),
    "execution.restarted": _("Started its workflow again"),
}
TRIED = {
    "execution.request": _("Tried to execute a definition"),
    "execution.cancel": _("Tried to cancel the execution"),
    "execution.resume": _("Tried to have what failed run again"),
    "execution.repeat": _("Tried to run it again from a node"),
}


def register() -> None:
    """Register everything above."""
    process.register(PROCESS, closed=execution_closed, view=VIEW)
    kind_register(
        PROCESS,
        STEP_KIND,
        title=_("Step of an automation"),
        facts=_facts,
        words=_words,
        related=("definition__automation", "requested_by"),
        on_settled=approval_settled,
        always_signed=True,
        task_queue=TASK_QUEUE,
    )
    subject_types.register(EXECUTION)
    middleware.register("/health/temporal", health.temporal)
    navigation.register(PLACE)
    search.register(SOURCE)
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, WORDS)
    timeline.register_words(ACTIONS, tried=TRIED)
    dashboard.register(domain_card(DOMAIN))
    failures.register(FAILURES)
    demo.register(DEMO)
    roles.grant("automation editor", RUN, CANCEL)
    roles.grant("operator", CANCEL)


def _facts(execution: Execution) -> list[Fact]:
    return [
        status_fact(execution, "execution"),
        Fact(gettext("Definition"), execution.definition.name),
        Fact(
            gettext("Nodes done"),
            gettext("{done} of {total}").format(
                done=execution.done, total=execution.definition.nodes
            ),
        ),
    ]


def _words(signed: Wording, execution: Execution) -> None:
    signed.text(gettext("Step"), "title")
    signed.amount(gettext("Amount"), "amount")
    signed.prose(gettext("What it is about"), "detail")
    signed.text(gettext("Automation"), "automation")
    signed.text(gettext("Node"), "node")
    signed.reference(
        gettext("Execution"), "execution", href=reverse("execution", args=[execution.pk])
    )
    signed.reference(gettext("Definition"), "definition")
    if execution.requested_by is not None:
        signed.person(gettext("Asked for by"), "requested_by", execution.requested_by)
