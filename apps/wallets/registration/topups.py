"""Registers top-ups and the reviews of payments with the shared parts of the site."""

from django.urls import reverse
from django.utils.translation import gettext

from apps.approvals import attention
from apps.approvals.kinds import Fact, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.audit import subject_types
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine import process, timeline
from apps.wallets import home
from apps.wallets.contracts import (
    REVIEW,
    TOPUP,
    JournalKind,
    ReviewCode,
    ReviewStatus,
    Step,
    TopUpStatus,
)
from apps.wallets.models import PaymentReview, TopUp
from apps.wallets.models.payments import WHY
from apps.wallets.services import reviews, webhooks
from apps.wallets.services.invoices import INVOICE_SUBJECT
from apps.wallets.services.topup_attention import ATTENTION, top_up_closed
from apps.wallets.services.topup_rows import PROCESS
from apps.web import dashboard, refusals, tones
from apps.web.dashboard import Domain
from apps.web.domain_cards import domain_card
from apps.web.pieces import Link

VIEW = "wallets.view_topup"
VIEW_REVIEWS = "wallets.view_paymentreview"

NEXT_STEPS = {
    "rider_email_missing": _("Give the rider an e-mail address first."),
    "currency_unsupported": _("Top up a wallet in a currency that Paystack takes."),
    "top_up_above_limit": _("Ask for a smaller amount."),
    "wallet_unknown": _("Reject it: the money goes back to who paid it."),
    "not_credited": _("Wait until the rider has paid."),
    "paystack_unavailable": _("Nothing was lost. It is tried again by itself."),
}

DOMAIN = Domain(
    key="topups",
    title=_("Top-ups"),
    home=Link(_("All of them"), "topups"),
    today=home.today,
    order=45,
    # A payment to review is in the inbox.
    topics=("home", "topups", "inbox"),
)

_WORDED = (ReviewCode.CURRENCY_DIFFERS, ReviewCode.WALLET_FULL)

TONES: dict[str, str] = {
    TopUpStatus.AWAITING_PAYMENT: "info",
    TopUpStatus.CREDITED: "good",
    ReviewStatus.AWAITING_DECISION: "warn",
    ReviewStatus.SENDING_BACK: "info",
    ReviewStatus.SENT_BACK: "good",
    ReviewStatus.NOTED: "good",
}

WORDS: dict[str, str] = {
    TOPUP: _("top-up"),
    REVIEW: _("review"),
    INVOICE_SUBJECT: _("invoice"),
    webhooks.SUBJECT: _("webhook of Paystack"),
    JournalKind.TOP_UP: _("top-up"),
    JournalKind.SUSPENSE: _("payment in suspense"),
    TopUpStatus.AWAITING_PAYMENT: _("awaiting payment"),
    TopUpStatus.CREDITED: _("credited"),
    ReviewStatus.AWAITING_DECISION: _("awaiting decision"),
    ReviewStatus.SENDING_BACK: _("being sent back"),
    ReviewStatus.SENT_BACK: _("sent back"),
    ReviewStatus.NOTED: _("noted"),
    "provider_payment": _("refund"),
    # Codes that rows keep of what came to nothing.
    "payment_timeout": _("nobody paid in time"),
    "payment_refused": _("payment refused"),
    "rider_email_missing": _("no e-mail address"),
    "currency_unsupported": _("currency not taken"),
    "top_up_above_limit": _("amount too large"),
    "not_credited": _("not credited"),
    "given_up": _("given up"),
    Step.INITIATE_PAYMENT: _("open the payment"),
    Step.CREDIT_WALLET: _("credit the wallet"),
    Step.GENERATE_INVOICE: _("make the invoice"),
    Step.SEND_RECEIPT: _("send the receipt"),
    Step.CANCEL_PAYMENT: _("give up the payment"),
    # These have words as refusals.
    **{code: words for code, words in WHY.items() if code not in _WORDED},
}

ACTIONS = {
    "topup.requested": _("Asked for the top-up"),
    "topup.payment_opened": _("Opened the payment at Paystack"),
    "topup.credited": _("Credited the wallet"),
    "topup.done": _("Finished the top-up"),
    "topup.failed": _("Ended the top-up: nothing was credited"),
    "topup.restarted": _("Started its workflow again"),
    "topup.attention": _("Asked a person"),
    "topup.carried_on": _("Had it tried again"),
    "topup.given_up": _("Left it without a receipt"),
    "invoice.issued": _("Issued the invoice"),
    "payment_review.attention": _("Asked a person about the payment"),
    "payment_review.carried_on": _("Approved the review"),
    "payment_review.given_up": _("Rejected the review"),
    "payment_review.credited": _("Credited the wallet"),
    "payment_review.sent_back": _("Sent the money back"),
    "payment_review.noted": _("Noted it"),
}

TRIED = {
    "topup.request": _("Tried to ask for a top-up"),
    "topup.initiate_payment": _("Tried to open the payment"),
    "topup.credit_wallet": _("Tried to credit the wallet"),
    "topup.generate_invoice": _("Tried to make the invoice"),
    "topup.send_receipt": _("Tried to send the receipt"),
    "topup.cancel_payment": _("Tried to end the top-up"),
    "webhook.take": _("Sent a webhook with a wrong signature"),
}


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    process.register(PROCESS, closed=top_up_closed, view=VIEW)
    process.topics_register(reviews.ROW, view=VIEW_REVIEWS)
    attention.register(
        ATTENTION,
        title=_("Top-up needs attention"),
        facts=_facts,
        default_tiers=(TierRule("reviewer"),),
        related=("wallet__rider",),
    )
    attention.register(
        reviews.ATTENTION,
        title=_("Payment to review"),
        facts=_review_facts,
        words=_review_words,
        default_tiers=(TierRule("reviewer"),),
        related=("payment__top_up__wallet__rider", "event"),
    )
    subject_types.register(TOPUP, REVIEW)
    dashboard.register(domain_card(DOMAIN))
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, WORDS)
    timeline.register_words(ACTIONS, tried=TRIED)


def _facts(top_up: TopUp) -> list[Fact]:
    return [
        status_fact(top_up, TOPUP),
        Fact(
            gettext("Wallet"),
            top_up.user_id,
            href=reverse("wallet", args=[top_up.user_id]),
        ),
        Fact(gettext("Amount"), shown(top_up.amount, top_up.currency)),
    ]


def _review_facts(review: PaymentReview) -> list[Fact]:
    facts = [status_fact(review, REVIEW)]
    if (payment := review.payment) is None:
        return facts
    facts.append(Fact(gettext("Paid"), shown(payment.amount, payment.currency)))
    if (top_up := payment.top_up) is not None:
        facts += [
            Fact(
                gettext("Asked for"),
                shown(top_up.amount, top_up.currency),
                href=reverse("topup", args=[top_up.pk]),
            ),
            Fact(
                gettext("Wallet"),
                top_up.user_id,
                href=reverse("wallet", args=[top_up.user_id]),
            ),
        ]
    return facts


def _review_words(signed: Wording, review: PaymentReview) -> None:
    signed.text(gettext("Why"), "why")
    signed.text(gettext("Reference"), "reference")
