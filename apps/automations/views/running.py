"""The form that runs an automation: on its page, and on a page of its own when it was refused."""

from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.automations.contracts import EXECUTION
from apps.automations.forms import RunForm
from apps.automations.models import Automation
from apps.automations.services.requesting import RUN, execution_request
from apps.automations.views.nodes import told
from apps.common.language import lazy as _
from apps.web.denied import row_of
from apps.web.fragments import let_in, person
from apps.web.pages import SAFE
from apps.web.pieces import Head, Link
from apps.web.verbs import Outcome, call_verb

LIST = Link(_("Automations"), "automations")


def may_run(automation: Automation, user: User) -> bool:
    """Return whether the user is offered the form now."""
    return automation.enabled and automation.valid > 0 and user.has_perm(RUN)


def run(request: HttpRequest, code: str) -> HttpResponse:
    """Show the form; run the automation, and show the execution."""
    let_in(request, RUN, action=f"{EXECUTION}.request", subject_type=EXECUTION)
    automation = row_of(Automation.objects.all(), code=code)
    if request.method in SAFE:
        return _shown(request, automation, RunForm(), Outcome())
    form = RunForm(request.POST)
    outcome = call_verb(request, form, partial(execution_request, automation=code))
    if not outcome.done:
        return _shown(request, automation, form, outcome)
    execution, new = outcome.result
    told(request, new=new)
    return redirect("execution", execution.pk)


def _shown(
    request: HttpRequest, automation: Automation, form: RunForm, outcome: Outcome
) -> HttpResponse:
    page = reverse("automation", args=[automation.code])
    seen = person(request).has_perm("automations.view_automation")
    above = Link(automation.title, page if seen else "")
    lead = gettext("It runs version {number}, the newest without issues.")
    context: dict[str, Any] = {
        "head": Head(
            gettext("Run it"),
            lead.format(number=automation.valid) if automation.valid else "",
            crumbs=(LIST, above) if seen else (above,),
        ),
        "automation": automation,
        "back": page if seen else reverse("executions"),
        "form": form,
        "refusal": outcome.refusal,
    }
    return render(request, "automations/run.html", context, status=outcome.status)
