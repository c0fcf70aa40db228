"""The cards of the home page. Each app registers its own in `AppConfig.ready()`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet

from apps.common.language import lazy as _
from apps.common.registry import Registry
from apps.web.pieces import Link

if TYPE_CHECKING:
    from apps.accounts.models import User

#: How many rows a card shows.
SHOWN = 8


class Place(StrEnum):
    """Where on the page a card stands."""

    HEAD = "head"  # the buttons beside the title
    MAIN = "main"  # the left column: what waits for the user, and what that leans on
    SIDE = "side"  # the right column: failures, and the state of each domain


@dataclass(frozen=True)
class Card:
    """A card of the home page: `template` draws the result of `context(user, as_of)` as `card`. A
    `figures` in it are shown in the row of large figures above.

    All cards but those in the head are drawn again when one of the live `topics` changes; their
    outermost element needs an id and `data-merge`. `permission` (app.codename) limits who sees the
    card; empty: everybody.
    """

    key: str
    template: str
    context: Callable[[Any, datetime], dict[str, Any]]
    place: Place
    order: int
    permission: str = ""
    topics: tuple[str, ...] = ()


def button(key: str, link: Link, *, order: int) -> Card:
    """Return a card of the head with a link, for users who may follow it."""
    given = {"link": link}
    return Card(
        key, "web/_card_button.html", lambda user, as_of: given, Place.HEAD, order, link.permission
    )


@dataclass(frozen=True)
class Figure:
    """A large count, linked to the rows it counts; without `href` no link. `tone`: warn, bad or
    empty. `order`: its place among the figures above the cards."""

    count: str
    words: str
    href: str = ""
    order: int = 0
    tone: str = ""


@dataclass(frozen=True)
class Series:
    """The rows of the last 24 hours, by the hour, as the chart of a domain's card.

    `rows(user)` are those the user may see, with a column `created_at`. `marked`: the condition of
    rows drawn in `tone` and called `marked_title`. `sentence` says the figures: it has the places
    `{count}` and `{marked}`. `none` says that there are no rows, and what to do.
    """

    rows: "Callable[[User], QuerySet[Any]]"
    marked: Q
    marked_title: str
    tone: str
    sentence: str
    none: str


@dataclass(frozen=True)
class Amount:
    """Money that moved today."""

    amount: Decimal
    currency: str


@dataclass(frozen=True)
class Today:
    """What a domain's card says: a few figures, and money under the words `paid`. `above`: further
    ones for the row above the cards, so that one query counts for both."""

    figures: list[Figure]
    above: Sequence[Figure] = ()
    amounts: Sequence[Amount] = ()
    paid: str = _("paid today")


@dataclass(frozen=True)
class Domain:
    """The card of a domain: `today(user, as_of)` says what moved today, what waits and what failed;
    `series` draws the last 24 hours. `home`: the link to the domain's first page.

    `key`, `order`, `topics` and `permission` are those of a card.
    """

    key: str
    title: str
    home: Link
    today: "Callable[[User, datetime], Today]"
    order: int
    series: Series | None = None
    topics: tuple[str, ...] = ("home",)
    permission: str = ""


@dataclass(frozen=True)
class Drawn:
    """A card with the context of its template."""

    template: str
    card: dict[str, Any]


@dataclass(frozen=True)
class Page:
    """The home page of one user; cards by the value of their place."""

    figures: list[Figure]
    places: dict[str, list[Drawn]]


_cards = Registry[Card]("card of the home page")
_queues = Registry[str]("watched queue")


def register(*cards: Card) -> None:
    """Register cards. Raises ImproperlyConfigured when another card has a key."""
    for card in cards:
        _cards.add(card.key, card)


def watch_queue(task_queue: str) -> None:
    """Show on the home page when work waits in this task queue."""
    _queues.add(task_queue, task_queue)


def cards() -> list[Card]:
    """Return all cards, sorted by order."""
    return sorted(_cards.values(), key=lambda card: card.order)


def queues() -> list[str]:
    """Return the watched task queues, sorted by name."""
    return sorted(_queues.values())


def topics() -> list[str]:
    """Return the live topics that update the page, in the order of the cards."""
    return list(dict.fromkeys(topic for card in cards() for topic in card.topics))


def page(user: Any, *, as_of: datetime) -> Page:
    """Return the home page as this user sees it now."""
    figures: list[Figure] = []
    places: dict[str, list[Drawn]] = {place.value: [] for place in Place}
    for card in cards():
        if not card.permission or user.has_perm(card.permission):
            context = card.context(user, as_of)
            places[card.place].append(Drawn(card.template, context))
            figures += context.get("figures", ())
    return Page(sorted(figures, key=lambda figure: figure.order), places)
