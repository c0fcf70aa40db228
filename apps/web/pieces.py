"""What pages are made of: plain values that the templates of `templates/web/` draw."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.shortcuts import resolve_url
from django.urls import reverse

from apps.common.money import NO_BREAK, shown

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


def rows_card(
    id: str, title: str, lines: list[Line], *, link: Link | None = None, empty: str = ""
) -> dict[str, Any]:
    """A panel of rows as `web/_rows_panel.html` draws it. `link` leads to all of them; `empty` is
    said when there are none, and without it nothing is drawn then."""
    return {"id": id, "title": title, "lines": lines, "link": link, "empty": empty}


def asked_line(row: Any, url_name: str, title: str, /, *cells: Cell, **own: Any) -> Line:
    """The line of a row that somebody asked for: `cells`, then who asked, when, and why it did not
    end as asked. `own`: what it has otherwise."""
    error = row.error_code if row.error_code != row.status else ""
    common = {
        "amount": row.amount,
        "currency": row.currency,
        "state": row.status,
        "key": row.pk,
        "version": row.version,
    }
    asked = (
        Cell("Asked by", row.requested_by, "asked by {}"),
        Cell("Age", row.created_at, form="age"),
        Cell("Error", error, form="words"),
    )
    href = reverse(url_name, args=[row.pk])
    return Line(title, href, (*cells, *asked), **{**common, **own})


def asked_head(row: Any, title: str, /, **own: Any) -> Head:
    """The head of such a row's page; `title` stands behind its amount."""
    amount = shown(row.amount, row.currency, blank=NO_BREAK)
    lead = f"asked by {row.requested_by}"
    return Head(f"{amount} {title}", lead, **{"at": row.created_at, "state": row.status, **own})


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
