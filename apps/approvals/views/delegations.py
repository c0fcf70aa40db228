"""The page of a user's delegations: those given, those held, and a form to give one."""

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
from apps.web.fragments import person
from apps.web.refusals import Refusal, refusal_of
from apps.web.tones import tone_of, words_of

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
        "given": [_told(row, now) for row in rows if row.delegator_id == user.pk],
        "held": [_told(row, now) for row in rows if row.delegate_id == user.pk],
        "may_give": _may_give(user),
    }
    return render(request, "approvals/delegations.html", context, status=status)


def _told(row: Delegation, now: Any) -> dict[str, Any]:
    state = row.state(as_of=now)
    return {
        "row": row,
        "state": words_of(state),
        "tone": tone_of(state),
        "endable": row.revoked_at is None and row.ends_at > now,
        "kinds": ", ".join(kinds.title_of(name) for name in row.kinds) or gettext("every kind"),
    }


def _may_give(user: User) -> bool:
    return user.has_perm(DECIDE_PERMISSION)
