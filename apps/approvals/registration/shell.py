"""Registers approvals with the shared shell: navigation, home cards, roles, body sizes."""

import re

from django.conf import settings
from django.db.models import Q

from apps.accounts import roles, scopes
from apps.approvals import home
from apps.approvals.contracts import RequestStatus
from apps.approvals.forms import FILTERED
from apps.approvals.models import ApprovalRequest
from apps.approvals.scopes import Scope
from apps.audit import subject_types
from apps.common.language import lazy as _
from apps.common.uploads import ENVELOPE_BYTES
from apps.live.topics import UUID_PATTERN
from apps.web import body_sizes, dashboard, navigation, saved_filters
from apps.web.dashboard import Card, Domain, Place, Series
from apps.web.domain_cards import domain_card
from apps.web.navigation import Item
from apps.web.pieces import Link

#: The page and the API that receive evidence.
EVIDENCE_UPLOADS = body_sizes.Roomier(
    path=re.compile(
        rf"/requests/{UUID_PATTERN}/evidence/|/api/v1/approvals/{UUID_PATTERN}/evidence", re.ASCII
    ),
    most=settings.EVIDENCE_MAX_BYTES + ENVELOPE_BYTES,
)

PLACES = (
    Item(
        "work",
        _("Inbox"),
        "inbox",
        icon="inbox",
        count=home.inbox_count,
        also=("/requests/",),
        order=20,
    ),
    Item("work", _("Bulk decisions"), "bulk_list", icon="bulk", parent="inbox", order=30),
    Item("work", _("Delegations"), "delegations", icon="delegations", parent="inbox", order=40),
)

CARDS = (
    Card(
        key="waiting",
        template="approvals/_home_waiting.html",
        context=home.waiting_card,
        place=Place.MAIN,
        order=10,
        topics=("home", "inbox"),
    ),
    Card(
        key="overdue",
        template="approvals/_home_overdue.html",
        context=home.overdue_card,
        place=Place.MAIN,
        order=20,
        topics=("home", "inbox"),
    ),
    Card(
        key="held",
        template="approvals/_home_held.html",
        context=home.held_card,
        place=Place.MAIN,
        order=30,
        topics=("home", "inbox"),
    ),
    Card(
        key="acting",
        template="approvals/_home_acting.html",
        context=home.acting_card,
        place=Place.MAIN,
        order=80,
        topics=("home", "inbox"),
    ),
)

DOMAIN = Domain(
    key="approvals",
    title=_("Requests for a signature"),
    home=Link(_("Inbox"), "inbox"),
    today=home.today,
    order=20,
    series=Series(
        rows=ApprovalRequest.objects.visible_to,
        marked=Q(status=RequestStatus.OPEN),
        marked_title=_("still waiting"),
        tone="wait",
        sentence=(
            _("Requests for a signature in the last 24 hours: {count}; still waiting: {marked}.")
        ),
        none=_("Nobody asked for a signature in the last 24 hours."),
    ),
    topics=("home", "inbox"),
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    scopes.register(Scope)
    saved_filters.register(FILTERED)
    subject_types.register("approval", "approval_rule")
    navigation.register(*PLACES)
    dashboard.register(*CARDS, domain_card(DOMAIN))
    body_sizes.register(EVIDENCE_UPLOADS)
    for role in ("reviewer", "senior reviewer"):
        roles.grant(
            role,
            "approvals.decide_approvalrequest",
            "approvals.edit_approvalrequest",
            "approvals.view_*",
        )
    roles.grant("senior reviewer", "approvals.reassign_approvalrequest")
    roles.grant(
        "operator",
        "approvals.view_*",
        "approvals.reassign_approvalrequest",
        # A rule version never frees its own author's requests.
        "approvals.add_approvalrule",
        "approvals.change_approvalrule",
    )
