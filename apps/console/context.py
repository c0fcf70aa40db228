"""Template context of the staff shell. Lazy: what a page does not show is not asked for."""

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
    """A place as the navigation of one page shows it. `key` is its `url_name`."""

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
        """The figure beside it; empty for none. Asks the database."""
        return self._item.count(self._user) if self._item.count else ""


@dataclass(frozen=True)
class NavSection:
    """A group of places, at least one."""

    title: str
    items: list[NavItem]


class Shell:
    """What the header shows of the person who is signed in."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._user = cast("User", request.user)

    @cached_property
    def roles(self) -> list[str]:
        """Names of the person's roles."""
        names = list(self._user.groups.order_by("name").values_list("name", flat=True))
        return [*names, "administrator"] if self._user.is_superuser else names

    @cached_property
    def unread_count(self) -> str:
        """Unread notifications; empty for none."""
        return shown_count(unread(self._user))

    @cached_property
    def nav(self) -> list[NavItem]:
        """Where this person may go, in one row: the places that stand for themselves."""
        here = self._current and (self._current.parent or self._current.url_name)
        return [
            NavItem(item, user=self._user, current=item.url_name == here)
            for item in self._allowed
            if not item.parent
        ]

    @cached_property
    def sections(self) -> list[NavSection]:
        """Every place where this person may go, by section."""
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
    """`shell`: what every page's frame needs; None while nobody is signed in."""
    user = getattr(request, "user", None)
    return {"shell": Shell(request) if user is not None and user.is_authenticated else None}
