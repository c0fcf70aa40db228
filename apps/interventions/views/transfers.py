"""Pages of transfers between budgets."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from apps.audit.doors import may_ask
from apps.common.errors import DomainError
from apps.engine.timeline import timeline
from apps.interventions import services
from apps.interventions.budget_forms import TransferFilter, TransferForm
from apps.interventions.contracts import TransferStatus
from apps.interventions.forms import ReasonForm
from apps.interventions.models import BudgetTransfer
from apps.interventions.services.transfers import REQUEST_TRANSFER, SUBJECT
from apps.web.cancel_verb import Tried, tried
from apps.web.denied import row_of
from apps.web.fragments import fragment, person
from apps.web.lists import counted, filtered_list
from apps.web.refusals import Refusal, refusal_of


@login_required
@require_GET
def transfers(request: HttpRequest) -> HttpResponse:
    """The transfers that this person may see, newest first."""
    return render(request, "interventions/transfers.html", _list(request))


@fragment
@require_GET
def transfers_live(request: HttpRequest) -> HttpResponse:
    """The rows as they are now."""
    return render(request, "interventions/_transfers_live.html", _list(request))


def _list(request: HttpRequest) -> dict[str, Any]:
    user = person(request)
    form = TransferFilter(request.GET)
    chosen = form.apply(BudgetTransfer.objects.visible_to(user), user_id=user.pk)
    return {**filtered_list(request, form, chosen.for_list()), "count": counted(chosen)}


@login_required
@may_ask(REQUEST_TRANSFER, action="budget.transfer_request", subject_type=SUBJECT)
@require_http_methods(["GET", "HEAD", "POST"])
def transfer_new(request: HttpRequest) -> HttpResponse:
    """Ask for a transfer. The same form sent twice asks once."""
    template = "interventions/transfer_new.html"
    if request.method != "POST":
        initial = {"source": request.GET.get("from", ""), "destination": request.GET.get("to", "")}
        return render(request, template, {"form": TransferForm(initial=initial)})
    form = TransferForm(request.POST)
    if not form.is_valid():
        return render(request, template, {"form": form}, status=422)
    try:
        transfer, created = services.transfer_request(
            **form.cleaned_data, by=person(request), via="page", as_of=timezone.now()
        )
    except DomainError as error:
        refusal = refusal_of(error)
        context = {"form": form, "refusal": refusal}
        return render(request, template, context, status=refusal.status)
    if created:
        messages.success(request, "Asked. Nothing is moved before it is signed.")
    else:
        messages.info(request, "You had sent this form before; this is what it made. Nothing new.")
    return redirect("transfer", transfer_id=transfer.pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def transfer_page(request: HttpRequest, transfer_id: UUID) -> HttpResponse:
    """One transfer: both budgets, its request, what happened; POST takes it back."""
    transfer = _get(request, transfer_id)
    form = ReasonForm(request.POST or None)
    outcome = Tried()
    if request.method == "POST":
        outcome = tried(request, form, services.transfer_cancel, transfer_id=transfer.pk)
        if outcome.done:
            messages.success(request, "Taken back. Its request is closed; nothing was moved.")
            return redirect("transfer", transfer_id=transfer.pk)
        transfer = _get(request, transfer_id)
    context = _context(request, transfer, form=form, refusal=outcome.refusal)
    return render(request, "interventions/transfer.html", context, status=outcome.status)


@fragment
@require_GET
def transfer_live(request: HttpRequest, transfer_id: UUID) -> HttpResponse:
    """The parts of the page as they are now."""
    transfer = _get(request, transfer_id)
    context = _context(request, transfer, form=ReasonForm())
    return render(request, "interventions/_transfer_live.html", context)


def _get(request: HttpRequest, transfer_id: UUID) -> BudgetTransfer:
    visible = BudgetTransfer.objects.visible_to(person(request)).for_list()
    return row_of(visible, pk=transfer_id)


def _context(
    request: HttpRequest,
    transfer: BudgetTransfer,
    *,
    form: ReasonForm,
    refusal: Refusal | None = None,
) -> dict[str, Any]:
    user = person(request)
    waits = not TransferStatus(transfer.status).terminal
    return {
        "transfer": transfer,
        "waits": waits,
        # Who asked sees their own request, who signs sees all of them.
        "approval": services.transfer_approval(transfer),
        "sees_budgets": user.has_perm("interventions.view_budget"),
        "cancellable": waits and transfer.requested_by_id == user.pk,
        "cancel_state": transfer.status,
        "timeline": timeline(subjects=[(SUBJECT, str(transfer.pk))], workflow_ids=[]),
        "form": form,
        "refusal": refusal,
    }
