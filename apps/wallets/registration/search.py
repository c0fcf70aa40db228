"""What is found of riders, adjustments and journals."""

from django.urls import reverse

from apps.common.language import lazy as _
from apps.wallets.models import Journal, Rider, WalletAdjustment
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


def register() -> None:
    """Register the sources. Called once, when Django is ready."""
    search.register(WALLETS, ADJUSTMENTS, JOURNALS)
