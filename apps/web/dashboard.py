"""The parts of the home page. Each app registers its own in `AppConfig.ready()`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import Q, QuerySet

from apps.common.registry import Registry
from apps.web.pieces import Link

#: How many rows a card shows.
SHOWN = 8


class Place(StrEnum):
    """Where on the page a card stands."""

    HEAD = "head"  # the buttons beside the title
    MAIN = "main"  # the left column: what waits for the person
    SIDE = "side"  # the right column: how things are


@dataclass(frozen=True)
class Card:
    """A part of the home page, drawn by `template` with what `context(user, as_of)` gives, as
    `card`. A `figure` in it (a `Figure`) stands in the row of large figures above.

    All cards but those in the head are drawn again when one of the live `topics` changes; their
    outermost element needs an id and `data-merge`. `permission` (app.codename): who sees it; empty
    for everybody.
    """

    key: str
    template: str
    context: Callable[[Any, datetime], dict[str, Any]]
    place: Place
    order: int
    permission: str = ""
    topics: tuple[str, ...] = ()


def button(key: str, link: Link, *, order: int) -> Card:
    """A card of the head: one way on, for who may follow it."""
    given = {"link": link}
    return Card(
        key, "web/_card_button.html", lambda user, as_of: given, Place.HEAD, order, link.permission
    )


@dataclass(frozen=True)
class Figure:
    """A count in large, with a link to what is counted. `tone`: warn, bad or empty."""

    count: str
    words: str
    href: str
    order: int
    tone: str = ""


@dataclass(frozen=True)
class Series:
    """Rows by the hour in the chart of the last 24 hours.

    `rows(user)`: what the person may see, with a column `created_at`. `marked`: the part that is
    drawn in `tone` and called `marked_title`.
    """

    key: str
    title: str
    noun: str
    rows: Callable[[Any], "QuerySet[Any]"]
    marked: Q
    marked_title: str
    tone: str
    order: int


@dataclass(frozen=True)
class Drawn:
    """A card with what its template shows."""

    template: str
    card: dict[str, Any]


@dataclass(frozen=True)
class Page:
    """What one person sees on the home page; cards by the value of their place."""

    figures: list[Figure]
    places: dict[str, list[Drawn]]


_cards = Registry[Card]("card of the home page")
_series = Registry[Series]("series of the home page")
_queues = Registry[str]("watched queue")


def register(*cards: Card) -> None:
    """Add cards. ImproperlyConfigured when a key is taken by another card."""
    for card in cards:
        _cards.add(card.key, card)


def register_series(*series: Series) -> None:
    """Add to the chart of the last 24 hours. ImproperlyConfigured when a key is taken."""
    for one in series:
        _series.add(one.key, one)


def watch_queue(task_queue: str) -> None:
    """Have the home page tell when work waits in this task queue."""
    _queues.add(task_queue, task_queue)


def cards() -> list[Card]:
    """All cards, by order."""
    return sorted(_cards.values(), key=lambda card: card.order)


def series() -> list[Series]:
    """All series, by order."""
    return sorted(_series.values(), key=lambda one: one.order)


def queues() -> list[str]:
    """The watched task queues, by name."""
    return sorted(_queues.values())


def topics() -> list[str]:
    """The live topics that change the page, in the order of the cards."""
    return list(dict.fromkeys(topic for card in cards() for topic in card.topics))


def page(user: Any, *, as_of: datetime) -> Page:
    """The home page as this person sees it now."""
    figures: list[Figure] = []
    places: dict[str, list[Drawn]] = {place.value: [] for place in Place}
    for card in cards():
        if not card.permission or user.has_perm(card.permission):
            context = card.context(user, as_of)
            places[card.place].append(Drawn(card.template, context))
            if "figure" in context:
                figures.append(context["figure"])
    return Page(sorted(figures, key=lambda figure: figure.order), places)
