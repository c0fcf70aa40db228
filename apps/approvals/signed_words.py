"""What is signed, in words: each field of a payload said once, in the terms of its domain.

A domain describes its payload in a function that gets a `Wording` and the row (`words=` of
`subject.register`). A value comes from the payload alone; a name that the payload does not have,
such as a person's, is shown only while the payload has exactly the value that the name stands for.
A field that the domain leaves out is shown as it stands in the payload: never hidden.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext, ngettext

from apps.common.canonical_json import canonical_json
from apps.common.money import NO_BREAK, shown

if TYPE_CHECKING:
    from apps.accounts.models import User

#: A text with spaces that is longer than an id is shown as prose.
PROSE_FROM = 36
#: How many rows of a long list the page shows; the domain's own page shows all.
MOST_ROWS = 20


class Form(StrEnum):
    """How a line is laid out. REFERENCE: an identifier, for programs more than for people."""

    AMOUNT = "amount"
    LINE = "line"
    PROSE = "prose"
    TABLE = "table"
    REFERENCE = "reference"


@dataclass(frozen=True)
class Said:
    """One line of what is signed. `fields` are the payload's fields that it says. A table has
    `columns` and the first `rows`, of `number`."""

    fields: tuple[str, ...]
    label: str
    value: str = ""
    form: Form = Form.LINE
    tone: str = ""
    href: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    number: int = 0

    @property
    def more(self) -> int:
        """Return the number of rows that are not shown."""
        return self.number - len(self.rows)


class Wording:
    """Collects the lines of one payload, in the order in which they are said.

    Every method says nothing about a field that the payload does not have, or whose value is not
    of the kind that the method is for: such a field is shown as it stands.
    """

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self.payload = payload
        self._lines: list[Said] = []

    def amount(self, label: str, field: str, *, currency: str = "currency") -> None:
        """Say an amount of major units, in the currency of the other field."""
        figure = _money(self.payload.get(field), self.payload.get(currency))
        if figure:
            self._say(label, (field, currency), figure, Form.AMOUNT)

    def text(self, label: str, field: str, *, form: Form = Form.LINE, href: str = "") -> None:
        """Say a text or a number as it stands."""
        value = self.payload.get(field)
        if isinstance(value, str | int) and not isinstance(value, bool):
            self._say(label, (field,), str(value), form, href=href)

    def prose(self, label: str, field: str) -> None:
        """Say a text of sentences."""
        self.text(label, field, form=Form.PROSE)

    def reference(self, label: str, field: str, *, href: str = "") -> None:
        """Say an identifier."""
        self.text(label, field, form=Form.REFERENCE, href=href)

    def named(
        self, label: str, says: Mapping[str, Any], name: str, *, href: str = "", tone: str = ""
    ) -> None:
        """Say `name` for these fields, if the payload has exactly these values."""
        if all(field in self.payload and self.payload[field] == says[field] for field in says):
            self._say(label, tuple(says), name, tone=tone, href=href)

    def person(self, label: str, field: str, user: "User") -> None:
        """Say the user's name, if the field has the user's id."""
        self.named(label, {field: user.audit_id}, str(user))

    def either(
        self, label: str, field: str, *, yes: str, no: str, warn: bool | None = None
    ) -> None:
        """Say one of two texts for a yes or no; `warn` is the value that deserves a second look."""
        value = self.payload.get(field)
        if isinstance(value, bool):
            tone = "warn" if value is warn else ""
            self._say(label, (field,), yes if value else no, tone=tone)

    def table(
        self,
        label: str,
        field: str,
        *,
        columns: str = "columns",
        titles: Mapping[str, str],
        amounts: tuple[str, ...] = (),
        currency: str = "currency",
    ) -> None:
        """Say a list of rows, whose columns another field names; `amounts` are columns of money."""
        names, rows = self.payload.get(columns), self.payload.get(field)
        if not isinstance(rows, list) or not _is_table(rows) or not isinstance(names, list):
            return
        unit = self.payload.get(currency)
        money = [name in amounts for name in names]
        self._lines.append(
            Said(
                fields=(field, columns),
                label=label,
                form=Form.TABLE,
                columns=tuple(titles.get(str(name), str(name)) for name in names),
                rows=tuple(_row(row, money, unit) for row in rows[:MOST_ROWS]),
                number=len(rows),
            )
        )

    def lines(self) -> list[Said]:
        """Return what was said, then every other field as it stands in the payload."""
        said = {field for line in self._lines for field in line.fields}
        return [*self._lines, *_as_it_stands(self.payload, said)]

    def _say(
        self,
        label: str,
        fields: tuple[str, ...],
        value: str,
        form: Form = Form.LINE,
        *,
        tone: str = "",
        href: str = "",
    ) -> None:
        self._lines.append(Said(fields, label, value, form, tone=tone, href=href))


#: Says a payload of the kind, and returns every line.
Words = Callable[[Mapping[str, Any]], list[Said]]


def as_it_stands(payload: Mapping[str, Any]) -> list[Said]:
    """Say every field as it stands: for a kind without words, or a row that is gone."""
    return Wording(payload).lines()


def difference_in_words(
    words: Words, was: Mapping[str, Any], now: Mapping[str, Any]
) -> list[dict[str, str]]:
    """Return the lines that differ between two payloads: [{field, was, now}, …], `field` being the
    line's label; an empty text where a payload does not have the line."""
    before, after = _by_field(words(was)), _by_field(words(now))
    # By line and not by label: two lines with one label must not hide each other.
    changed: dict[tuple[tuple[str, ...], ...], dict[str, str]] = {}
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) == now.get(name):
            continue
        old, new = before.get(name), after.get(name)
        lines = (old.fields if old else (), new.fields if new else ())
        changed[lines] = {
            "field": (new or old or Said((name,), name)).label,
            "was": _spelled(old, was.get(name)),
            "now": _spelled(new, now.get(name)),
        }
    return list(changed.values())


# --- helpers -------------------------------------------------------------------------------------
def _by_field(lines: list[Said]) -> dict[str, Said]:
    return {field: line for line in lines for field in line.fields}


def _spelled(line: Said | None, value: Any) -> str:
    """A table has no text of its own: its rows are too many for a difference."""
    if line is None:
        return ""
    if line.form == Form.TABLE:
        return ngettext("{number:,} row", "{number:,} rows", line.number).format(number=line.number)
    return line.value or _raw(value)


def _as_it_stands(payload: Mapping[str, Any], said: set[str]) -> Iterator[Said]:
    columns = payload.get("columns")
    titles = tuple(map(str, columns)) if isinstance(columns, list) else ()
    # A JSON object has no order: by name.
    for name, value in sorted(payload.items()):
        if name in said:
            continue
        label = name.replace("_", " ").capitalize()
        if _is_table(value):
            rows = tuple(_row(row, [], None) for row in value[:MOST_ROWS])
            yield Said((name,), label, "", Form.TABLE, "", "", titles, rows, len(value))
        else:
            text = _raw(value)
            yield Said((name,), label, text, Form.PROSE if _is_prose(text) else Form.LINE)


def _raw(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value) or "–"
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    return value if isinstance(value, str) else canonical_json(value)


def _row(row: list[Any], money: list[bool], currency: Any) -> tuple[str, ...]:
    return tuple(
        (_money(cell, currency) if index < len(money) and money[index] else "") or _raw(cell)
        for index, cell in enumerate(row)
    )


def _money(amount: Any, currency: Any) -> str:
    """Return the amount with its currency; an empty text for what is no exact amount."""
    if not isinstance(amount, str) or not isinstance(currency, str):
        return ""
    try:
        value = Decimal(amount)
    except InvalidOperation:
        return ""
    figure = shown(value, currency, blank=NO_BREAK) if value.is_finite() else ""
    # Rounding for display must not say another amount than the one that is signed.
    digits = figure.partition(NO_BREAK)[2].replace(",", "")
    return figure if digits and Decimal(digits) == value else ""


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, list) for row in value)


def _is_prose(text: str) -> bool:
    return "\n" in text or (len(text) > PROSE_FROM and " " in text)
