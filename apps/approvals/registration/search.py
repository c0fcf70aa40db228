"""What is found of approvals: requests, bulk decisions, delegations, kinds."""

from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from apps.accounts.models import User
from apps.approvals import kinds
from apps.approvals.contracts import RequestStatus
from apps.approvals.models import ApprovalRequest, BulkDecision, Delegation
from apps.approvals.scopes import Scope
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.web import search
from apps.web.search import (
    BY_NUMBER,
    BY_UUID,
    Asking,
    Found,
    Match,
    Source,
    among,
    asked,
    by_text,
    by_value,
    held,
    rows_found,
    starts_a_word,
)
from apps.web.search_query import Query

VIEW_DELEGATIONS = "approvals.view_delegation"
_NEWEST = ("-created_at", "-id")
_OPEN = Q(status=RequestStatus.OPEN)


def _about(query: Query) -> Q | None:
    """Return the condition of requests about a row with the query's id."""
    if query.uuid is None:
        return None
    types = {kind.subject_type for kind in kinds.registered() if kind.subject_type}
    return Q(subject_type__in=sorted(types), subject_id=str(query.uuid))


def _request(row: ApprovalRequest) -> Found:
    return Found(
        title=row.title,
        href=reverse("request", args=[row.pk]),
        key=str(row.pk),
        state=row.status,
        notes=(
            kinds.title_of(row.kind),
            gettext("asked by {requested_by}").format(requested_by=row.requested_by)
            if row.requested_by
            else "",
        ),
        at=row.created_at,
        amount=row.amount,
        currency=row.currency,
        workflow_id=row.workflow_id,
    )


def _in_inbox(query: Query) -> str:
    """Return the inbox with this search, which lists what waits."""
    return f"{reverse('inbox')}?{urlencode({'q': query.text})}"


REQUESTS = Source(
    key="requests",
    title=_("Requests for a signature"),
    hint=_("id, id of what is asked for, or a part of the title and of what is asked"),
    scope=Scope.READ,
    order=20,
    find=among(
        lambda: ApprovalRequest.objects.select_related("requested_by"),
        BY_UUID,
        Match(_about),
        by_value("key", like=r"\S+:\S+"),
        # A way for each of the two partial indexes; what waits comes first.
        by_text("search_text", where=_OPEN, order=_NEWEST),
        by_text("search_text", where=~_OPEN, order=_NEWEST),
        found=_request,
        seen=ApprovalRequest.objects.seen_by,
    ),
)

BULK = Source(
    key="bulk",
    title=_("Bulk decisions"),
    hint=_("id"),
    scope=Scope.READ,
    order=50,
    find=among(
        lambda: BulkDecision.objects.select_related("requested_by"),
        BY_UUID,
        found=lambda row: asked(
            row,
            "bulk",
            ngettext("{total:,} request", "{total:,} requests", row.total).format(total=row.total),
        ),
        seen=BulkDecision.objects.seen_by,
    ),
)


# --- delegations ----------------------------------------------------------------------------------
#: Indexed together, of people.
_NAMES = ("username", "first_name", "last_name", "email")


def _side(column: str) -> Match:
    """Find delegations with a person of that name on this side. One query: the database joins the
    people, however many have the name."""
    return by_text(*(f"{column}__{name}" for name in _NAMES))


def _delegation(row: Delegation, user: User) -> Found:
    own = user.pk in (row.delegator_id, row.delegate_id)
    if own or not user.is_staff:
        href = reverse("delegations")
    else:
        href = reverse("admin:approvals_delegation_change", args=[row.pk])
    return Found(
        title=gettext("{delegate} signs for {delegator}").format(
            delegate=row.delegate, delegator=row.delegator
        ),
        href=href,
        key=str(row.pk),
        state=row.state(as_of=timezone.now()),
        notes=(
            ", ".join(kinds.title_of(name) for name in row.kinds) or gettext("every kind"),
            gettext("up to {shown}").format(shown=shown(row.most, row.currency))
            if row.most is not None
            else "",
        ),
        at=row.starts_at,
    )


def _delegations() -> "QuerySet[Delegation]":
    return Delegation.objects.select_related("delegator", "delegate")


def _delegations_seen(user: User) -> Q:
    if user.has_perm(VIEW_DELEGATIONS) and user.is_staff:
        return Q()
    return Q(delegator=user.pk) | Q(delegate=user.pk)


_BY_PEOPLE = (BY_NUMBER, _side("delegator"), _side("delegate"))


def _find_delegations(user: User, query: Query, most: int) -> Asking[list[Found]]:
    rows = yield from rows_found(_delegations, _BY_PEOPLE, _delegations_seen(user), query, most)
    return [_delegation(row, user) for row in rows]


DELEGATIONS = Source(
    key="delegations",
    title=_("Delegations"),
    hint=_("who signs for whom, or the number"),
    scope=Scope.READ,
    order=60,
    find=_find_delegations,
)


# --- kinds ----------------------------------------------------------------------------------------
def _find_kinds(user: Any, query: Query, most: int) -> list[Found]:
    return [
        Found(
            title=kind.title,
            href=f"{reverse('inbox')}?{urlencode({'kind': kind.name})}",
            notes=(gettext("what waits, in the inbox"),),
        )
        for kind in kinds.registered()
        if starts_a_word(query, kind.title) or query.text == kind.name
    ][:most]


KINDS = Source(
    key="kinds",
    title=_("Kinds of request"),
    hint=_("the name"),
    order=95,
    find=held(_find_kinds),
)


def register() -> None:
    """Register the sources. Called once, when Django is ready."""
    search.register(REQUESTS, BULK, DELEGATIONS, KINDS)
