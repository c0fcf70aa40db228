"""Keyset pagination: as fast at a million rows as at ten, and stable while rows are added."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet

from apps.common.errors import Invalid
from apps.common.identifiers import number_of
from apps.common.language import filled
from apps.common.language import lazy as _

DEFAULT_LIMIT = 50
MOST = 200
#: Longer than any cursor of ours.
_LONGEST = 300

M = TypeVar("M", bound=Model)


class Order(NamedTuple):
    """A column and its direction; the id breaks ties in the same direction. An index of the listed
    model must bear it: `tests/web/test_tables.py` asks for every order that a list offers."""

    column: str
    descending: bool = False
    #: Rows without a value come last, in either direction.
    nullable: bool = False
    #: No two rows have the same value: the id is not needed.
    unique: bool = False


ORDERS: dict[str, Order] = {
    "newest": Order("created_at", descending=True),
    "oldest": Order("created_at"),
    "due": Order("due_at", nullable=True),
    "largest": Order("amount", descending=True, nullable=True),
    "smallest": Order("amount", nullable=True),
    "code": Order("code", unique=True),
    "code_last": Order("code", descending=True, unique=True),
    "entries": Order("at", descending=True),
    "started": Order("started_at", descending=True),
    "entries_oldest": Order("at"),
    "ingested": Order("ingested_at", descending=True),
    "failed": Order("last_at", descending=True),
    "departs": Order("departs_at"),
    "departs_last": Order("departs_at", descending=True),
}


def page(
    queryset: QuerySet[M],
    *,
    cursor: str | None,
    limit: int = DEFAULT_LIMIT,
    order: str = "newest",
    shape: Callable[[M], Any] | None = None,
) -> dict[str, Any]:
    """Return up to `limit` rows after the cursor, in one of ORDERS; the model has its column and
    `id`.

    `items`, each passed through `shape`, and `next`, the cursor of the following page, None on the
    last. Cursors are opaque, signed, and valid for one order only. Raises Invalid `bad_cursor` for
    a cursor that is not ours, and `bad_limit` outside 1 to 200.
    """
    if not 1 <= limit <= MOST:
        raise Invalid(filled(_("limit must be between 1 and {most}."), most=MOST), code="bad_limit")
    place = _read(cursor, queryset, order) if cursor else None
    rows = _rows(queryset, ORDERS[order], place, limit + 1)
    return {
        "items": [shape(row) if shape else row for row in rows[:limit]],
        "next": _write(rows[limit - 1], order) if len(rows) > limit else None,
    }


def parts(queryset: QuerySet[M], *, order: str, size: int) -> Iterator[list[M]]:
    """Yield all rows in one of ORDERS, in lists of at most `size`, each by a query of its own.

    No row comes twice, however many are added meanwhile, unless its place in the order changes.
    """
    place: tuple[Any, Any] | None = None
    while rows := _rows(queryset, ORDERS[order], place, size):
        yield rows
        if len(rows) < size:
            return
        place = getattr(rows[-1], ORDERS[order].column), rows[-1].pk


def numbered_page(
    queryset: QuerySet[M],
    *,
    cursor: str | None,
    limit: int = DEFAULT_LIMIT,
    order: str = "number",
    digits: int = 9,
) -> dict[str, Any]:
    """Return up to `limit` rows sorted by a number of theirs, after the one in the cursor.

    For items of a run and lines of a ledger: their numbers are not secret and never change, so the
    cursor is the number. `order` is its column, with `-` before it for the highest first. Raises
    Invalid `bad_cursor` for what is not a number of at most that many digits.
    """
    column = order.removeprefix("-")
    rows = queryset.order_by(order)
    if cursor:
        last = number_of(cursor, digits=digits)
        if last is None:
            raise Invalid(_("The cursor is not one of ours."), code="bad_cursor")
        rows = rows.filter(**{f"{column}__{'gt' if column == order else 'lt'}": last})
    found: list[Any] = list(rows[: limit + 1])
    return {
        "items": found[:limit],
        "next": str(getattr(found[limit - 1], column)) if len(found) > limit else None,
    }


def _rows(
    queryset: QuerySet[M], order: Order, place: tuple[Any, Any] | None, number: int
) -> list[M]:
    sign = "-" if order.descending else ""
    ordered = queryset.order_by(f"{sign}{order.column}", *([] if order.unique else [f"{sign}pk"]))
    if not order.nullable:
        return list(_after(ordered, order, place)[:number])
    # Two ranges of one index. "After the cursor, or null" in one condition would not be a range,
    # and the hundredth page would read the ninety-nine before it.
    rows: list[M] = []
    missing = f"{order.column}__isnull"
    if place is None or place[0] is not None:
        rows = list(_after(ordered.filter(**{missing: False}), order, place)[:number])
        place = None
    if len(rows) < number:
        rest = ordered.filter(**{missing: True})
        if place is not None:
            rest = rest.filter(**{f"pk__{'lt' if order.descending else 'gt'}": place[1]})
        rows += rest[: number - len(rows)]
    return rows


def _after(queryset: QuerySet[M], order: Order, place: tuple[Any, Any] | None) -> QuerySet[M]:
    if place is None:
        return queryset
    value, identifier = place
    beyond = "lt" if order.descending else "gt"
    if order.unique:
        return queryset.filter(**{f"{order.column}__{beyond}": value})
    # The first term is redundant; it lets the index scan start at the cursor.
    return queryset.filter(
        Q(**{f"{order.column}__{beyond}e": value})
        & (Q(**{f"{order.column}__{beyond}": value}) | Q(**{f"pk__{beyond}": identifier}))
    )


def _signer(order: str) -> Signer:
    return Signer(salt=f"apps.common.pagination:{order}")


def _write(row: Any, order: str) -> str:
    value: Any = getattr(row, ORDERS[order].column)
    if isinstance(value, datetime):
        value = value.astimezone(UTC).isoformat()
    return _signer(order).sign_object([None if value is None else str(value), str(row.pk)])


def _read(cursor: str, queryset: QuerySet[Any], order: str) -> tuple[Any, Any]:
    try:
        if len(cursor) > _LONGEST:
            raise ValueError("too long")
        text, identifier = _signer(order).unsign_object(cursor)
        columns: Any = queryset.model._meta
        value = None if text is None else columns.get_field(ORDERS[order].column).to_python(text)
        return value, columns.pk.to_python(identifier)
    except (BadSignature, ValueError, TypeError, ValidationError) as error:
        raise Invalid(_("The cursor is not one of ours."), code="bad_cursor") from error
