"""Pages of interventions."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from apps.approvals.selectors import requests_about
from apps.audit.doors import may_ask
from apps.common.errors import DomainError
from apps.engine.timeline import timeline
from apps.interventions import services
from apps.interventions.contracts import SAGA_STEPS, SUBJECT, InterventionStatus, Step
from apps.interventions.forms import CancelForm, InterventionFilter, InterventionForm
from apps.interventions.models import Intervention, InterventionStep, Policy
from apps.interventions.services.requests import CANCEL_PERMISSION, REQUEST_PERMISSION
from apps.web.cancel_verb import Tried, tried
from apps.web.denied import row_of
from apps.web.fragments import fragment, person
from apps.web.links import temporal_url
from apps.web.lists import counted, filtered_list
from apps.web.refusals import Refusal, refusal_of


@login_required
@require_GET
def interventions(request: HttpRequest) -> HttpResponse:
    """The interventions that this person may see, newest first."""
    return render(request, "interventions/list.html", _list(request))


@fragment
@require_GET
def interventions_live(request: HttpRequest) -> HttpResponse:
    """The rows as they are now."""
    return render(request, "interventions/_list_live.html", _list(request))


def _list(request: HttpRequest) -> dict[str, Any]:
    user = person(request)
    form = InterventionFilter(request.GET)
    chosen = form.apply(Intervention.objects.visible_to(user), user_id=user.pk)
    return {**filtered_list(request, form, chosen.for_list()), "count": counted(chosen)}


@login_required
@may_ask(REQUEST_PERMISSION, action=f"{SUBJECT}.request", subject_type=SUBJECT)
@require_http_methods(["GET", "HEAD", "POST"])
def intervention_new(request: HttpRequest) -> HttpResponse:
    """Ask for an intervention. The same form sent twice asks once."""
    if request.method != "POST":
        return render(request, "interventions/new.html", {"form": InterventionForm()})
    form = InterventionForm(request.POST)
    if not form.is_valid():
        return render(request, "interventions/new.html", {"form": form}, status=422)
    wanted = form.cleaned_data
    policy = Policy.objects.filter(code=wanted["policy"], active=True).first()
    try:
        intervention, created = services.intervention_request(
            policy=wanted["policy"],
            budget=wanted["budget"],
            amount=wanted["amount"],
            currency=policy.currency if policy else "",
            target=wanted["target"],
            justification=wanted["justification"],
            region=wanted["region"],
            by=person(request),
            via="page",
            idempotency_key=wanted["idempotency_key"],
            as_of=timezone.now(),
        )
    except DomainError as error:
        refusal = refusal_of(error)
        context = {"form": form, "refusal": refusal}
        return render(request, "interventions/new.html", context, status=refusal.status)
    if created:
        messages.success(request, "Asked. This page shows who has to sign and how far it is.")
    else:
        messages.info(request, "You had sent this form before; this is what it made. Nothing new.")
    return redirect("intervention", intervention_id=intervention.pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def intervention_page(request: HttpRequest, intervention_id: UUID) -> HttpResponse:
    """One intervention: saga, ledger, timeline; POST calls it off."""
    intervention = _get(request, intervention_id)
    form = CancelForm(request.POST or None)
    outcome = Tried()
    if request.method == "POST":
        outcome = tried(
            request, form, services.intervention_cancel, intervention_id=intervention.pk
        )
        if outcome.done:
            messages.success(
                request, "Called off. Its request is closed and what was reserved is free again."
            )
            return redirect("intervention", intervention_id=intervention.pk)
        intervention = _get(request, intervention_id)
    context = _context(request, intervention, form=form, refusal=outcome.refusal)
    return render(request, "interventions/detail.html", context, status=outcome.status)


@fragment
@require_GET
def intervention_live(request: HttpRequest, intervention_id: UUID) -> HttpResponse:
    """The parts of the page as they are now."""
    intervention = _get(request, intervention_id)
    context = _context(request, intervention, form=CancelForm())
    return render(request, "interventions/_detail_live.html", context)


def _get(request: HttpRequest, intervention_id: UUID) -> Intervention:
    visible = Intervention.objects.visible_to(person(request)).select_related(
        "policy", "budget", "requested_by", "outcome"
    )
    return row_of(visible, pk=intervention_id)


def _context(
    request: HttpRequest,
    intervention: Intervention,
    *,
    form: CancelForm,
    refusal: Refusal | None = None,
) -> dict[str, Any]:
    user = person(request)
    cancellable = not InterventionStatus(intervention.status).terminal and (
        intervention.requested_by_id == user.pk or user.has_perm(CANCEL_PERMISSION)
    )
    return {
        "intervention": intervention,
        "steps": saga_steps(intervention),
        "entries": intervention.entries.order_by("id"),
        "requests": requests_about(SUBJECT, intervention.pk)
        .visible_to(user)
        .order_by("created_at")[:20],
        "timeline": timeline(
            subjects=[(SUBJECT, str(intervention.pk))],
            workflow_ids=[intervention.workflow_id, intervention.execution_workflow_id],
        ),
        "approval_url": temporal_url(intervention.workflow_id),
        "execution_url": temporal_url(intervention.execution_workflow_id),
        "form": form,
        "refusal": refusal,
        "cancellable": cancellable,
        "cancel_state": f"{intervention.status}:{intervention.cancel_requested_at or ''}",
    }


def saga_steps(intervention: Intervention) -> list[dict[str, Any]]:
    """The seven steps in order, those that have not begun included, then what was undone."""
    known = {step.name: step for step in intervention.steps.all()}
    names: list[Step] = [*SAGA_STEPS]
    names += [step for step in (Step.ROLL_BACK, Step.RELEASE_BUDGET) if step in known]
    over = InterventionStatus(intervention.status).terminal
    lines: list[dict[str, Any]] = []
    for number, name in enumerate(names, start=1):
        step: InterventionStep | None = known.get(name)
        status = step.status if step else ("skipped" if over else "waiting")
        undoes = name not in SAGA_STEPS
        lines.append(
            {"number": number, "name": name, "step": step, "status": status, "undoes": undoes}
        )
    return lines
