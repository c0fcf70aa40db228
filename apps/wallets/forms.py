"""Forms of the pages of wallets and the ledger. They clean input; the services have the rules."""

from typing import Any

from django import forms

from apps.common.language import lazy as _
from apps.wallets.contracts import AdjustmentStatus, JournalKind, WalletStatus
from apps.web.fields import AmountField, KeyField, MineField, ProseField, StatusField
from apps.web.filters import FilterForm, asked_by_me


class UserIdField(forms.CharField):
    """A rider's id."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": 80, "label": _("Rider's id"), **options})


class WalletFilter(FilterForm):
    """Filters of the list of wallets."""

    lookups = {"user": "rider__user_id", "status": "status"}

    user = UserIdField(required=False)
    status = StatusField(WalletStatus, label=_("Status"))


class LedgerFilter(FilterForm):
    """Filters of the list of journals."""

    lookups = {"kind": "kind"}

    kind = StatusField(JournalKind, label=_("Kind"), every=_("every kind"))


class AdjustmentFilter(FilterForm):
    """Filters of the list of adjustments; `user`: those of that rider's wallet."""

    lookups = {"status": "status", "user": "wallet__rider__user_id", "mine": asked_by_me}

    status = StatusField(AdjustmentStatus, label=_("Status"))
    user = UserIdField(required=False)
    mine = MineField()


class AdjustmentForm(forms.Form):
    """An adjustment's fields. The empty form creates `idempotency_key`, so that submitting it twice
    asks once."""

    user_id = UserIdField()
    amount = AmountField(
        min_value=None,
        label=_("Amount"),
        help_text=_(
            "In the currency of the wallet. An amount below zero, such as -500.00, is taken out."
        ),
    )
    reason = ProseField(rows=4, label=_("Reason"), help_text=_("The signer reads this first."))
    idempotency_key = KeyField()
