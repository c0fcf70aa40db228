"""Words of wallets on shared pages: next steps after refusals, words and tones of states."""

from apps.common.language import lazy as _
from apps.engine import timeline
from apps.wallets.contracts import JournalKind
from apps.web import refusals, tones

NEXT_STEPS = {
    "insufficient_funds": _("Nothing was moved. Ask for less, or when the rider has topped up."),
    "wallet_frozen": _("Nothing was moved. Have the wallet unfrozen first."),
    "wallet_full": _("Nothing was moved. Ask for a smaller amount."),
    "wallet_not_found": _("Check the rider's id, or make the rider known first."),
    "user_id_invalid": _("Type the id as the rider's programs send it."),
    "currency_fixed": _("Make the rider known under another id for another currency."),
    "not_as_signed": _("Nothing was moved. Ask for it again."),
}

TONES = {"frozen": "warn"}

WORDS = {
    "frozen": _("frozen"),
    JournalKind.PAYMENT: _("payment from the wallet"),
    JournalKind.REFUND: _("refund to the wallet"),
    JournalKind.CARD_CHARGE: _("charge of a card"),
    JournalKind.CARD_REFUND: _("refund to a card"),
    JournalKind.REVENUE: _("revenue"),
    JournalKind.ADJUSTMENT: _("adjustment"),
    # Subjects of journals and of the trail.
    "wallet_adjustment": _("adjustment of a wallet"),
    "wallet": _("wallet"),
    "rider": _("rider"),
}

#: Codes that rows keep of what failed, in words.
CODES = {
    "paystack_unavailable": _("Paystack away"),
    "insufficient_funds": _("too little in the wallet"),
    "wallet_frozen": _("wallet frozen"),
    "wallet_full": _("wallet full"),
    "wallet_not_found": _("no such wallet"),
    "not_as_signed": _("not as signed"),
    "journal_differs": _("moved for something else"),
}

ACTIONS = {
    "rider.put": _("Made the rider known, or changed what is known"),
    "wallet.freeze": _("Froze the wallet"),
    "wallet.unfreeze": _("Unfroze the wallet"),
    "wallet.adjustment_requested": _("Asked for the adjustment"),
    "wallet.adjustment_done": _("The money was moved"),
    "wallet.adjustment_failed": _("Nothing was moved"),
    "wallet.adjustment_rejected": _("The adjustment was rejected"),
    "wallet.adjustment_expired": _("Expired: nobody signed in time"),
    "wallet.adjustment_cancelled": _("The adjustment was taken back"),
}

TRIED = {
    "rider.put": _("Tried to make the rider known"),
    "wallet.freeze": _("Tried to freeze the wallet"),
    "wallet.unfreeze": _("Tried to unfreeze the wallet"),
    "wallet_adjustment.request": _("Tried to ask for an adjustment"),
    "wallet_adjustment.cancel": _("Tried to take it back"),
    "wallet_adjustment.approval_open": _("No signature could be asked for"),
}


def register() -> None:
    """Register the texts. Called once, when Django is ready."""
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, WORDS | CODES)
    timeline.register_words(ACTIONS, tried=TRIED)
