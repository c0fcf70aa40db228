"""Delegations: who may sign on whose behalf, for how long and for what."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pgtrigger
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext

from apps.common.amounts import AmountField
from apps.common.compiled import Compiled

if TYPE_CHECKING:
    from apps.accounts.models import User

#: The backend that knows groups and permissions, which `with_perm` needs by name because there are
#: several; the others only authenticate.
PERMISSIONS_BACKEND = "django.contrib.auth.backends.ModelBackend"


class DelegationQuerySet(models.QuerySet["Delegation"]):
    """Queries of delegations."""

    def valid(self, *, as_of: datetime) -> "DelegationQuerySet":
        """Return delegations that are in force at `as_of`: started, not ended and not revoked."""
        return self.filter(revoked_at=None, starts_at__lte=as_of, ends_at__gt=as_of)

    def held_by(self, user: "User | AnonymousUser", *, as_of: datetime) -> "DelegationQuerySet":
        """Return the delegations under which the user could sign at `as_of`, with their delegators;
        the one that ends last comes first. A delegator who is inactive or may not sign delegates
        nothing."""
        return self._held(user.pk, as_of)

    def _held(self, user: Any, as_of: Any) -> "DelegationQuerySet":
        from apps.accounts.models import User
        from apps.approvals.models.requests import DECIDE_PERMISSION

        able = User.objects.with_perm(DECIDE_PERMISSION, backend=PERMISSIONS_BACKEND)
        held = self.valid(as_of=as_of).filter(delegate=user, delegator__in=able.values("pk"))
        return held.select_related("delegator").order_by("-ends_at", "id")


_GROUPS = """
SELECT m.user_id, g.name FROM accounts_user_groups m JOIN auth_group g ON g.id = m.group_id
WHERE m.user_id = ANY(%s) ORDER BY m.id
"""


def group_names(people: Iterable[int | None]) -> dict[int | None, list[str]]:
    """Return the names of the groups of these users by user id, in one query."""
    found: dict[int | None, list[str]] = {pk: [] for pk in people}
    with connection.cursor() as cursor:
        cursor.execute(_GROUPS, [[pk for pk in found if pk]])
        for pk, name in cursor.fetchall():
            found[pk].append(name)
    return found


def delegations_held(user: "User | AnonymousUser", *, as_of: datetime) -> "list[Delegation]":
    """As `held_by`, as a list: for every page, compiled once."""
    return [] if user.pk is None else _HELD.rows(user=user.pk, as_of=as_of)


class Delegation(models.Model):
    """`delegate` may sign what `delegator` could sign, from `starts_at` until `ends_at`.

    A delegate cannot delegate further. A row changes only by revocation; another scope or other
    dates need another delegation.
    """

    delegator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="delegations_given"
    )
    delegate = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="delegations_held"
    )
    kinds = ArrayField(
        models.CharField(max_length=60), default=list, blank=True, help_text="Empty: every kind"
    )
    most = AmountField(null=True, blank=True, help_text="Amounts up to this")
    currency = models.CharField(max_length=3, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    objects = DelegationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="nobody_delegates_to_themselves", condition=~Q(delegator=F("delegate"))
            ),
            models.CheckConstraint(
                name="delegation_ends_after_its_start", condition=Q(ends_at__gt=F("starts_at"))
            ),
            models.CheckConstraint(
                name="delegated_amount_has_a_currency",
                condition=Q(most=None) | (Q(most__gte=0) & ~Q(currency="")),
            ),
        ]
        indexes = [
            models.Index(
                name="delegation_held",
                fields=["delegate", "ends_at"],
                condition=Q(revoked_at=None),
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="only_revoked", exclude=["revoked_at", "revoked_by"]),
            pgtrigger.Protect(name="kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return gettext("{delegator} to {delegate}").format(
            delegator=self.delegator, delegate=self.delegate
        )

    def runs(self, *, as_of: datetime) -> bool:
        """Return whether it is in force at `as_of`: started, not ended and not revoked."""
        return self.revoked_at is None and self.starts_at <= as_of < self.ends_at

    def state(self, *, as_of: datetime) -> str:
        """Return whether it runs at `as_of`, has not begun, is over, or was ended early."""
        if self.revoked_at is not None:
            return "ended_early"
        if self.ends_at <= as_of:
            return "over"
        return "runs" if self.starts_at <= as_of else "not_begun"

    def covers(self, *, kind: str, amount: Decimal | None, currency: str, as_of: datetime) -> bool:
        """Return whether a request of that kind and amount may be signed under it at `as_of`.

        A delegation with a limit does not cover a request without an amount or in another currency.
        """
        if not self.runs(as_of=as_of):
            return False
        if self.kinds and kind not in self.kinds:
            return False
        if self.most is None:
            return True
        return amount is not None and currency == self.currency and amount <= self.most


_HELD: "Compiled[Delegation]" = Compiled(
    lambda user, as_of: Delegation.objects.all()._held(user, as_of)
)
