"""Who could sign a request: the users that its clock notifies and to whom it can be reassigned."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from apps.approvals.contracts import RequestStatus
from apps.approvals.models import DECIDE_PERMISSION, ApprovalRequest, Delegation
from apps.approvals.models.delegations import PERMISSIONS_BACKEND
from apps.approvals.selectors.tiers import current_signatures

if TYPE_CHECKING:
    from apps.accounts.models import User


def signers(
    request: ApprovalRequest,
    *,
    as_of: datetime | None = None,
    group: str = "",
    person: "User | None" = None,
) -> "QuerySet[User]":
    """Return who could sign the current tier if it were not claimed, under their own or a delegated
    authority. With `group` or `person`: only under the authority of these."""
    from apps.accounts.models import User

    if request.status != RequestStatus.OPEN:
        return User.objects.none()
    as_of = as_of or timezone.now()
    barred = _barred(request)
    allowed = User.objects.with_perm(DECIDE_PERMISSION, backend=PERMISSIONS_BACKEND)
    allowed = allowed.exclude(pk__in=barred)
    own = allowed.filter(_of_the_tier(request)).order_by()
    if group:
        own = own.filter(pk__in=User.objects.filter(groups__name=group).values("pk"))
    if person is not None:
        own = own.filter(pk=person.pk)
    acting = _covering(request, as_of=as_of).filter(delegator__in=own.values("pk"))
    return allowed.filter(
        Q(pk__in=own.values("pk")) | Q(pk__in=acting.values("delegate"))
    ).order_by("first_name", "last_name", "username")


def acting_for(request: ApprovalRequest, people: Iterable[int], *, as_of: datetime) -> list[int]:
    """Return the ids of users who may sign the request now on behalf of one of `people`."""
    from apps.accounts.models import User

    acting = _covering(request, as_of=as_of).filter(delegator__in=list(people))
    able = User.objects.with_perm(DECIDE_PERMISSION, backend=PERMISSIONS_BACKEND)
    able = able.filter(pk__in=acting.values("delegate")).exclude(pk__in=_barred(request))
    return list(able.order_by("pk").values_list("pk", flat=True))


def common_senior(request: ApprovalRequest, *, as_of: datetime) -> "User | None":
    """Return the senior of most of those who could sign, for a request that was never claimed: one
    person is responsible. Excludes the requester, editors, signers and users who may not sign."""
    from apps.accounts.models import User

    people = signers(request, as_of=as_of, group=request.tier_group).order_by().values("pk")
    able = User.objects.with_perm(DECIDE_PERMISSION, backend=PERMISSIONS_BACKEND)
    seniors = (
        User.objects.filter(pk__in=people, senior__in=able.exclude(pk__in=_barred(request)))
        .order_by()
        .values("senior")
        .annotate(number=Count("pk"))
        .order_by("-number", "senior")
    )
    first = seniors.values_list("senior", flat=True).first()
    return User.objects.filter(pk=first).first() if first is not None else None


def _of_the_tier(request: ApprovalRequest) -> Q:
    from apps.accounts.models import User

    groups = [name for name in (request.tier_group, request.escalated_group) if name]
    members = User.groups.through.objects.filter(group__name__in=groups).values("user_id")
    return Q(pk__in=members) | Q(pk=request.escalated_to_id)


def _covering(request: ApprovalRequest, *, as_of: datetime) -> "QuerySet[Delegation]":
    """Apply `Delegation.covers` in one query, without delegations by barred users."""
    limit = Q(most=None)
    if request.amount is not None:
        limit |= Q(most__gte=request.amount, currency=request.currency)
    return (
        Delegation.objects.valid(as_of=as_of)
        .filter(limit, Q(kinds=[]) | Q(kinds__contains=[request.kind]))
        .exclude(delegator__in=_barred(request))
    )


def _barred(request: ApprovalRequest) -> set[int]:
    """Return the requester, the editors, and actors and authorities of the counting signatures."""
    people = {request.requested_by_id, *(p.edited_by_id for p in request.payloads.all())}
    for signature in current_signatures(request):
        people |= {signature.actor_id, signature.authority_id}
    return {pk for pk in people if pk is not None}
