"""The page of a user's delegations: those given, those held, and a form to give one."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.models import User
from apps.approvals import kinds, selectors, services
from apps.approvals.action_forms import DelegationForm
from apps.approvals.models import DECIDE_PERMISSION, Delegation
from apps.common.errors import DomainError, NotFound
from apps.common.language import lazy as _
from apps.web.fragments import person
from apps.web.refusals import Refusal, refusal_of
from apps.web.tables import Column, Table, table

#: Older delegations are in the audit trail.
MOST_LISTED = 100


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delegations(request: HttpRequest) -> HttpResponse:
    """List the user's delegations; POST gives one."""
    user = person(request)
    if request.method != "POST":
        return _page(request, DelegationForm(user=user))
    form = DelegationForm(request.POST, user=user)
    if not form.is_valid():
        return _page(request, form, status=422)
    values = form.cleaned_data
    try:
        given = services.delegation_give(
            delegator=user,
            delegate=values["delegate"],
            kinds=values["kinds"],
            most=values["most"],
            currency=values["currency"],
            starts_at=values["starts_at"],
            ends_at=values["ends_at"],
            reason=values["reason"],
            by=user,
            via="page",
            as_of=timezone.now(),
        )
    except DomainError as error:
        refusal = refusal_of(error)
        return _page(request, form, refusal=refusal, status=refusal.status)
    messages.success(
        request,
        gettext("{delegate} may sign for you, and was told.").format(delegate=given.delegate),
    )
    return redirect("delegations")


@login_required
@require_POST
def delegation_revoke(request: HttpRequest, delegation_id: int) -> HttpResponse:
    """Revoke a delegation that the user gave or holds."""
    try:
        services.delegation_revoke(
            delegation_id=delegation_id, by=person(request), via="page", as_of=timezone.now()
        )
    except NotFound as error:
        raise Http404 from error
    messages.success(request, gettext("It has ended. What was signed under it stands."))
    return redirect("delegations")


def _page(
    request: HttpRequest,
    form: DelegationForm,
    *,
    refusal: Refusal | None = None,
    status: int = 200,
) -> HttpResponse:
    user = person(request)
    now = timezone.now()
    rows = list(selectors.delegations_of(user)[:MOST_LISTED])
    context: dict[str, Any] = {
        "form": form,
        "refusal": refusal,
        "given": _table(request, "given", [r for r in rows if r.delegator_id == user.pk], now),
        "held": _table(request, "held", [r for r in rows if r.delegate_id == user.pk], now),
        "may_give": _may_give(user),
    }
    return render(request, "approvals/delegations.html", context, status=status)


def _table(request: HttpRequest, side: str, rows: list[Delegation], now: datetime) -> Table:
    """Return the table of what the user holds, or has given."""
    other = "delegator" if side == "held" else "delegate"
    return table(
        request,
        rows,
        (
            Column(head=_("Person"), value=other, form="title"),
            Column(head=_("What"), value=_kinds, form="terms"),
            Column(
                head=_("Up to"),
                value="most",
                form="amount",
                part="approvals/_delegation_most.html",
            ),
            Column(head=_("From"), value="starts_at", form="when", text=_("from {}")),
            Column(head=_("Until"), value="ends_at", form="when", text=_("until {}")),
            Column(head=_("Reason"), value="reason", form="prose"),
            Column(head=_("State"), value=lambda row: row.state(as_of=now), form="state"),
            Column(
                head=_("End it"),
                value=lambda row: side if row.revoked_at is None and row.ends_at > now else "",
                form="act",
                part="approvals/_delegation_end.html",
            ),
        ),
        id=f"{side}-rows",
        caption=gettext("You sign for") if side == "held" else gettext("Who signs for you"),
        order="",
        default="",
        address="",
        version="revoked_at",
    )


def _kinds(row: Delegation) -> str:
    return ", ".join(kinds.title_of(name) for name in row.kinds) or gettext("every kind")


def _may_give(user: User) -> bool:
    return user.has_perm(DECIDE_PERMISSION)
