"""Pages of policies: what may be requested, under which limits, and who signs."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.common.language import lazy as _
from apps.common.windows import site_day
from apps.interventions.models import Policy
from apps.interventions.services.policy_terms import (
    amounts_in_words,
    days_in_words,
    regions_in_words,
    signatures_of,
    target_in_words,
    terms_of,
    undoing_in_words,
    versions_of,
)
from apps.web.fragments import person
from apps.web.lists import ListPage, listed
from apps.web.pages import DetailPage
from apps.web.pieces import Fact, Head, Link, Note, seen_by
from apps.web.tables import Column

VIEW_POLICIES = "interventions.view_policy"
VERSIONS_PAGE = 20


def _with_signatures(policies: list[Any]) -> None:
    signatures = signatures_of(policies, brief=True)
    for policy in policies:
        policy.signatures = signatures[policy.code] or [gettext("none")]


LIST_PAGE = ListPage(
    name="policies",
    title=_("Policies"),
    lead=_("What people may ask for, within which limits, and who has to sign."),
    noun="policy",
    topic="policies",
    rows=lambda user: Policy.objects.filter(active=True),
    to="policy",
    by="code",
    version=lambda policy: f"{policy.version}-{_state(policy)}",
    columns=(
        Column(head=_("Policy"), value="name", form="title", file="name"),
        Column(head=_("Code"), value="code", form="code", wide=True),
        Column(head=_("Version"), value="version", form="aside", text=_("version {}")),
        Column(head=_("Amount"), value=amounts_in_words, form="prose"),
        Column(head=_("One target"), value=target_in_words, form="prose", text=_("one target: {}")),
        Column(head=_("Valid"), value=days_in_words, form="prose", text=_("valid: {}"), wide=True),
        Column(head=_("Regions"), value=regions_in_words, form="prose", text=_("regions: {}")),
        Column(
            head=_("Undoing it"), value=undoing_in_words, form="aside", text=_("undoing it: {}")
        ),
        Column(
            head=_("Signatures"), value=lambda policy: "; ".join(policy.signatures), form="terms"
        ),
        Column(head=_("State"), value=lambda policy: _state(policy), form="state"),
    ),
    arrivals=False,
    complete=_with_signatures,
    permission=VIEW_POLICIES,
    links=(Link(_("New policy"), "admin:interventions_policy_put", "interventions.add_policy"),),
    none=_("No policy applies"),
    empty=_("An administrator has to create one before anybody can ask for an intervention."),
)


def _context(request: HttpRequest, policy: Policy) -> dict[str, Any]:
    found = listed(request, Policy.objects.filter(code=policy.code), limit=VERSIONS_PAGE)
    own = f"{reverse('interventions')}?policy={policy.code}"
    put = reverse("admin:interventions_policy_put_from", args=[policy.pk])
    links = (
        Link(gettext("Its interventions"), own),
        Link(gettext("New version"), put, "interventions.change_policy"),
    )
    off = Note(
        gettext("Switched off."),
        gettext("Nobody can ask under it, and what waits under it is not executed."),
        gettext("A new version switches it on again."),
    )
    return {
        "topics": f"policy:{policy.code}",
        "head": Head(
            policy.name,
            gettext("{code} · version {version} · amounts in {currency}").format(
                code=policy.code, version=policy.version, currency=policy.currency
            ),
            crumbs=(Link(gettext("Policies"), "policies"),),
            state=_state(policy),
            links=seen_by(links, person(request)),
            note=None if policy.active else off,
        ),
        "facts_title": gettext("What it allows"),
        "facts": [Fact(name, words) for name, words in terms_of(policy)],
        "signatures": signatures_of([policy])[policy.code],
        "versions": versions_of(found["items"]),
        "kept": gettext("an intervention keeps the version it was asked under"),
        "next": found["next"],
        "later_page": bool(request.GET.get("cursor")),
        # A code may end in "live", so the page's URL is not derived from the fragment's.
        "list_url": reverse("policy", args=[policy.code]),
    }


DETAIL_PAGE = DetailPage(
    name="policy",
    # The newest version is the policy.
    rows=lambda user: Policy.objects.order_by("-version"),
    column="code",
    context=_context,
    permission=VIEW_POLICIES,
    main=("web/_versions.html",),
    side=("web/_facts_panel.html", "interventions/_policy_signatures.html"),
)


def _state(policy: Policy) -> str:
    if not policy.active:
        return "off"
    today = site_day(timezone.now())
    if policy.valid_from is not None and today < policy.valid_from:
        return "not_yet_valid"
    if policy.valid_until is not None and today > policy.valid_until:
        return "no_longer_valid"
    return "applies_now"
