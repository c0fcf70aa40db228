"""Registers wallets and the ledger with the shared parts of the site."""

from apps.accounts import roles, scopes
from apps.audit import subject_types
from apps.common.language import lazy as _
from apps.live.topics import Topic
from apps.live.topics import register as topic_register
from apps.wallets.scopes import Scope
from apps.wallets.services.riders import RIDER_SUBJECT, WALLET_SUBJECT
from apps.web import demo, navigation
from apps.web.navigation import Item, Section

#: Of bookings and wallets: what riders buy, and what they pay with.
SECTION = Section("bookings", _("Bookings"), 30)

PLACES = (
    Item(
        "bookings",
        _("Wallets"),
        "wallets",
        icon="wallets",
        permission="wallets.view_wallet",
        order=60,
    ),
    Item("bookings", _("Top-ups"), "topups", icon="transfers", order=65),
    Item("bookings", _("Adjustments"), "adjustments", icon="adjustments", order=70),
    Item(
        "bookings",
        _("Ledger"),
        "ledger",
        icon="ledger",
        permission="wallets.view_journal",
        order=80,
    ),
)

TOPICS = (
    Topic("wallets", permission="wallets.view_wallet"),
    Topic("wallet", pattern=r"[0-9]{1,18}", permission="wallets.view_wallet"),
    Topic("ledger", permission="wallets.view_journal"),
)

#: The riders' wallets, before the bookings that are paid from them.
DEMO = demo.DemoPart("wallets", "apps.wallets.services.demo.wallets_seed", order=30)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    scopes.register(Scope)
    subject_types.register(RIDER_SUBJECT, WALLET_SUBJECT)
    navigation.register_sections(SECTION)
    navigation.register(*PLACES)
    for topic in TOPICS:
        topic_register(topic)
    demo.register(DEMO)
    _grant()


def _grant() -> None:
    roles.grant(
        "requester",
        "wallets.put_rider",
        "wallets.top_up",
        "wallets.view_invoice",
        "wallets.view_rider",
        "wallets.view_wallet",
    )
    roles.grant(
        "booking agent",
        "wallets.put_rider",
        "wallets.top_up",
        "wallets.freeze_wallet",
        "wallets.request_walletadjustment",
    )
    for role in ("booking agent", "reviewer", "senior reviewer", "operator"):
        roles.grant(role, "wallets.view_*")
