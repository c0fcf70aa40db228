"""Lists whose filters can be saved under a name. The app `filters` keeps them and offers them here;
this module knows which lists there are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.http import QueryDict
from django.urls import reverse

from apps.common.errors import DomainError, Invalid
from apps.common.language import lazy as _
from apps.common.registry import Registry
from apps.common.validation import text_of
from apps.web.filters import FilterForm

if TYPE_CHECKING:
    from apps.accounts.models import User

#: Characters of a saved query string.
QUERY_LIMIT = 500


@dataclass(frozen=True, kw_only=True)
class FilteredPage:
    """A list with filters in its address. `name`: of its URL; `form`: its filters; `more`: its
    parameters besides them. Without `permission` nobody saves a filter of it; `refusal(user)`: why
    this user may not, although they see the list."""

    name: str
    title: str
    form: type[FilterForm]
    more: tuple[str, ...] = ("sort",)
    permission: str = ""
    refusal: "Callable[[User], DomainError | None]" = lambda user: None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return the parameters that a saved query string has, in their order; never a cursor."""
        fields = tuple(self.form.base_fields)
        return (*fields, *(name for name in self.more if name not in fields))

    def canonical(self, query: str) -> str:
        """Return the query string with known parameters, each once, in order. Raises Invalid
        `query_invalid` if it is too long, has characters that cannot be stored, is empty, or is no
        valid filter of the list."""
        given = self._parsed(query)
        kept = QueryDict(mutable=True)
        for name in self.parameters:
            value = (given.get(name) or "").strip()
            if value:
                kept[name] = value
        text = kept.urlencode()
        if not text or len(text) > QUERY_LIMIT or not self.form(QueryDict(text)).is_valid():
            raise self._invalid()
        return text

    def address(self, query: str) -> str:
        """Return the list's address at the query string, or at its beginning if that is none."""
        try:
            return f"{reverse(self.name)}?{self.canonical(query)}"
        except Invalid:
            return reverse(self.name)

    def may_save(self, user: "User") -> bool:
        """Return whether the user may save filters of the list."""
        allowed = not self.permission or user.has_perm(self.permission)
        return allowed and self.refusal(user) is None

    def _parsed(self, query: str) -> QueryDict:
        text_of(query, code="query_invalid")
        try:
            given = QueryDict(query[: QUERY_LIMIT * 4].removeprefix("?"))
        except ValueError as error:
            raise self._invalid() from error
        for value in given.values():
            text_of(value, code="query_invalid")
        return given

    def _invalid(self) -> Invalid:
        return Invalid(_("That is no filter of this list."), code="query_invalid")


@dataclass(frozen=True)
class Offered:
    """A saved filter as a link. `by`: its owner, if it is somebody else's; `current`: the page
    shows it."""

    pk: int
    name: str
    address: str
    current: bool
    by: str
    deletable: bool


_pages: Registry[FilteredPage] = Registry("filtered page")
_offer: "list[Callable[[User, FilteredPage, str], list[Offered]]]" = []


def register(page: FilteredPage) -> None:
    """Register the list. Raises ImproperlyConfigured when another one has its name."""
    _pages.add(page.name, page)


def get(name: str) -> FilteredPage | None:
    """Return the list with this URL name, or None."""
    return _pages.get(name)


def registered() -> Iterator[FilteredPage]:
    """Yield all lists."""
    yield from _pages.by_key().values()


def offers_by(offer: "Callable[[User, FilteredPage, str], list[Offered]]") -> None:
    """Let the app that keeps saved filters offer them: of a user and a list, at an address."""
    _offer[:] = [offer]


def offered(user: "User", page: FilteredPage, address: str) -> list[Offered]:
    """Return the saved filters that the user is offered on the list."""
    return [one for offer in _offer for one in offer(user, page, address)]


def context_of(user: "User", page: FilteredPage, form: FilterForm, query: str) -> dict[str, object]:
    """Return what `web/_saved_filters.html` takes. `query`: what would be saved now."""
    return {
        "filters_of": page.name,
        "saved": offered(user, page, query),
        "savable": query if query and form.is_valid() and page.may_save(user) else "",
    }
