"""Pages of the actions on a request other than deciding it: claim, release, reassign, edit."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from apps.approvals import kinds, selectors, services
from apps.approvals.action_forms import EditForm
from apps.approvals.models import EDIT_PERMISSION, ApprovalRequest
from apps.common.errors import DomainError, NotFound
from apps.web.denied import hidden, row_of
from apps.web.drafts import draft_keep
from apps.web.fragments import person
from apps.web.refusals import refusal_of


@login_required
@require_POST
def request_claim(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Claim the request, then redirect to the page with the button (`next`)."""

    def run() -> str:
        services.claim_take(
            request_id=request_id, by=person(request), via="page", as_of=timezone.now()
        )
        return gettext("You hold it. Nobody else signs it until you have, or give it back.")

    return _done(request, request_id, run)


@login_required
@require_POST
def request_release(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Release the claim, then redirect to the page with the button (`next`)."""

    def run() -> str:
        services.claim_release(
            request_id=request_id, by=person(request), via="page", as_of=timezone.now()
        )
        return gettext("Given back: whoever may sign can take it.")

    return _done(request, request_id, run)


@login_required
@require_POST
def request_reassign(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Reassign the claim."""

    def run() -> str:
        given = services.claim_reassign(
            request_id=request_id,
            to=request.POST.get("to", ""),
            by=person(request),
            reason=request.POST.get("reason", ""),
            via="page",
            as_of=timezone.now(),
        )
        return gettext("{claimed_by} holds it now, and was told.").format(
            claimed_by=given.claimed_by
        )

    return _done(request, request_id, run)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def request_edit(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Show the form of the editable fields; POST stores a new version."""
    approval = _get(request, request_id)
    kind = kinds.find(approval.kind)
    if kind is None or not services.may_edit(approval, person(request), kind):
        raise hidden(Http404(), EDIT_PERMISSION)
    payload = selectors.current_payload(approval)
    form = EditForm(
        request.POST if request.method == "POST" else None,
        kind=kind,
        payload=payload.payload,
        seen=payload.hash,
    )
    context: dict[str, Any] = {
        "approval": approval,
        "payload": payload,
        "form": form,
        "closed": selectors.state_refusal(approval, as_of=timezone.now()),
        "signed": len(selectors.current_signatures(approval)),
    }
    if request.method != "POST":
        return render(request, "approvals/request_edit.html", context)
    if not form.is_valid():
        return render(request, "approvals/request_edit.html", context, status=422)
    try:
        edited = services.request_edit(
            request_id=approval.pk,
            by=person(request),
            changes=form.changes,
            payload_hash=form.cleaned_data["payload_hash"],
            reason=form.cleaned_data["edit_reason"],
            via="page",
            as_of=timezone.now(),
        )
    except NotFound as error:
        raise Http404 from error
    except DomainError as error:
        refusal = refusal_of(error)
        context |= {"refusal": refusal, "difference": error.extra.get("difference")}
        return render(request, "approvals/request_edit.html", context, status=refusal.status)
    messages.success(
        request,
        gettext(
            "Version {payload_number} is what is asked now. It waits for {who_signs_next}."
        ).format(
            payload_number=edited.payload_number, who_signs_next=selectors.who_signs_next(edited)
        ),
    )
    return redirect("request", request_id=edited.pk)


def _get(request: HttpRequest, request_id: UUID) -> ApprovalRequest:
    visible = ApprovalRequest.objects.visible_to(person(request)).for_detail()
    return row_of(visible, pk=request_id)


def _done(request: HttpRequest, request_id: UUID, run: Callable[[], str]) -> HttpResponse:
    try:
        messages.success(request, run())
    except NotFound as error:
        raise Http404 from error
    except DomainError as error:
        refusal = refusal_of(error)
        draft_keep(request)
        messages.error(request, f"{refusal.what} {refusal.next_step}")
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(
        back, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        back = reverse("request", args=[request_id])
    return redirect(back)
