"""Types of the API's fields, made of the same patterns and limits as `validation` has, and the
shapes that several domains answer with."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from ninja import Query, Schema
from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, create_model

from apps.common.money import MOST_PLACES, exact_or_none
from apps.common.validation import (
    CODE,
    CURRENCY,
    LONGEST_KEY,
    LONGEST_LINE,
    LONGEST_REASON,
    LONGEST_TEXT,
    MOST,
    REGION,
)

_DIGITS = rf"\d{{1,16}}(\.\d{{1,{MOST_PLACES}}})?"
_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"


def _no_boolean(value: Any) -> Any:
    # pydantic reads true as 1.
    if isinstance(value, bool):
        raise ValueError("an amount is a number or a text")
    return value


#: Above zero, in major units, as a number or a text; `clean_amount` knows the currency too.
Amount = Annotated[
    Decimal,
    BeforeValidator(_no_boolean),
    Field(gt=0, lt=MOST, decimal_places=MOST_PLACES, allow_inf_nan=False),
]
#: An amount as a text of digits, from zero.
AmountText = Annotated[str, Field(pattern=f"^{_DIGITS}$")]
#: The same of a filter; empty: none.
AmountFilter = Annotated[str, Field(pattern=f"^({_DIGITS})?$")]
Code = Annotated[str, StringConstraints(pattern=f"^{CODE.pattern}$")]
Currency = Annotated[str, StringConstraints(pattern=f"^{CURRENCY.pattern}$")]
#: Empty: none.
Region = Annotated[str, StringConstraints(pattern=f"^({REGION.pattern})?$")]
Key = Annotated[str, StringConstraints(max_length=LONGEST_KEY, pattern=_ONE_LINE)]
Line = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=LONGEST_LINE, pattern=_ONE_LINE
    ),
]
Title = Annotated[str, StringConstraints(max_length=160, pattern=_ONE_LINE)]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT)
]
#: May be empty; `Why` may not.
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_REASON)]
Why = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_REASON)
]
#: Of a sane size and no more: the service that takes it knows the rules, and audits its refusals.
LONGEST_UNJUDGED = 20_000
Unjudged = Annotated[str, Field(max_length=LONGEST_UNJUDGED)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=300)]
#: Of a list of numbered items: the last number seen.
NumberCursor = Annotated[str | None, Query(max_length=10)]


class ErrorOut(Schema):
    """Why it did not end as asked, or what is missing although it did."""

    code: str
    detail: str


def error_of(row: Any) -> dict[str, str] | None:
    """`ErrorOut` of a row with `error_code` and `error_detail`; None without an error."""
    return {"code": row.error_code, "detail": row.error_detail} if row.error_code else None


def exactly(amount: str) -> Any:
    """`resolve_…` of that amount of a row with its `currency`: the digits, as they are signed, in
    the places that this has; null for none."""

    def resolved(row: Any) -> str | None:
        return exact_or_none(getattr(row, amount), row.currency)

    return staticmethod(resolved)


class InCurrency(Schema):
    """The `amount` of a row with its `currency`, in the places that this has; null for none."""

    amount: str
    currency: str

    resolve_amount = exactly("amount")


class Failing(Schema):
    """What ends with `error_code` and `error_detail`, or without: then `error` is null."""

    error: ErrorOut | None

    @staticmethod
    def resolve_error(row: Any) -> dict[str, str] | None:
        """The columns as one object."""
        return error_of(row)


class AskedOut(Failing, InCurrency):
    """A row that somebody asked for."""

    requested_by: str = Field(validation_alias="requested_by.username")
    created_at: datetime
    settled_at: datetime | None


class PersonOut(Schema):
    """Somebody: by what they sign in with, and what they are called."""

    username: str
    name: str

    @staticmethod
    def resolve_name(user: Any) -> str:
        """As pages call them."""
        return str(user)


class ReasonIn(Schema):
    """The body of a verb; none, or without a reason: nobody says why."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = ""


def why(body: ReasonIn | None) -> str:
    """The reason that was sent, if any."""
    return body.reason if body else ""


def page_of(item: type[Schema]) -> type[Schema]:
    """A page of a list of these; `next`: pass it as `cursor`, null on the last."""
    name = f"{item.__name__.removesuffix('Out')}Page"
    items: Any = list[item]  # type: ignore[valid-type]
    return create_model(name, __base__=Schema, items=(items, ...), next=(str | None, ...))
