"""Pages of policies: what may be asked for, under which limits, and who signs."""

from datetime import date
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.audit.doors import needs
from apps.common.windows import site_day
from apps.interventions.models import Policy
from apps.interventions.services.policy_terms import signatures_of, terms_of, with_changes
from apps.web.fragments import fragment, seen_with
from apps.web.lists import listed

VIEW_POLICIES = "interventions.view_policy"
VERSIONS_PAGE = 20


@login_required
@needs(VIEW_POLICIES)
@require_GET
def policies(request: HttpRequest) -> HttpResponse:
    """The policies that apply now, each with its limits and its signatures."""
    return render(request, "interventions/policies.html", _list(request))


@fragment
@require_GET
def policies_live(request: HttpRequest) -> HttpResponse:
    """The rows as they are now."""
    seen_with(request, VIEW_POLICIES)
    return render(request, "interventions/_policies_live.html", _list(request))


@login_required
@needs(VIEW_POLICIES)
@require_GET
def policy_page(request: HttpRequest, code: str) -> HttpResponse:
    """One policy: what applies now, who signs, and its versions with what each changed."""
    return render(request, "interventions/policy.html", _policy(request, code))


@fragment
@require_GET
def policy_live(request: HttpRequest, code: str) -> HttpResponse:
    """The parts of the page as they are now."""
    seen_with(request, VIEW_POLICIES)
    return render(request, "interventions/_policy_live.html", _policy(request, code))


def _list(request: HttpRequest) -> dict[str, Any]:
    found = listed(request, Policy.objects.filter(active=True))
    signatures = signatures_of(found["items"], brief=True)
    today = site_day(timezone.now())
    return {
        "rows": [
            {
                "policy": policy,
                "terms": terms_of(policy),
                "signatures": signatures[policy.code],
                "state": _state(policy, today),
            }
            for policy in found["items"]
        ],
        **_place(request, found),
        "list_url": reverse("policies"),
    }


def _policy(request: HttpRequest, code: str) -> dict[str, Any]:
    newest = Policy.objects.filter(code=code).order_by("-version").first()
    if newest is None:
        raise Http404
    found = listed(request, Policy.objects.filter(code=code), limit=VERSIONS_PAGE)
    return {
        "policy": newest,
        "state": _state(newest, site_day(timezone.now())),
        "terms": terms_of(newest),
        "signatures": signatures_of([newest])[code],
        "versions": with_changes(found["items"]),
        **_place(request, found),
        # A code may end in "live": the address of the page is not cut out of the fragment's.
        "list_url": reverse("policy", args=[code]),
    }


def _place(request: HttpRequest, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "next": found["next"],
        "later_page": bool(request.GET.get("cursor")),
        # Of the page that is open: what it fetches again.
        "query": request.GET.urlencode(),
    }


def _state(policy: Policy, today: date) -> str:
    if not policy.active:
        return "off"
    if policy.valid_from is not None and today < policy.valid_from:
        return "not_yet_valid"
    if policy.valid_until is not None and today > policy.valid_until:
        return "no_longer_valid"
    return ""
