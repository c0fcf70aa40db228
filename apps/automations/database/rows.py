"""Rows that PostgreSQL sent as JSON, as values that automations pass on."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from apps.automations.definition import MOST_ROWS
from apps.automations.values import MOST_BYTES, TooLarge
from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.strict_json import NotJson, exact_document_of


def rows_of(documents: Sequence[str | None]) -> list[dict[str, Any]]:
    """Return the rows. Numbers stay numbers as long as they keep all their digits as a float or an
    integer; others become texts.

    Raises Invalid `database_too_many_rows`, and `value_not_json` for two columns of one name or a
    number of more than 400 digits; TooLarge for null, which stands for a row that was too much.
    """
    if None in documents:
        raise TooLarge(filled(_("The rows have more than {most} bytes."), most=MOST_BYTES))
    if len(documents) > MOST_ROWS:
        raise Invalid(
            filled(_("The query finds more than {most} rows."), most=MOST_ROWS),
            code="database_too_many_rows",
        )
    try:
        found = exact_document_of(f"[{','.join(map(str, documents))}]".encode())
    except NotJson as error:
        raise Invalid(
            filled(_("A row cannot be written as JSON: {why}"), why=str(error)),
            code="value_not_json",
        ) from None
    rows: list[dict[str, Any]] = _without_decimals(found)
    return rows


def _without_decimals(value: Any) -> Any:
    if isinstance(value, Decimal):
        number = float(value)
        return number if Decimal(repr(number)) == value else format(value, "f")
    if isinstance(value, dict):
        return {name: _without_decimals(part) for name, part in value.items()}
    return [_without_decimals(part) for part in value] if isinstance(value, list) else value
