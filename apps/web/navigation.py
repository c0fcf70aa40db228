"""The site's navigation. Each app registers its own items in `AppConfig.ready()`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.urls import reverse

from apps.common.registry import Registry

#: What an item requires: a permission (app.codename), or a function of the user.
Permission = str | Callable[[Any], bool]


@dataclass(frozen=True)
class Section:
    """A group of related items."""

    key: str
    title: str
    order: int


@dataclass(frozen=True)
class Item:
    """A page that is reachable from everywhere. `section` is a section's key.

    `permission`: who sees it; empty: every signed-in user. `icon`: a symbol of the sprite
    (`icons.svg`), empty for a plain one. `count(user)`: a figure beside it, empty for none.
    `also`: further paths that belong to it. `parent`: the `url_name` of the item that represents
    this one in the bottom bar of narrow windows, which has no room for both. `order` counts within
    the section.
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

    @cached_property
    def href(self) -> str:
        """Return the page's URL."""
        return reverse(self.url_name)

    def allows(self, user: Any) -> bool:
        """Return whether the user sees the item."""
        if callable(self.permission):
            return self.permission(user)
        return not self.permission or user.has_perm(self.permission)

    def match(self, path: str) -> int:
        """Return the length of the path's prefix that belongs to this item; 0 if none does.

        The site's root matches only itself.
        """
        own = self.href
        begins = [one for one in (own, *self.also) if one != "/" and path.startswith(one)]
        return max(map(len, begins), default=int(path == own))


_sections = Registry[Section]("section of the navigation")
_items = Registry[Item]("place of the navigation")


def register_sections(*sections: Section) -> None:
    """Register sections. Raises ImproperlyConfigured when a key is taken by another one."""
    for section in sections:
        _sections.add(section.key, section)


def register(*items: Item) -> None:
    """Register items. Raises ImproperlyConfigured when a `url_name` is registered differently."""
    for item in items:
        _items.add(item.url_name, item)


def sections() -> list[Section]:
    """Return all sections, sorted by order."""
    return sorted(_sections.values(), key=lambda section: section.order)


def items() -> list[Item]:
    """Return all items, sorted by section and order."""
    place = {section.key: number for number, section in enumerate(sections())}
    return sorted(_items.values(), key=lambda item: (place[item.section], item.order))


def current(path: str, among: Iterable[Item]) -> Item | None:
    """Return the item with the longest matching prefix of the path, or None."""
    best = max(among, key=lambda item: item.match(path), default=None)
    return best if best is not None and best.match(path) else None
