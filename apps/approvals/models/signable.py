"""Which open requests a user could sign now: the conditions of `mine`, and their count.

Every page shows the count, so that what every page asks is compiled once a process.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, Q

from apps.approvals.models.delegations import Delegation, delegations_held, group_names
from apps.approvals.models.requests import ApprovalRequest, PayloadVersion
from apps.approvals.models.signatures import Signature
from apps.common.compiled import Compiled, Slot, any_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser
    from django.db.models import QuerySet

    from apps.accounts.models import User

#: The most claims by users who can no longer sign that one query looks at. Such claims lapse when
#: their lease ends.
MOST_LEFT = 500


@dataclass(frozen=True)
class _Standing:
    """What a user may sign with. `left`: requests whose lease in force is of a user who can no
    longer sign. Three queries, for any number of delegations; a fourth where others hold claims."""

    held: list[Delegation]
    groups: dict[int | None, list[str]]
    left: list[Any]


def signable(user: "User | AnonymousUser", *, as_of: datetime, group: str) -> list[Q]:
    """Return the conditions of `mine`, of open requests; `group` as there."""
    return _conditions(user, _standing(user, as_of=as_of), as_of=as_of, group=group)


def signable_count(user: "User | AnonymousUser", *, as_of: datetime, most: int) -> int:
    """Return how many requests fulfil `signable`, `most` at most."""
    standing = _standing(user, as_of=as_of)
    if standing.held:
        # The conditions differ from user to user.
        conditions = _conditions(user, standing, as_of=as_of, group="")
        return ApprovalRequest.objects.open().filter(*conditions).order_by()[:most].count()
    return _own(most).count(
        user=user.pk, as_of=as_of, groups=standing.groups[user.pk], left=standing.left
    )


def waits_for(group: str) -> Q:
    """Return the condition that the current tier is of the group or was escalated to it."""
    # Query escalations first. An OR would make the planner give up the index in the list's order,
    # and escalations are rare.
    escalated = ApprovalRequest.objects.open().filter(escalated_group=group)
    of_the_tier = Q(tier_group=group)
    return of_the_tier | Q(escalated_group=group) if escalated.exists() else of_the_tier


@cache
def _own(most: int) -> Compiled[ApprovalRequest]:
    """The open requests that a user could sign without any delegation."""

    def rows(user: Slot, as_of: Slot, groups: Slot, left: Slot) -> "QuerySet[ApprovalRequest]":
        may = (
            any_of("escalated_group", groups) | Q(escalated_to=user) | any_of("tier_group", groups)
        )
        free = _free(user, as_of=as_of) | any_of("pk", left)
        own = (may, *_four_eyes(user), free, _lasts(as_of))
        return ApprovalRequest.objects.open().filter(*own).order_by().only("pk")[:most]

    return Compiled(rows)


def _standing(user: "User | AnonymousUser", *, as_of: datetime) -> _Standing:
    held = delegations_held(user, as_of=as_of)
    groups = group_names({user.pk, *(delegation.delegator_id for delegation in held)})
    # Without any lease of somebody else, and there are few, whose it is need not be asked.
    others = _OTHERS_LEASES.count(user=user.pk, as_of=as_of)
    left = [row.pk for row in _LEFT.rows(as_of=as_of)] if others else []
    return _Standing(held, groups, left)


def _conditions(
    user: "User | AnonymousUser", standing: _Standing, *, as_of: datetime, group: str
) -> list[Q]:
    may = _of_the_tier(user.pk, standing.groups[user.pk], group)
    for delegation in standing.held:
        delegator = delegation.delegator
        scope = _of_the_tier(delegator.pk, standing.groups[delegator.pk], group)
        if delegation.kinds:
            scope &= Q(kind__in=delegation.kinds)
        if delegation.most is not None:
            scope &= Q(amount__lte=delegation.most, currency=delegation.currency)
        for condition in _four_eyes(delegator.pk):
            scope &= condition
        may |= scope
    free = _free(user.pk, as_of=as_of)
    if standing.left:
        free |= Q(pk__in=standing.left)
    return [may, *_four_eyes(user.pk), free, _lasts(as_of)]


def _of_the_tier(pk: int | None, names: list[str], group: str) -> Q:
    # A list, not a subquery: the planner can then estimate each group's number of rows.
    if group in names:
        return waits_for(group)
    let_in = Q(escalated_group__in=names) | Q(escalated_to=pk)
    return let_in if group else let_in | Q(tier_group__in=names)


def _free(pk: Any, *, as_of: Any) -> Q:
    """Return the condition that no lease is in force, except the user's own."""
    return Q(claimed_by=None) | Q(claimed_by=pk) | Q(claimed_until__lte=as_of)


def _lasts(as_of: Any) -> Q:
    return Q(expires_at=None) | Q(expires_at__gt=as_of)


def _leases(as_of: Any) -> "QuerySet[ApprovalRequest]":
    return ApprovalRequest.objects.open().filter(claimed_by__isnull=False, claimed_until__gt=as_of)


def _leases_left(as_of: Any) -> "QuerySet[ApprovalRequest]":
    """Return requests whose lease in force is of a user who can no longer sign (as
    `selectors.holder`, except for limits of delegations)."""
    groups = (OuterRef("tier_group"), OuterRef("escalated_group"))
    active = get_user_model().objects.filter(pk=OuterRef("claimed_by"), is_active=True)
    members = active.filter(Q(groups__name__in=groups) | Q(pk=OuterRef("escalated_to")))
    acting = (
        Delegation.objects.valid(as_of=as_of)
        .filter(delegate=OuterRef("claimed_by"), delegate__is_active=True)
        .filter(
            Q(delegator__groups__name__in=groups) | Q(delegator=OuterRef("escalated_to")),
            delegator__is_active=True,
        )
    )
    left = _leases(as_of).filter(~Exists(members), ~Exists(acting))
    return left.order_by().only("pk")[:MOST_LEFT]


_OTHERS_LEASES: Compiled[ApprovalRequest] = Compiled(
    lambda user, as_of: _leases(as_of).exclude(claimed_by=user).order_by().only("pk")[:1]
)
# A query of its own: it rarely finds any, and the list's plan stays the same.
_LEFT: Compiled[ApprovalRequest] = Compiled(_leases_left)


def _four_eyes(pk: Any) -> list[Q]:
    """Exclude the requester, editors and signers of the current payload."""
    edited = PayloadVersion.objects.filter(request=OuterRef("pk"), edited_by=pk)
    signed = Signature.objects.filter(
        Q(actor=pk) | Q(authority=pk),
        request=OuterRef("pk"),
        payload__number=OuterRef("payload_number"),
    )
    return [~Q(requested_by=pk), Q(~Exists(edited)), Q(~Exists(signed))]
