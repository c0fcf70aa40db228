"""Template context of the staff shell. Lazy: a page that does not show a value does not query
it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.utils.translation import gettext

from apps.common.compiled import Compiled
from apps.notifications.selectors import unread_count
from apps.web import navigation
from apps.web.lists import COUNT_LIMIT, shown_count
from apps.web.navigation import Item

if TYPE_CHECKING:
    from apps.accounts.models import User


#: The cookie of users who prefer the navigation as a rail of icons. The script sets it too.
RAIL_COOKIE = "rail"
#: What the bottom bar of narrow windows has beside the menu, by `url_name`; at most three.
BOTTOM_BAR = ("home", "inbox", "search")
SEARCH = "search"
#: A longer address is no place to come back to: the page would hold it once more.
LONGEST_ADDRESS = 2000

_ROLES = Compiled(lambda user: Group.objects.filter(user=user).order_by("name"))


class NavItem:
    """A navigation item on one page. `key` is its `url_name`.

    `current`: the value of `aria-current`: `page`, or `true` on a page below it, or empty.
    `represents`: the same for the bottom bar, where it also represents the items below it.
    """

    def __init__(self, item: Item, *, user: "User", path: str, here: Item | None) -> None:
        self.key = item.url_name
        # In the reader's language, once however often it is shown.
        self.title = str(item.title)
        self.href = item.href
        self.icon = item.icon or "place"
        self.current = "" if item != here else "page" if self.href == path else "true"
        below = here is not None and here.parent == item.url_name
        self.represents = self.current or ("true" if below else "")
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

    key: str
    title: str
    items: list[NavItem]


class Shell:
    """What the header and the navigation show to the signed-in user."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._user = cast("User", request.user)

    @cached_property
    def roles(self) -> list[str]:
        """Return the names of the user's roles."""
        names = [group.name for group in _ROLES.rows(user=self._user.pk)]
        return [*names, gettext("administrator")] if self._user.is_superuser else names

    @cached_property
    def unread_count(self) -> str:
        """Return the number of unread notifications; empty for none."""
        return shown_count(unread_count(self._user, most=COUNT_LIMIT + 1))

    @cached_property
    def sections(self) -> list[NavSection]:
        """Return every item that the user may see, by section."""
        found = [
            NavSection(
                section.key,
                section.title,
                [
                    self._items[item.url_name]
                    for item in self._allowed
                    if item.section == section.key
                ],
            )
            for section in navigation.sections()
        ]
        return [section for section in found if section.items]

    @cached_property
    def bottom_bar(self) -> list[NavItem]:
        """Return the items of the bottom bar: of those named for it, the ones the user may see."""
        return [self._items[key] for key in BOTTOM_BAR if key in self._items]

    @cached_property
    def counted(self) -> list[NavItem]:
        """Return the items with a figure beside them."""
        return [item for item in self._items.values() if item.counted]

    @property
    def search(self) -> NavItem | None:
        """Return the page of the search box in the header, if there is one for the user."""
        return self._items.get(SEARCH)

    @property
    def rail(self) -> bool:
        """Return whether the user prefers the navigation as a rail of icons."""
        return self._request.COOKIES.get(RAIL_COOKIE) == "1"

    @property
    def here(self) -> str:
        """Return the URL to come back to. Empty for the response to a form: its URL may not be a
        page."""
        address = self._request.get_full_path() if self._request.method == "GET" else ""
        return address if len(address) <= LONGEST_ADDRESS else self._request.path

    @cached_property
    def _items(self) -> dict[str, NavItem]:
        # One object an item: its figure is counted once, however often it is shown.
        path = self._request.path
        here = navigation.current(path, self._allowed)
        return {
            item.url_name: NavItem(item, user=self._user, path=path, here=here)
            for item in self._allowed
        }

    @cached_property
    def _allowed(self) -> list[Item]:
        return [item for item in navigation.items() if item.allows(self._user)]


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return `shell`, which every page's frame needs; None while nobody is signed in."""
    user = getattr(request, "user", None)
    return {"shell": Shell(request) if user is not None and user.is_authenticated else None}
