"""Building blocks of pages: plain values that the templates of `templates/web/` draw."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.shortcuts import resolve_url
from django.utils.translation import gettext

from apps.common.money import NO_BREAK, shown

if TYPE_CHECKING:
    from apps.accounts.models import User


@dataclass(frozen=True)
class Link:
    """A link. `to`: a URL name or a URL; empty: no link. Without `permission` it is not shown.

    `main`: the page's main action. `outside`: leads to another site.
    """

    text: str
    to: str
    permission: str = ""
    main: bool = False
    outside: bool = False

    @property
    def href(self) -> str:
        """Return the URL."""
        return resolve_url(self.to) if self.to else ""


def seen_by(links: tuple[Link, ...], user: "User") -> list[Link]:
    """Return the links that the user may follow."""
    return [link for link in links if not link.permission or user.has_perm(link.permission)]


@dataclass(frozen=True)
class Note:
    """An important note under the head of a page. `tone`: good, warn, bad or info."""

    what: str
    text: str = ""
    then: str = ""
    tone: str = "warn"


@dataclass(frozen=True)
class Head:
    """The head of a page. `at`: the time to which `lead` refers, shown as an age after it."""

    title: str
    lead: str = ""
    at: datetime | None = None
    crumbs: tuple[Link, ...] = ()
    state: str = ""
    links: tuple[Link, ...] | list[Link] = ()
    note: Note | None = None


@dataclass(frozen=True)
class Cell:
    """A value of a row under its `head`. In a list without heads `text` describes the value.

    `form`: its format; `age` and `when` for times, `words` for codes.
    """

    head: str
    value: Any
    text: str = "{}"
    form: str = ""

    @property
    def said(self) -> str:
        """Return the value with its description."""
        return self.text.format(self.value)


@dataclass(frozen=True)
class Line:
    """A row of a small panel: a title, cells, and at its end an amount and a state. Lists with a
    page of their own are tables (`apps.web.tables`).

    Without `href` the title is no link; without a title the state replaces it. `under`: text below
    the amount if there is no state.
    """

    title: str
    href: str = ""
    cells: tuple[Cell, ...] = ()
    amount: Decimal | None = None
    currency: str = ""
    state: str = ""
    under: str = ""


def rows_card(
    id: str, title: str, lines: list[Line], *, link: Link | None = None, empty: str = ""
) -> dict[str, Any]:
    """Return the context of a panel of rows for `web/_rows_panel.html`. `link` leads to all of
    them; `empty` is the text when there are none; without it an empty panel is not drawn."""
    return {"id": id, "title": title, "lines": lines, "link": link, "empty": empty}


def amount_of(row: Any) -> str:
    """Return the row's amount for a title, without line breaks."""
    return shown(row.amount, row.currency, blank=NO_BREAK)


def asked_head(row: Any, title: str, /, **own: Any) -> Head:
    """Return the head of the page of a row that a user asked for."""
    lead = gettext("asked by {requested_by}").format(requested_by=row.requested_by)
    return Head(title, lead, **{"at": row.created_at, "state": row.status, **own})


@dataclass(frozen=True)
class Fact:
    """A value with its name; without one, a further value of the fact before it.

    `note` follows the value in a softer tone. `form`: `when`, `code` or `prose`.
    """

    name: str
    value: Any
    href: str = ""
    note: str = ""
    form: str = ""
