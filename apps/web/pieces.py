"""What pages are made of: plain values that the templates of `templates/web/` draw."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.shortcuts import resolve_url

if TYPE_CHECKING:
    from apps.accounts.models import User


@dataclass(frozen=True)
class Link:
    """A way on. `to`: a URL name, or an address; empty: nowhere. `permission`: without it, it is
    not shown.

    `main`: what most people come for. `outside`: leads out of this site.
    """

    text: str
    to: str
    permission: str = ""
    main: bool = False
    outside: bool = False

    @property
    def href(self) -> str:
        """The address."""
        return resolve_url(self.to) if self.to else ""


def seen_by(links: tuple[Link, ...], user: "User") -> list[Link]:
    """Those that the person may follow."""
    return [link for link in links if not link.permission or user.has_perm(link.permission)]


@dataclass(frozen=True)
class Note:
    """Something to know first, under the head of a page. `tone`: good, warn, bad or info."""

    what: str
    text: str = ""
    then: str = ""
    tone: str = "warn"


@dataclass(frozen=True)
class Head:
    """The head of a page. `at`: the time that `lead` speaks of, shown as an age behind it."""

    title: str
    lead: str = ""
    at: datetime | None = None
    crumbs: tuple[Link, ...] = ()
    state: str = ""
    links: tuple[Link, ...] | list[Link] = ()
    note: Note | None = None


@dataclass(frozen=True)
class Cell:
    """A value of a row under its `head`. In a list without heads `text` says what it is.

    `form`: how it is written; `age` and `when` for times, `words` for codes.
    """

    head: str
    value: Any
    text: str = "{}"
    form: str = ""

    @property
    def said(self) -> str:
        """The value with what it is."""
        return self.text.format(self.value)


@dataclass(frozen=True)
class Line:
    """A row of a list: a title, cells, and at its end an amount and a state.

    Without `href` the title is no link; without a title the state stands in its place. `under`:
    said below the amount where there is no state. `key` and `version` tell an open page what
    changed; `row` is for a template of the list's own.
    """

    title: str
    href: str = ""
    cells: tuple[Cell, ...] = ()
    amount: Decimal | None = None
    currency: str = ""
    state: str = ""
    under: str = ""
    key: Any = ""
    version: Any = ""
    row: Any = None


@dataclass(frozen=True)
class Fact:
    """A value with its name; without one it is a further value of the fact before it.

    `note` stands behind the value, softer. `form`: `when`, `code` or `prose`.
    """

    name: str
    value: Any
    href: str = ""
    note: str = ""
    form: str = ""
