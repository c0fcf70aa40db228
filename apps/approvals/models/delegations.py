"""Who may sign on behalf of whom, for how long and for what."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pgtrigger
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.common.amounts import AmountField

if TYPE_CHECKING:
    from apps.accounts.models import User

#: The one that knows groups and permissions, as `with_perm` has to be told; others only say who
#: somebody is.
PERMISSIONS_BACKEND = "django.contrib.auth.backends.ModelBackend"


class DelegationQuerySet(models.QuerySet["Delegation"]):
    """The reads of delegations."""

    def valid(self, *, as_of: datetime) -> "DelegationQuerySet":
        """Not revoked, begun and not ended at that time."""
        return self.filter(revoked_at=None, starts_at__lte=as_of, ends_at__gt=as_of)

    def held_by(self, user: "User | AnonymousUser", *, as_of: datetime) -> "DelegationQuerySet":
        """Those under which the person could sign something at that time, with their delegators,
        the longest first. Nobody hands on what they no longer have: inactive delegators and those
        who may not sign have handed on nothing."""
        from apps.accounts.models import User
        from apps.approvals.models.requests import DECIDE_PERMISSION

        able = User.objects.with_perm(DECIDE_PERMISSION, backend=PERMISSIONS_BACKEND)
        held = self.valid(as_of=as_of).filter(delegate=user.pk, delegator__in=able.values("pk"))
        return held.select_related("delegator").order_by("-ends_at", "id")


def group_names(people: Iterable[int | None]) -> dict[int | None, list[str]]:
    """The groups that each of these people is in, by id, in one query."""
    from apps.accounts.models import User

    found: dict[int | None, list[str]] = {pk: [] for pk in people}
    members = User.groups.through.objects.filter(user_id__in=[pk for pk in found if pk])
    for pk, name in members.order_by("pk").values_list("user_id", "group__name"):
        found[pk].append(name)
    return found


class Delegation(models.Model):
    """`delegate` may sign what `delegator` could sign, from `starts_at` until `ends_at`.

    Never passed on: a delegate cannot delegate what was delegated to them. Only a revocation
    changes a row; another scope or other dates are another delegation.
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
        return f"{self.delegator} to {self.delegate}"

    def runs(self, *, as_of: datetime) -> bool:
        """Not revoked, begun and not ended at that time."""
        return self.revoked_at is None and self.starts_at <= as_of < self.ends_at

    def covers(self, *, kind: str, amount: Decimal | None, currency: str, as_of: datetime) -> bool:
        """Whether a request of that kind and amount may be signed under it at that time.

        With a limit, a request without an amount or in another currency is outside of it.
        """
        if not self.runs(as_of=as_of):
            return False
        if self.kinds and kind not in self.kinds:
            return False
        if self.most is None:
            return True
        return amount is not None and currency == self.currency and amount <= self.most
