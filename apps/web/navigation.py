"""The site's places. Each app registers its own in `AppConfig.ready()`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from apps.common.registry import Registry

#: What it takes to see a place: a permission (app.codename), or a question about the person.
Permission = str | Callable[[Any], bool]


@dataclass(frozen=True)
class Section:
    """A group of places that belong together."""

    key: str
    title: str
    order: int


@dataclass(frozen=True)
class Item:
    """A place: a page that is reached from everywhere. `section` is a section's key.

    `permission`: who sees it; empty for everybody who is signed in. `icon`: a symbol of the
    sprite. `count(user)`: a figure beside it, empty for none. `also`: paths that belong to it
    though they do not begin with its own. `parent`: the `url_name` of the place that stands for
    this one where there is no room for both. `order` counts within the section.
    """

    section: str
    title: str
    url_name: str
    permission: Permission = ""
    icon: str = ""
    count: Callable[[Any], str] | None = None
    also: tuple[str, ...] = ()
    parent: str = ""
    order: int = 0

    def allows(self, user: Any) -> bool:
        """Whether the person sees it."""
        if callable(self.permission):
            return self.permission(user)
        return not self.permission or user.has_perm(self.permission)

    def match(self, path: str) -> int:
        """How much of the path is this place's own; 0 when it lies elsewhere.

        The site's root is nobody's beginning but its own.
        """
        own = reverse(self.url_name)
        begins = [one for one in (own, *self.also) if one != "/" and path.startswith(one)]
        return max(map(len, begins), default=int(path == own))


_sections = Registry[Section]("section of the navigation")
_items = Registry[Item]("place of the navigation")


def register_sections(*sections: Section) -> None:
    """Make sections known. ImproperlyConfigured when a key is taken by another one."""
    for section in sections:
        _sections.add(section.key, section)


def register(*items: Item) -> None:
    """Add places. ImproperlyConfigured when a `url_name` is registered as another place."""
    for item in items:
        _items.add(item.url_name, item)


def sections() -> list[Section]:
    """All sections, by order."""
    return sorted(_sections.values(), key=lambda section: section.order)


def items() -> list[Item]:
    """All places, by section and order."""
    place = {section.key: number for number, section in enumerate(sections())}
    return sorted(_items.values(), key=lambda item: (place[item.section], item.order))


def current(path: str, among: Iterable[Item]) -> Item | None:
    """The place that the path belongs to most closely; None when it belongs to none."""
    best = max(among, key=lambda item: item.match(path), default=None)
    return best if best is not None and best.match(path) else None
