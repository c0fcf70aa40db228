"""Pages of interventions."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.common.language import lazy as _
from apps.engine.timeline import timeline
from apps.interventions.contracts import SAGA_STEPS, SUBJECT, InterventionStatus, Step
from apps.interventions.forms import InterventionFilter, InterventionForm
from apps.interventions.models import Intervention
from apps.interventions.services import requests
from apps.interventions.services.analytics import OUTCOMES, VIEW_ALL
from apps.interventions.services.requests import CANCEL_PERMISSION, REQUEST_PERMISSION
from apps.web.fragments import person
from apps.web.links import temporal_url_for
from apps.web.lists import ListPage
from apps.web.outcomes import OutcomesPage
from apps.web.pages import DetailPage, FormPage, PageVerb
from apps.web.pieces import (
    Cell,
    Fact,
    Head,
    Line,
    Link,
    Note,
    amount_of,
    asked_head,
    rows_card,
    seen_by,
)
from apps.web.steps import step_lines
from apps.web.tables import ASKED, Column
from apps.web.tones import sentence_of
from apps.web.verbs import RequiredReasonForm

UNDOING = (Step.ROLL_BACK, Step.RELEASE_BUDGET)
LIST = Link(_("Interventions"), "interventions")


def _rows(user: User) -> Any:
    return Intervention.objects.visible_to(user).for_list()


LIST_PAGE = ListPage(
    name="interventions",
    title=_("Interventions"),
    lead=_("Payments of public money, from the request to the outcome."),
    noun="intervention",
    none=_("No intervention yet"),
    topic="interventions",
    rows=_rows,
    to="intervention",
    columns=(
        Column(head=_("Target"), value="target", form="title"),
        Column(head=_("Policy"), value="policy.name"),
        Column(head=_("Budget"), value="budget.code", text=_("budget {}")),
        Column(head=_("Region"), value="region", wide=True),
        *ASKED,
    ),
    filters=InterventionFilter,
    links=(Link(_("Batches"), "batches"), Link(_("Outcomes"), "outcomes")),
    new=Link(_("Ask for an intervention"), "intervention_new", REQUEST_PERMISSION, main=True),
)

OUTCOMES_PAGE = OutcomesPage(
    name="outcomes",
    outcomes=OUTCOMES,
    crumbs=(LIST,),
    sees_all=VIEW_ALL,
    empty=_("Choose earlier days. The list of interventions shows those that still run."),
)

FORM_PAGE = FormPage(
    name="intervention_new",
    title=_("Ask for an intervention"),
    lead=_("The policy decides who has to sign. You never sign what you ask for yourself."),
    crumbs=(LIST,),
    form=InterventionForm,
    verb=requests.intervention_request,
    to="intervention",
    asked=_("Asked. This page shows who has to sign and how far it is."),
    draft="intervention",
    permission=REQUEST_PERMISSION,
    action=f"{SUBJECT}.request",
    subject_type=SUBJECT,
)


def _context(request: HttpRequest, intervention: Intervention) -> dict[str, Any]:
    user = person(request)
    over = InterventionStatus(intervention.status).terminal
    may_cancel = intervention.requested_by_id == user.pk or user.has_perm(CANCEL_PERMISSION)
    return {
        "topics": f"{SUBJECT}:{intervention.pk} inbox",
        "head": _head(intervention, user),
        "facts": _facts(intervention, sees_policy=user.has_perm("interventions.view_policy")),
        "steps": step_lines(intervention.steps.all(), SAGA_STEPS, undoing=UNDOING, over=over),
        "card": _ledger(intervention, user),
        "signed_with": Link(gettext("its batch"), reverse("batch", args=[intervention.batch_id]))
        if intervention.batch_id
        else None,
        "requests": requests_about(SUBJECT, intervention.pk)
        .visible_to(user)
        .order_by("created_at")[:20],
        "timeline": timeline(
            subjects=[(SUBJECT, str(intervention.pk))],
            workflow_ids=[intervention.workflow_id, intervention.execution_workflow_id],
            older=request.GET.get("older", ""),
        ),
        "execution_url": temporal_url_for(user, intervention.execution_workflow_id),
        "may_call": may_cancel and not over,
    }


def _ledger(intervention: Intervention, user: User) -> dict[str, Any]:
    lines = [
        Line(
            title="",
            state=entry.kind,
            cells=(Cell(gettext("When"), entry.at, form="when"),),
            amount=entry.amount,
            currency=intervention.currency,
        )
        for entry in intervention.entries.order_by("id")
    ]
    code = intervention.budget.code
    link = Link(
        gettext("Budget {code}").format(code=code),
        reverse("budget", args=[code]),
        "interventions.view_budget",
    )
    return rows_card(
        "ledger",
        gettext("Ledger"),
        lines,
        link=next(iter(seen_by((link,), user)), None),
        empty=gettext("No money has moved yet. The first line comes with the reservation."),
    )


def _head(intervention: Intervention, user: User) -> Head:
    note = None
    if intervention.error_code:
        note = Note(
            sentence_of(intervention.error_code),
            intervention.error_detail,
            gettext(
                "Nothing stays half done: the steps below show what was undone. To try "
                "again, ask for a new one."
            )
            if intervention.status == InterventionStatus.FAILED
            else gettext("The steps below show how far it came."),
            tone="bad",
        )
    engine_url = temporal_url_for(user, intervention.workflow_id)
    return asked_head(
        intervention,
        gettext("{amount} to {target}").format(
            amount=amount_of(intervention), target=intervention.target
        ),
        crumbs=(LIST, Link(intervention.policy.name, "")),
        links=(Link(gettext("Temporal UI"), engine_url, outside=True),) if engine_url else (),
        note=note,
    )


def _facts(intervention: Intervention, *, sees_policy: bool) -> list[Fact]:
    policy = intervention.policy
    facts = (
        Fact(
            gettext("Policy"),
            policy.name,
            href=reverse("policy", args=[policy.code]) if sees_policy else "",
            note=(
                gettext("v{version}, can be undone")
                if policy.reversible
                else gettext("v{version}, cannot be undone")
            ).format(version=policy.version),
        ),
        Fact(gettext("Budget"), intervention.budget.name),
        Fact(gettext("Region"), intervention.region),
        Fact(gettext("Why"), intervention.justification, form="prose"),
        Fact(gettext("Receipt"), intervention.receipt, form="code"),
        Fact(gettext("Ended"), intervention.settled_at, form="when"),
        Fact(gettext("Workflow"), intervention.workflow_id, form="code"),
    )
    return [fact for fact in facts if fact.value]


DETAIL_PAGE = DetailPage(
    name="intervention",
    rows=_rows,
    context=_context,
    main=("web/_steps.html", "web/_rows_panel.html"),
    side=("web/_asked.html", "web/_page_verb.html"),
    after=("console/_timeline.html",),
    verb=PageVerb(
        call=requests.intervention_cancel,
        row_id="intervention_id",
        not_done=_("Not called off."),
        said=_("Called off. Its request is closed and what was reserved is free again."),
        form=RequiredReasonForm,
        title=_("Call it off"),
        help=_("Possible until the money is on its way. What is reserved is free again at once."),
    ),
)
