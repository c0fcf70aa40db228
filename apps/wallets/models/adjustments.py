"""Corrections of a wallet's balance that a person asks for and another one signs."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext

from apps.common.amounts import AmountField
from apps.common.money import shown
from apps.engine.models_abstract import (
    AskedQuerySet,
    AskedRow,
    as_signed,
    asked_once,
    end_stays,
    status_field,
)
from apps.wallets.contracts import AdjustmentStatus
from apps.wallets.models.riders import Wallet


class AdjustmentQuerySet(AskedQuerySet["WalletAdjustment"]):
    """Queries that pages, API and admin share."""

    view_permission = "wallets.view_walletadjustment"
    open_statuses = [status for status in AdjustmentStatus if not status.terminal]
    listed_with = ("wallet__rider", "requested_by")


class WalletAdjustment(AskedRow):
    """A correction that was asked for; the signature moves the money."""

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="adjustments")
    amount = AmountField(help_text="Below zero: taken out of the wallet.")
    currency = models.CharField(max_length=3)
    reason = models.TextField(max_length=2000)
    status = status_field(AdjustmentStatus.AWAITING_APPROVAL)

    objects = AdjustmentQuerySet.as_manager()

    class Meta:
        permissions = [("request_walletadjustment", "Can ask for an adjustment of a wallet")]
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(name="adjustment_not_zero", condition=~Q(amount=0)),
            asked_once("adjustment_key_once"),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="adjustments_newest")]
        triggers = [
            as_signed(*("wallet_id", "amount", "currency", "reason"), name="adjustment_as_signed"),
            end_stays(
                [status for status in AdjustmentStatus if status.terminal],
                name="adjustment_end_stays",
            ),
        ]

    def __str__(self) -> str:
        return gettext("{amount} for {user_id}").format(
            amount=shown(self.amount, self.currency), user_id=self.wallet.user_id
        )

    @property
    def user_id(self) -> str:
        """Return the rider's id."""
        return self.wallet.user_id
