"""Template context of the staff shell. Lazy: a page that does not show a value does not query
it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from django.http import HttpRequest
from django.urls import reverse

from apps.notifications.selectors import unread
from apps.web import navigation
from apps.web.lists import shown_count
from apps.web.navigation import Item

if TYPE_CHECKING:
    from apps.accounts.models import User


class NavItem:
    """A navigation item on one page. `key` is its `url_name`."""

    def __init__(self, item: Item, *, user: "User", current: bool) -> None:
        self.key = item.url_name
        self.title = item.title
        self.href = reverse(item.url_name)
        self.icon = item.icon
        self.current = current
        self.counted = item.count is not None
        self._item = item
        self._user = user

    @cached_property
    def count(self) -> str:
        """Return the figure beside the item; empty for none. Queries the database."""
        return self._item.count(self._user) if self._item.count else ""


@dataclass(frozen=True)
class NavSection:
    """A group of at least one item."""

    title: str
    items: list[NavItem]


class Shell:
    """What the header shows of the signed-in user."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._user = cast("User", request.user)

    @cached_property
    def roles(self) -> list[str]:
        """Return the names of the user's roles."""
        names = list(self._user.groups.order_by("name").values_list("name", flat=True))
        return [*names, "administrator"] if self._user.is_superuser else names

    @cached_property
    def unread_count(self) -> str:
        """Return the number of unread notifications; empty for none."""
        return shown_count(unread(self._user))

    @cached_property
    def nav(self) -> list[NavItem]:
        """Return the items for a single row: those without a parent that the user may see."""
        here = self._current and (self._current.parent or self._current.url_name)
        return [
            NavItem(item, user=self._user, current=item.url_name == here)
            for item in self._allowed
            if not item.parent
        ]

    @cached_property
    def sections(self) -> list[NavSection]:
        """Return every item that the user may see, by section."""
        here = self._current and self._current.url_name
        places = [
            (item.section, NavItem(item, user=self._user, current=item.url_name == here))
            for item in self._allowed
        ]
        found = [
            NavSection(section.title, [place for key, place in places if key == section.key])
            for section in navigation.sections()
        ]
        return [section for section in found if section.items]

    @cached_property
    def _allowed(self) -> list[Item]:
        return [item for item in navigation.items() if item.allows(self._user)]

    @cached_property
    def _current(self) -> Item | None:
        return navigation.current(self._request.path, self._allowed)


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return `shell`, which every page's frame needs; None while nobody is signed in."""
    user = getattr(request, "user", None)
    return {"shell": Shell(request) if user is not None and user.is_authenticated else None}
