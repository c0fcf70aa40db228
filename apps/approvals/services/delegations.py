"""Delegations: let another user sign on one's behalf, for a time and within limits."""

import re
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import kinds as approval_kinds
from apps.approvals import notifications, validation
from apps.approvals.models import DECIDE_PERMISSION, REASSIGN_PERMISSION, Delegation
from apps.approvals.services.rows import person_named
from apps.audit.services import entry_record, refusals
from apps.common.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.money import exact_or_none
from apps.live.broadcast import broadcast

SUBJECT = "delegation"
LONGEST = timedelta(days=366)
#: The most delegations that a user can hold: each is a condition in the inbox's query.
MOST_HELD = 20
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


def delegation_give(
    *,
    delegator: User,
    delegate: User | str,
    kinds: list[str],
    most: Decimal | None,
    currency: str,
    starts_at: datetime | None,
    ends_at: datetime,
    reason: str,
    by: User,
    via: str,
    as_of: datetime,
) -> Delegation:
    """Let `delegate` (a user or a username) sign what `delegator` could, from `starts_at` (None:
    `as_of`) until `ends_at`; `kinds` empty: every kind; `most`: amounts up to this, in `currency`.

    Only the delegator's own authority: a delegate cannot delegate further. Returns an equal
    delegation that is in force. Notifies the delegate. Raises, each audited: NotAllowed
    `permission_denied`; Invalid `delegate_invalid`, `unknown_kind`, `amount_invalid`,
    `currency_invalid`, `period_invalid` (at most 366 days, not over yet), `reason_too_long`,
    `invalid_text`, `as_of_in_future`; Conflict `too_many_delegations`.
    """
    with (
        refusals(action="delegation.give", subject_type=SUBJECT, subject_id="", by=by, via=via),
        transaction.atomic(durable=True),
    ):
        if by.pk != delegator.pk or not by.has_perm(DECIDE_PERMISSION):
            raise NotAllowed(_("You can only give what you have."), code="permission_denied")
        to = person_named(delegate, code="delegate_invalid")
        assert to is not None  # `delegate` is required
        _check_delegate(delegator, to)
        terms = {
            "kinds": sorted({approval_kinds.get(str(name)).name for name in kinds}),
            "most": validation.amount_of(most, currency),
            "currency": _currency_of(most, currency),
        }
        validation.not_in_future(as_of)
        starts_at = _check_period(starts_at or as_of, ends_at, as_of=as_of)
        reason = validation.reason_of(reason)
        # Lock both users, sorted by id: concurrent calls then neither create it twice nor exceed
        # the limit.
        people = User.objects.select_for_update(no_key=True).order_by("pk")
        list(people.filter(pk__in=[delegator.pk, to.pk]).values_list("pk"))
        running = Delegation.objects.filter(revoked_at=None, ends_at__gt=as_of, delegate=to)
        # A call that waited for the lock may find an equal delegation that started after its own
        # `as_of`.
        begun = max(starts_at, timezone.now())
        same = running.filter(delegator=delegator, starts_at__lte=begun, ends_at=ends_at, **terms)
        if found := same.first():
            return found
        if running.count() >= MOST_HELD:
            raise Conflict(
                filled(
                    _("{to} acts for others {most_held} times already."), to=to, most_held=MOST_HELD
                ),
                code="too_many_delegations",
            )
        given = Delegation.objects.create(
            delegator=delegator,
            delegate=to,
            starts_at=starts_at,
            ends_at=ends_at,
            reason=reason,
            **terms,
        )
        _record(given, "given", by=by, via=via)
        notifications.tell_delegation(given, "given", by=by)
        return given


def delegation_revoke(
    *, delegation_id: int | str, by: User, via: str, as_of: datetime
) -> Delegation:
    """End the delegation; its signatures stay valid. Repeating changes nothing.

    Allowed for the delegator, the delegate, and with the permission
    approvals.reassign_approvalrequest; NotFound `not_found`, audited, for everybody else. Notifies
    both sides, except the user who revokes.
    """
    with (
        refusals(
            action="delegation.revoke",
            subject_type=SUBJECT,
            subject_id=validation.printable(delegation_id),
            by=by,
            via=via,
        ),
        transaction.atomic(durable=True),
    ):
        validation.not_in_future(as_of)
        revocable = Q() if by.has_perm(REASSIGN_PERMISSION) else Q(delegator=by) | Q(delegate=by)
        found = (
            Delegation.objects.select_for_update(of=("self",), no_key=True)
            .select_related("delegator", "delegate")
            .filter(revocable, pk=_number_of(delegation_id))
            .first()
        )
        if found is None:
            raise NotFound(_("There is no such delegation."))
        if found.revoked_at is not None:
            return found
        found.revoked_at = as_of
        found.revoked_by = by
        found.save(update_fields=["revoked_at", "revoked_by"])
        _record(found, "revoked", by=by, via=via)
        notifications.tell_delegation(found, "revoked", by=by)
        return found


def _check_delegate(delegator: User, delegate: User) -> None:
    if delegate.pk == delegator.pk:
        raise Invalid(_("Nobody acts for themselves."), code="delegate_invalid")
    if not delegate.is_active or not delegate.has_perm(DECIDE_PERMISSION):
        raise Invalid(
            filled(
                _("{delegate} may not sign requests at all: a role comes first."), delegate=delegate
            ),
            code="delegate_invalid",
        )


def _currency_of(most: Decimal | None, currency: str) -> str:
    if most is None:
        return ""
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise Invalid(
            _("A limit needs a currency, three capital letters."), code="currency_invalid"
        )
    return currency


def _check_period(starts_at: datetime, ends_at: datetime, *, as_of: datetime) -> datetime:
    """Return when the delegation starts: not before it was given."""
    if timezone.is_naive(starts_at) or timezone.is_naive(ends_at):
        raise Invalid(_("The times need a time zone."), code="period_invalid")
    starts_at = max(starts_at, as_of)
    if not timedelta(0) < ends_at - starts_at <= LONGEST:
        raise Invalid(
            filled(
                _("It ends after its beginning and now, within {days} days."), days=LONGEST.days
            ),
            code="period_invalid",
        )
    return starts_at


def _number_of(identifier: int | str) -> int:
    try:
        number = int(identifier)
    except (TypeError, ValueError):
        number = 0
    if not 0 < number < 2**63:
        raise NotFound(_("There is no such delegation."))
    return number


def _record(delegation: Delegation, event: str, *, by: User, via: str) -> None:
    entry_record(
        action=f"delegation.{event}",
        subject_type=SUBJECT,
        subject_id=str(delegation.pk),
        by=by,
        via=via,
        body={
            "delegator": delegation.delegator.audit_id,
            "delegate": delegation.delegate.audit_id,
            "kinds": delegation.kinds,
            "most": exact_or_none(delegation.most, delegation.currency),
            "currency": delegation.currency,
            "starts_at": delegation.starts_at.isoformat(),
            "ends_at": delegation.ends_at.isoformat(),
            "reason": delegation.reason,
        },
    )
    broadcast("inbox", id=str(delegation.pk), version=1)
