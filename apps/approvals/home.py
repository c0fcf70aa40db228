"""Approval cards of the home page: open, overdue and claimed requests, and delegations."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext

from apps.approvals import kinds
from apps.approvals.contracts import RequestStatus
from apps.approvals.models import ApprovalRequest, Delegation
from apps.common.money import shown
from apps.common.windows import midnight, site_day
from apps.web.dashboard import SHOWN, Figure, Today
from apps.web.lists import COUNT_LIMIT, counted, counted_each, shown_count

if TYPE_CHECKING:
    from apps.accounts.models import User


@dataclass(frozen=True)
class Acting:
    """A delegation in force, as the delegate or the delegator sees it."""

    who: str
    scope: str
    ends_at: datetime


def waiting_card(user: "User", as_of: datetime) -> dict[str, Any]:
    """Return the first requests that the user could sign now, and their number."""
    rows = waiting(user, as_of=as_of)
    href = reverse("inbox") + "?mine=on"
    figure = Figure(counted(rows), gettext("wait for your signature"), href, order=10)
    return {**_listed(rows, as_of), "figures": [figure]}


def overdue_card(user: "User", as_of: datetime) -> dict[str, Any]:
    """Return the first overdue requests."""
    return _listed(overdue(user, as_of=as_of), as_of)


def held_card(user: "User", as_of: datetime) -> dict[str, Any]:
    """Return the first requests that the user has claimed."""
    return _listed(held(user, as_of=as_of), as_of)


def acting_card(user: "User", as_of: datetime) -> dict[str, Any]:
    """Return the delegations in force: those the user holds and those the user gave."""
    return {
        "acting_for": acting_for(user, as_of=as_of),
        "represented_by": represented_by(user, as_of=as_of),
    }


def today(user: "User", as_of: datetime) -> Today:
    """Return what waits for signatures, and what was decided today, of all that the user may
    see."""
    rows, inbox = ApprovalRequest.objects.visible_to(user), reverse("inbox")
    waiting, late, taken, mine, decided = counted_each(
        rows.open(),
        rows.open().filter(due_at__lte=as_of),
        rows.open().filter(claimed_until__gt=as_of),
        rows.open().filter(claimed_until__gt=as_of, claimed_by=user.pk),
        rows.exclude(status=RequestStatus.OPEN).filter(settled_at__gte=midnight(site_day(as_of))),
    )
    tone = "" if late == "0" else "warn"
    return Today(
        [
            Figure(waiting, gettext("wait for a signature"), inbox),
            Figure(late, gettext("overdue"), f"{inbox}?due=over", tone=tone),
            Figure(taken, gettext("held by somebody"), f"{inbox}?claim=taken"),
            Figure(decided, gettext("decided today")),
        ],
        above=[
            Figure(late, gettext("overdue"), f"{inbox}?due=over", order=20, tone=tone),
            Figure(mine, gettext("held by you"), f"{inbox}?claim=me", order=30),
        ],
    )


def inbox_count(user: "User") -> str:
    """Return the number of requests that the user could sign now, for the navigation; empty for
    none."""
    return shown_count(ApprovalRequest.objects.mine_counted(user, most=COUNT_LIMIT + 1))


def waiting(user: "User", *, as_of: datetime) -> "QuerySet[ApprovalRequest]":
    """Return what the user could sign now, by due time, then by age."""
    mine = ApprovalRequest.objects.mine(user, as_of=as_of)
    return mine.for_list().order_by("due_at", "id")


def overdue(user: "User", *, as_of: datetime) -> "QuerySet[ApprovalRequest]":
    """Return open requests past their due time, the longest overdue first."""
    visible = ApprovalRequest.objects.visible_to(user).open()
    return visible.filter(due_at__lte=as_of).for_list().order_by("due_at", "id")


def held(user: "User", *, as_of: datetime) -> "QuerySet[ApprovalRequest]":
    """Return open requests that the user has claimed; the lease that ends first comes first."""
    visible = ApprovalRequest.objects.visible_to(user).open()
    mine = visible.filter(claimed_by=user.pk, claimed_until__gt=as_of)
    return mine.for_list().order_by("claimed_until", "id")


def acting_for(user: "User", *, as_of: datetime) -> list[Acting]:
    """Return the delegations under which the user may sign now."""
    rows = Delegation.objects.valid(as_of=as_of).filter(delegate=user.pk)
    found = rows.select_related("delegator").order_by("ends_at")[:SHOWN]
    return [Acting(str(row.delegator), _scope(row), row.ends_at) for row in found]


def represented_by(user: "User", *, as_of: datetime) -> list[Acting]:
    """Return the delegations under which others may sign for the user now."""
    rows = Delegation.objects.valid(as_of=as_of).filter(delegator=user.pk)
    found = rows.select_related("delegate").order_by("ends_at")[:SHOWN]
    return [Acting(str(row.delegate), _scope(row), row.ends_at) for row in found]


def _listed(requests: "QuerySet[ApprovalRequest]", as_of: datetime) -> dict[str, Any]:
    """Return the first requests for their card, and for each its amount where its title does not
    say it."""
    rows = [(row, shown(row.amount, row.currency)) for row in requests[:SHOWN]]
    return {
        "rows": [(row, "" if amount in row.title else amount) for row, amount in rows],
        "as_of": as_of,
    }


def _scope(row: Delegation) -> str:
    what = ", ".join(kinds.title_of(name) for name in row.kinds) or gettext("every kind")
    return (
        what
        if row.most is None
        else gettext("{what}, up to {shown}").format(what=what, shown=shown(row.most, row.currency))
    )
