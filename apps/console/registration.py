"""Registers the console with the shared parts of the site."""

from apps.accounts import scopes
from apps.common.language import lazy as _
from apps.console import home
from apps.console.found import ENTRIES, PAGES
from apps.console.scopes import Scope
from apps.web import dashboard, failures, navigation, search
from apps.web.dashboard import Card, Place
from apps.web.navigation import Item, Section

SECTIONS = (Section("work", _("Work"), 10), Section("system", _("System"), 90))

PLACES = (
    Item("work", _("Home"), "home", icon="home", order=10),
    Item("work", _("Search"), "search", icon="search", order=25),
    Item("system", _("Audit"), "audit", icon="audit", permission="audit.view_auditentry", order=50),
    Item(
        "system",
        _("Admin"),
        "admin:index",
        icon="admin",
        permission=lambda user: bool(user.is_staff),
        order=90,
    ),
)

CARDS = (
    Card(
        key="failed",
        template="web/_failures_card.html",
        context=failures.failures_card,
        place=Place.SIDE,
        order=10,
        topics=("home",),
    ),
    Card(
        key="machinery",
        template="console/_home_machinery.html",
        context=home.machinery_card,
        place=Place.MAIN,
        order=90,
        topics=("engine",),
    ),
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    scopes.register(Scope)
    navigation.register_sections(*SECTIONS)
    navigation.register(*PLACES)
    dashboard.register(*CARDS)
    search.register(PAGES, ENTRIES)
