"""Tables of rows: on pages, where narrow windows show cards, and in files."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from typing import Any

from django.http import HttpRequest
from django.shortcuts import resolve_url

from apps.common.language import as_written
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.common.pagination import ORDERS

#: What is read of a row: the path of an attribute (`policy.name`), or a function of the row.
Read = str | Callable[[Any], Any]
#: Forms of cells that say themselves what they are for.
_QUIET = frozenset({"pick", "act", "open"})
#: Forms of cells that stand at the right edge of their column.
_AT_THE_END = frozenset({"amount", "count", "act", "open"})


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a list, on its page and in its files.

    `form`: how its cells are drawn: `title` (the link to the row), `amount` (in `currency`),
    `count`, `age` and `when` (of times), `state` (a badge), `words` (of codes), `code`, `name` (of
    what programs name), `pick`, `act` and `open` (of what is ticked, pressed or led to), `prose`,
    `terms`, `long` and `why` (texts of two lines), `aside` (said by cards and files, not by
    tables); empty for texts. `part`: a template that draws the cell instead, from `row`, `cell` and
    `line`. `text`: how a card says the value, without a head. `sort`: the orders (of
    `common.pagination`) that its head offers, the first one first; an index must bear each. `wide`:
    shown only where there is room for it. `file`: its name in files; `head` in small letters if
    empty, and "-" for a column that no file has.
    """

    head: str
    value: Read
    form: str = ""
    currency: Read = "currency"
    part: str = ""
    text: str | Callable[[Any], str] = "{}"
    sort: tuple[str, ...] = ()
    wide: bool = False
    file: str = ""

    @property
    def quiet(self) -> bool:
        """Return whether its head is only read aloud."""
        return self.form in _QUIET

    @property
    def css(self) -> str:
        """Return the classes of its head and cells."""
        kind = self.form or "text"
        ends = " at-end" if self.form in _AT_THE_END else ""
        return f"col-{kind}{ends}{' col-wide' if self.wide else ''}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of its columns in files, the same in every language: an amount has its
        currency beside it."""
        name = self.file or as_written(self.head).lower().replace(" ", "_")
        if name == "-":
            return ()
        if self.form != "amount":
            return (name,)
        return (name, "currency" if name == "amount" else f"{name}_currency")

    def of(self, row: Any) -> "Cell":
        """Return the row's cell."""
        currency = _read(row, self.currency) if self.form == "amount" else ""
        return Cell(self, _read(row, self.value), currency or "")

    def record(self, row: Any) -> tuple[Any, ...]:
        """Return the values of `names` for a file: numbers and times as such, else texts."""
        if not self.names:
            return ()
        cell = self.of(row)
        value = cell.value
        if self.form == "amount":
            amount = None if value is None else Decimal(exact(value, cell.currency))
            return amount, cell.currency
        if value is None or isinstance(value, int | Decimal | date | str):
            return (value,)
        return (str(value),)


@dataclass(frozen=True)
class Cell:
    """A value of a row in its column."""

    column: Column
    value: Any
    currency: str = ""

    @property
    def before(self) -> str:
        """Return what a card says before the value."""
        return self._text.partition("{}")[0]

    @property
    def after(self) -> str:
        """Return what a card says after the value."""
        return self._text.partition("{}")[2]

    @property
    def _text(self) -> str:
        text = self.column.text
        return text(self.value) if callable(text) else text


@dataclass(frozen=True)
class Line:
    """A row as the table draws it. `key` and `version` tell an open page what changed."""

    row: Any
    cells: list[Cell]
    href: str = ""
    key: Any = ""
    version: Any = ""
    css: str = ""

    @property
    def about(self) -> str:
        """Return the ids of the cells that say what the link of the row is about."""
        some = (n for n, cell in enumerate(self.cells, 1) if cell.column.form in _SAYS)
        return " ".join(f"about-{self.key}-{n}" for n in some)


_SAYS = frozenset({"", "age", "when", "due", "signs", "amount", "state"})


@dataclass(frozen=True)
class HeadCell:
    """The head of a column: `href` sorts by it; `sorted` is the value of aria-sort."""

    column: Column
    href: str = ""
    sorted: str = ""


@dataclass(frozen=True)
class Table:
    """A table as `web/_table.html` draws it. `id` is that of its rows."""

    id: str
    caption: str
    heads: list[HeadCell]
    lines: list[Line]


def table(
    request: HttpRequest,
    rows: Iterable[Any],
    columns: Sequence[Column],
    *,
    id: str,
    caption: str,
    order: str,
    default: str,
    address: str,
    to: str | Callable[[Any], str] = "",
    by: str = "pk",
    version: Read = "version",
    css: Callable[[Any], str] = lambda row: "",
) -> Table:
    """Return the table of the rows, sorted by `order`.

    `address` is that of the page: its heads lead there, with the parameters of the request, another
    `sort`, and no cursor. `to` names the URL of a row's page, which has the row's column `by`, or
    returns the whole URL. `css` returns a class of the row.
    """

    def href(row: Any) -> str:
        if isinstance(to, str):
            return resolve_url(to, getattr(row, by)) if to else ""
        return to(row)

    return Table(
        id=id,
        caption=caption,
        heads=[head(request, column, order, default, address) for column in columns],
        lines=[
            Line(
                row=row,
                cells=[column.of(row) for column in columns],
                href=href(row),
                key=getattr(row, by),
                version=_read(row, version),
                css=css(row),
            )
            for row in rows
        ],
    )


def sorted_by(request: HttpRequest, columns: Iterable[Column], default: str) -> str:
    """Return the order that ?sort= asks for, if a column offers it, else the default."""
    wanted = request.GET.get("sort", "")
    return wanted if any(wanted in column.sort for column in columns) else default


def head(request: HttpRequest, column: Column, order: str, default: str, address: str) -> HeadCell:
    """Return the head of a column, which leads to the list at `address` in the next order."""
    if not column.sort:
        return HeadCell(column)
    here = order in column.sort
    place = column.sort.index(order) + 1 if here else 0
    following = column.sort[place] if place < len(column.sort) else ""
    # The last click leads back to the page's own order.
    if not following and len(column.sort) > 1:
        following = column.sort[0]
    query = request.GET.copy()
    for name in ("cursor", "sort"):
        query.pop(name, None)
    if following and following != default:
        query["sort"] = following
    href = f"{address}?{query.urlencode()}" if query else address
    if not here:
        return HeadCell(column, href)
    # The newest have the smallest age.
    falls = ORDERS[order].descending != (column.form == "age")
    return HeadCell(column, href, "descending" if falls else "ascending")


def file_columns(columns: Iterable[Column]) -> tuple[str, ...]:
    """Return the columns of a list's files: the row's id, then those of the list."""
    return ("id", *(name for column in columns for name in column.names))


def record(row: Any, columns: Sequence[Column], names: Sequence[str]) -> dict[str, Any]:
    """Return the row's values in a file, by `names`: those of `file_columns`, which are made once
    for all rows."""
    values = (value for column in columns for value in column.record(row))
    return dict(zip(names, (str(row.pk), *values), strict=True))


def _read(row: Any, what: Read) -> Any:
    return attrgetter(what)(row) if isinstance(what, str) else what(row)


# --- columns that many lists have ----------------------------------------------------------------
AGE = Column(
    head=_("Age"), value="created_at", form="age", sort=("newest", "oldest"), file="created_at"
)
ASKED_BY = Column(head=_("Asked by"), value="requested_by", text=_("asked by {}"))
AMOUNT = Column(head=_("Amount"), value="amount", form="amount")
STATE = Column(head=_("State"), value="status", form="state")
ERROR = Column(
    head=_("Error"),
    value=lambda row: row.error_code if row.error_code != row.status else "",
    form="words",
    wide=True,
)
#: Of rows that somebody asked for (`apps.engine.models_abstract.AskedRow`) and that have an amount.
ASKED = (ASKED_BY, AGE, AMOUNT, STATE, ERROR)
