"""What is found of riders, adjustments and journals."""

from django.urls import reverse

from apps.common.language import lazy as _
from apps.wallets.models import (
    Invoice,
    Journal,
    PaymentReview,
    Rider,
    TopUp,
    WalletAdjustment,
)
from apps.wallets.scopes import Scope
from apps.web import search
from apps.web.search import BY_UUID, Found, Source, among, asked, by_text, by_value, everything
from apps.web.tones import title_of, words_of


def _rider(rider: Rider) -> Found:
    return Found(
        title=rider.name,
        href=reverse("wallet", args=[rider.user_id]),
        key=rider.user_id,
        state=rider.wallet.status,
        notes=(rider.email,) if rider.email else (),
        amount=rider.wallet.balance,
        currency=rider.currency,
    )


def _journal(journal: Journal) -> Found:
    return Found(
        title=title_of(journal.kind),
        href=reverse("journal", args=[journal.pk]),
        key=journal.key,
        notes=(words_of(journal.subject_type),),
        at=journal.created_at,
    )


def _top_up(top_up: TopUp) -> Found:
    return Found(
        title=top_up.wallet.rider.name,
        href=reverse("topup", args=[top_up.pk]),
        key=str(top_up.pk),
        state=top_up.status,
        notes=(top_up.user_id,),
        at=top_up.created_at,
        amount=top_up.amount,
        currency=top_up.currency,
        workflow_id=top_up.workflow_id,
    )


WALLETS = Source(
    key="wallets",
    title=_("Wallets"),
    hint=_("a part of the rider's id, name or e-mail address"),
    permission="wallets.view_wallet",
    scope=Scope.WALLETS_READ,
    order=56,
    find=among(
        lambda: Rider.objects.select_related("wallet"),
        by_text("user_id", "name", "email"),
        found=_rider,
        seen=everything,
    ),
)

ADJUSTMENTS = Source(
    key="adjustments",
    title=_("Adjustments"),
    hint=_("id"),
    scope=Scope.WALLETS_READ,
    order=57,
    find=among(
        lambda: WalletAdjustment.objects.for_list(),
        BY_UUID,
        found=lambda row: asked(row, "adjustment", row.wallet.rider.name, row.user_id),
        seen=WalletAdjustment.objects.seen_by,
    ),
)

JOURNALS = Source(
    key="journals",
    title=_("Ledger"),
    hint=_("id or key of a journal"),
    permission="wallets.view_journal",
    scope=Scope.WALLETS_READ,
    order=58,
    find=among(
        lambda: Journal.objects.all(), by_value("key"), BY_UUID, found=_journal, seen=everything
    ),
)


TOPUPS = Source(
    key="topups",
    title=_("Top-ups"),
    hint=_("id, workflow id or reference"),
    scope=Scope.WALLETS_READ,
    order=59,
    find=among(
        lambda: TopUp.objects.for_list(),
        BY_UUID,
        found=_top_up,
        seen=TopUp.objects.seen_by,
    ),
)

REVIEWS = Source(
    key="payment_reviews",
    title=_("Reviews of payments"),
    hint=_("id, or the reference of a payment"),
    permission="wallets.view_paymentreview",
    scope=Scope.WALLETS_READ,
    order=61,
    find=among(
        lambda: PaymentReview.objects.all(),
        BY_UUID,
        by_value("reference", like=r"[A-Za-z0-9.=-]{6,100}"),
        found=lambda review: Found(
            title=str(review),
            href=reverse("payment_review", args=[review.pk]),
            key=str(review.pk),
            state=review.status,
            at=review.created_at,
        ),
        seen=everything,
    ),
)

INVOICES = Source(
    key="invoices",
    title=_("Invoices"),
    hint=_("number"),
    permission="wallets.view_invoice",
    scope=Scope.WALLETS_READ,
    order=62,
    find=among(
        lambda: Invoice.objects.select_related("payment", "wallet__rider"),
        by_value("number", like=r"INV-[0-9]{4}-[0-9]{6,}"),
        found=lambda invoice: Found(
            title=invoice.wallet.rider.name,
            href=reverse("api-1:invoice_read", args=[invoice.number]),
            key=invoice.number,
            at=invoice.created_at,
            amount=invoice.amount,
            currency=invoice.currency,
        ),
        seen=everything,
    ),
)


def register() -> None:
    """Register the sources. Called once, when Django is ready."""
    search.register(WALLETS, ADJUSTMENTS, JOURNALS, TOPUPS, REVIEWS, INVOICES)
