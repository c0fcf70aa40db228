"""Riders, who are customers and no users of the site, and their wallets."""

from decimal import Decimal

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils import timezone

from apps.common.amounts import AmountField
from apps.engine.models_abstract import status_field
from apps.wallets.contracts import WalletStatus
from apps.wallets.models.ledger import Account


class Rider(models.Model):
    """A customer."""

    user_id = models.CharField(max_length=80, unique=True)
    name = models.CharField(max_length=160)
    email = models.EmailField(max_length=254, blank=True)
    currency = models.CharField(max_length=3)
    version = models.PositiveIntegerField(default=1, help_text="Goes up with every change.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        permissions = [("put_rider", "Can make a rider known, and change name, e-mail, currency")]
        ordering = ["user_id"]
        indexes = [
            GinIndex(
                OpClass(Upper("user_id"), name="gin_trgm_ops"),
                OpClass(Upper("name"), name="gin_trgm_ops"),
                OpClass(Upper("email"), name="gin_trgm_ops"),
                name="rider_search",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Wallet(models.Model):
    """A rider's money: a liability of ours, so its balance is minus the sum of its lines.

    The database refuses an overdraft; the ledger explains every cent. Only `services.ledger` moves
    the balance.
    """

    rider = models.OneToOneField(Rider, on_delete=models.PROTECT, related_name="wallet")
    account = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="wallet")
    currency = models.CharField(max_length=3)
    balance = AmountField(default=Decimal(0))
    status = status_field(WalletStatus.ACTIVE)
    version = models.PositiveBigIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        permissions = [
            ("freeze_wallet", "Can freeze and unfreeze wallets"),
            ("top_up", "Can top up a wallet"),
        ]
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(name="wallet_not_overdrawn", condition=Q(balance__gte=0))
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="wallets_newest"),
            # The frozen ones are few.
            models.Index(
                name="wallets_frozen",
                fields=["-created_at", "-id"],
                condition=Q(status=WalletStatus.FROZEN),
            ),
        ]

    def __str__(self) -> str:
        return self.user_id

    @property
    def user_id(self) -> str:
        """Return the rider's id, by which the wallet is known."""
        return self.rider.user_id
