"""Whether a user may sign a request now, and under whose authority."""

from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.approvals import kinds
from apps.approvals.contracts import RequestStatus
from apps.approvals.models import DECIDE_PERMISSION, ApprovalRequest, Delegation
from apps.approvals.models.delegations import PERMISSIONS_BACKEND as PERMISSIONS_BACKEND
from apps.approvals.models.delegations import delegations_held, group_names
from apps.approvals.selectors.tiers import current_signatures, current_tier
from apps.common.errors import Conflict, DomainError, Invalid, NotAllowed
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine import services as engine

if TYPE_CHECKING:
    from apps.accounts.models import User


@dataclass(frozen=True)
class Standing:
    """The authority of a signature: the user's own (no delegation), or a delegator's."""

    authority: "User"
    delegation: Delegation | None = None


@dataclass(frozen=True)
class Hands:
    """A user's delegations and the groups of the user and the delegators, read once for any number
    of requests. `others`: the same for users who hold claims, by id, to check those claims."""

    delegations: list[Delegation]
    groups: dict[int | None, list[str]]
    others: "dict[int, Hands]" = field(default_factory=dict)


def hands_of(user: "User | AnonymousUser", *, as_of: datetime) -> Hands:
    """Read them in two queries, for any number of delegations."""
    held = delegations_to(user, as_of=as_of)
    return Hands(held, group_names({user.pk, *(one.delegator_id for one in held)}))


def can_sign(
    request: ApprovalRequest, user: "User | AnonymousUser", *, as_of: datetime | None = None
) -> str:
    """Return an empty text if the user may sign now under some authority (see `authorities`), else
    the code with which a decision would be refused."""
    as_of = as_of or timezone.now()
    refusal = state_refusal(request, as_of=as_of)
    if refusal is None:
        refusal = person_refusal(request, user, authority=user, as_of=as_of)
        if refusal and _delegated(request, user, as_of=as_of):
            return ""
    return refusal.code if refusal else ""


def authorities(
    request: ApprovalRequest, user: "User | AnonymousUser", *, as_of: datetime | None = None
) -> "list[User]":
    """Return the authorities under which the user could sign now, their own first; none: cannot
    sign."""
    as_of = as_of or timezone.now()
    if user.pk is None or state_refusal(request, as_of=as_of):
        return []
    return authorities_with(request, user, hands_of(user, as_of=as_of), as_of=as_of)


def authorities_with(
    request: ApprovalRequest, user: "User | AnonymousUser", hands: Hands, *, as_of: datetime
) -> "list[User]":
    """As `authorities` without queries, for a request that passes `state_refusal`."""
    own = person_refusal(request, user, authority=user, as_of=as_of, hands=hands) is None
    found = _delegated(request, user, as_of=as_of, hands=hands)
    delegated = [standing.authority for standing in found]
    return [user, *delegated] if own and user.pk is not None else delegated


def standing(
    request: ApprovalRequest, user: "User", *, on_behalf_of: "User | None", as_of: datetime
) -> Standing:
    """Return the authority for a signature given now. Raises the refusal.

    Without `on_behalf_of`: the user's own authority, else the only delegated one that allows it,
    else the refusal of their own. The user must choose among several delegated ones.
    """
    if on_behalf_of is not None:
        if refusal := person_refusal(request, user, authority=on_behalf_of, as_of=as_of):
            raise refusal
        delegation = _delegation(request, user, on_behalf_of, as_of=as_of)
        if delegation is None and on_behalf_of.pk != user.pk:
            # The delegation was revoked since the check above.
            raise NotAllowed(
                filled(
                    _("{on_behalf_of} has not delegated this to you, or no longer."),
                    on_behalf_of=on_behalf_of,
                ),
                code="no_delegation",
            )
        return Standing(on_behalf_of, delegation)
    own = person_refusal(request, user, authority=user, as_of=as_of)
    if own is None:
        return Standing(user)
    found = _delegated(request, user, as_of=as_of)
    if len(found) == 1:
        return found[0]
    raise own


_ALREADY = {
    RequestStatus.APPROVED: _("Already approved by {decided_by} at {settled_at}."),
    RequestStatus.REJECTED: _("Already rejected by {decided_by} at {settled_at}."),
    RequestStatus.EXPIRED: _("Already expired by {decided_by} at {settled_at}."),
    RequestStatus.CANCELLED: _("Already cancelled by {decided_by} at {settled_at}."),
}


def state_refusal(
    request: ApprovalRequest, *, as_of: datetime, closed: Container[str] | None = None
) -> DomainError | None:
    """Return why nobody may sign any more, with who decided and when, or None. `closed`: the ended
    workflows, for a caller that checks many requests (`engine.workflows_closed`)."""
    if request.status != RequestStatus.OPEN:
        settled_at = request.settled_at.isoformat() if request.settled_at else ""
        decided_by = str(request.settled_by) if request.settled_by else _("the engine")
        return Conflict(
            filled(
                _ALREADY[RequestStatus(request.status)],
                decided_by=decided_by,
                settled_at=request.settled_at or "–",
            ),
            code="already_decided",
            status=request.status,
            # In a problem document `status` is the HTTP status, so the API needs another name.
            request_status=request.status,
            decided_by=decided_by,
            decided_at=settled_at,
        )
    if request.expires_at and as_of >= request.expires_at:
        return Conflict(
            filled(
                _("It could be signed until {expires_at}."),
                expires_at=request.expires_at,
            ),
            code="expired",
            expires_at=request.expires_at.isoformat(),
        )
    kind = kinds.find(request.kind)
    if (
        request.workflow_id
        and not (kind and kind.restarts)
        and (
            engine.workflow_is_closed(workflow_id=request.workflow_id)
            if closed is None
            else request.workflow_id in closed
        )
    ):
        return Conflict(
            _("The workflow that waited for this decision has ended."), code="workflow_closed"
        )
    return None


def person_refusal(
    request: ApprovalRequest,
    actor: "User | AnonymousUser",
    *,
    authority: "User | AnonymousUser | None" = None,
    as_of: datetime | None = None,
    claims: bool = True,
    hands: Hands | None = None,
) -> DomainError | None:
    """Return why this user may not sign an open request, or None. Superusers get no exception.

    `authority` is on whose behalf the user signs; without it, `standing` chooses. Neither of the
    two may be the requester, an editor of any version, or actor or authority of a counting
    signature. `claims=False` ignores claims.
    """
    as_of = as_of or timezone.now()
    if authority is None:
        refusal = person_refusal(request, actor, authority=actor, as_of=as_of, claims=claims)
        if refusal and len(_delegated(request, actor, as_of=as_of, claims=claims)) == 1:
            return None
        return refusal
    delegation = None
    if authority.pk != actor.pk:
        delegation = _delegation(request, actor, authority, as_of=as_of)
    return _refusal(
        request,
        actor,
        authority,
        delegation=delegation,
        as_of=as_of if claims else None,
        hands=hands,
    )


def claim_refusal(
    request: ApprovalRequest,
    actor: "User | AnonymousUser",
    *,
    as_of: datetime,
    hands: Hands | None = None,
) -> DomainError | None:
    """Return Conflict `claimed` while somebody else holds the request."""
    if request.claimed_by_id == actor.pk:
        return None
    holder_hands = hands.others.get(request.claimed_by_id or 0) if hands else None
    if (held_by := holder(request, as_of=as_of, hands=holder_hands)) is None:
        return None
    until = request.claimed_until.isoformat() if request.claimed_until else ""
    return Conflict(
        filled(
            _("{held_by} is at it until {until}."),
            held_by=held_by,
            until=request.claimed_until or "–",
        ),
        code="claimed",
        claimed_by=str(held_by),
        claimed_until=until,
    )


def holder(
    request: ApprovalRequest, *, as_of: datetime, hands: Hands | None = None
) -> "User | None":
    """Return who holds the claim. A lapsed lease does not count, nor the lease of a user who can no
    longer sign: deactivated, out of the group, or with the delegation revoked."""
    held_by = leaseholder(request, as_of=as_of)
    if held_by is None:
        return None
    own = person_refusal(
        request, held_by, authority=held_by, as_of=as_of, claims=False, hands=hands
    )
    able = own is None or bool(_delegated(request, held_by, as_of=as_of, claims=False, hands=hands))
    return held_by if able else None


def leaseholder(request: ApprovalRequest, *, as_of: datetime) -> "User | None":
    """Return whose lease is in force, without checking the user: for lists, without a query."""
    lapsed = request.claimed_until is None or request.claimed_until <= as_of
    return None if lapsed or request.status != RequestStatus.OPEN else request.claimed_by


def delegations_to(user: "User | AnonymousUser", *, as_of: datetime) -> list[Delegation]:
    """Return the delegations under which the user could sign at that time."""
    return delegations_held(user, as_of=as_of)


def delegations_of(user: "User") -> "QuerySet[Delegation]":
    """Return the delegations the user gave or holds, newest first, for the user's own page."""
    mine = Delegation.objects.filter(Q(delegator=user) | Q(delegate=user))
    return mine.select_related("delegator", "delegate", "revoked_by")


def _delegated(
    request: ApprovalRequest,
    user: "User | AnonymousUser",
    *,
    as_of: datetime,
    claims: bool = True,
    hands: Hands | None = None,
) -> list[Standing]:
    """Return a standing for each delegator under whose authority the user could sign."""
    # A user who is barred is barred under every authority: most calls end here.
    if _eyes_refusal(request, {user.pk}) or not user.has_perm(DECIDE_PERMISSION):
        return []
    hands = hands or hands_of(user, as_of=as_of)
    found: dict[int, Standing] = {}
    for delegation in hands.delegations:
        authority = delegation.delegator
        if authority.pk in found or not _covers(delegation, request, as_of=as_of):
            continue
        barred = _refusal(
            request,
            user,
            authority,
            delegation=delegation,
            as_of=as_of if claims else None,
            hands=hands,
        )
        if barred is None:
            found[authority.pk] = Standing(authority, delegation)
    return list(found.values())


def _refusal(
    request: ApprovalRequest,
    actor: "User | AnonymousUser",
    authority: "User | AnonymousUser",
    *,
    delegation: Delegation | None,
    as_of: datetime | None,
    hands: Hands | None = None,
) -> DomainError | None:
    if refusal := _eyes_refusal(request, {actor.pk, authority.pk}):
        return refusal
    if not actor.is_active or not actor.has_perm(DECIDE_PERMISSION):
        return NotAllowed(_("You may not sign requests."), code="permission_denied")
    behalf = authority.pk != actor.pk
    # `hands` holds only delegations whose delegators may sign.
    known = hands is not None and delegation in hands.delegations
    if (
        behalf
        and not known
        and (not authority.is_active or not authority.has_perm(DECIDE_PERMISSION))
    ):
        return Invalid(
            filled(_("{authority} may not sign requests themselves."), authority=authority),
            code="authority_invalid",
        )
    if behalf and delegation is None:
        return NotAllowed(
            filled(
                _("{authority} has not delegated this to you, or no longer."), authority=authority
            ),
            code="no_delegation",
        )
    if not _is_of_the_tier(request, authority, hands):
        tier = current_tier(request)
        group = tier.group if tier else ""
        text = (
            _("A signature by {group} is needed now, and {authority} is not in that group.")
            if behalf
            else _("A signature by {group} is needed now, and you are not in that group.")
        )
        return NotAllowed(
            filled(text, group=group, authority=authority),
            code="not_in_group",
            group=group,
        )
    return claim_refusal(request, actor, as_of=as_of, hands=hands) if as_of else None


def own_refusal(request: ApprovalRequest, people: set[int | None]) -> DomainError | None:
    """Return NotAllowed when one of these users asked for the request or edited it."""
    people = people - {None}
    if request.requested_by_id in people:
        return NotAllowed(_("Nobody signs what they asked for."), code="requester_cannot_sign")
    if people & {payload.edited_by_id for payload in request.payloads.all()}:
        return NotAllowed(_("Nobody signs what they edited."), code="editor_cannot_sign")
    return None


def _eyes_refusal(request: ApprovalRequest, people: set[int | None]) -> DomainError | None:
    people = people - {None}
    if refusal := own_refusal(request, people):
        return refusal
    signatures = current_signatures(request)
    if people & {pk for s in signatures for pk in (s.actor_id, s.authority_id)}:
        return NotAllowed(_("You have signed this already."), code="already_signed")
    return None


def _is_of_the_tier(
    request: ApprovalRequest, authority: "User | AnonymousUser", hands: Hands | None
) -> bool:
    tier = current_tier(request)
    if tier is None:
        return False
    if request.escalated_to_id is not None and request.escalated_to_id == authority.pk:
        return True
    names = {name for name in (tier.group, request.escalated_group) if name}
    if hands is not None and authority.pk in hands.groups:
        return not names.isdisjoint(hands.groups[authority.pk])
    return authority.groups.filter(name__in=names).exists()


def _delegation(
    request: ApprovalRequest,
    actor: "User | AnonymousUser",
    authority: "User | AnonymousUser",
    *,
    as_of: datetime,
) -> Delegation | None:
    if actor.pk is None or authority.pk in {None, actor.pk}:
        return None
    between = Delegation.objects.valid(as_of=as_of).filter(
        delegate=actor.pk, delegator=authority.pk
    )
    found = (d for d in between.order_by("-ends_at", "id") if _covers(d, request, as_of=as_of))
    return next(found, None)


def _covers(delegation: Delegation, request: ApprovalRequest, *, as_of: datetime) -> bool:
    return delegation.covers(
        kind=request.kind, amount=request.amount, currency=request.currency, as_of=as_of
    )
