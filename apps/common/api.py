"""Field types of the API, from the same patterns and limits as `validation`, and the schemas that
several domains share."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from django.utils.functional import Promise
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


#: Above zero, in major units, as a number or a text; `clean_amount` also checks the currency.
Amount = Annotated[
    Decimal,
    BeforeValidator(_no_boolean),
    Field(gt=0, lt=MOST, decimal_places=MOST_PLACES, allow_inf_nan=False),
]
#: As `Amount`, or below zero; `clean_signed_amount` also refuses zero.
SignedAmount = Annotated[
    Decimal,
    BeforeValidator(_no_boolean),
    Field(gt=-MOST, lt=MOST, decimal_places=MOST_PLACES, allow_inf_nan=False),
]
#: An amount as a text of digits, at least zero.
AmountText = Annotated[str, Field(pattern=f"^{_DIGITS}$")]
#: An amount as a filter; empty: no filter.
AmountFilter = Annotated[str, Field(pattern=f"^({_DIGITS})?$")]
Code = Annotated[str, StringConstraints(pattern=f"^{CODE.pattern}$")]
Currency = Annotated[str, StringConstraints(pattern=f"^{CURRENCY.pattern}$")]
#: A region; empty: none.
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
#: May be empty, unlike `Why`.
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_REASON)]
Why = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_REASON)
]
#: The API limits only the size: the service checks the rules and audits its refusals.
LONGEST_UNJUDGED = 20_000
Unjudged = Annotated[str, Field(max_length=LONGEST_UNJUDGED)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=300)]
#: Cursor of a list of numbered items: the last number seen.
NumberCursor = Annotated[str | None, Query(max_length=10)]


def _said(value: Any) -> Any:
    return str(value) if isinstance(value, Promise) else value


#: What the reader is told, in the reader's language: also a text that waits for its language.
Words = Annotated[str, BeforeValidator(_said)]


class ErrorOut(Schema):
    """Why it did not end as asked, or what is missing although it did."""

    code: str
    detail: Words


def error_of(row: Any) -> dict[str, str] | None:
    """Return the `ErrorOut` of a row with `error_code` and `error_detail`; None without an
    error."""
    return {"code": row.error_code, "detail": row.error_detail} if row.error_code else None


def exactly(amount: str) -> Any:
    """Return a `resolve_…` method for that amount of a row with its `currency`: the exact digits,
    in the currency's decimal places; null for none."""

    def resolved(row: Any) -> str | None:
        return exact_or_none(getattr(row, amount), row.currency)

    return staticmethod(resolved)


class InCurrency(Schema):
    """The `amount` of a row with its `currency`, in the currency's decimal places; null for
    none."""

    amount: str
    currency: str

    resolve_amount = exactly("amount")


class Failing(Schema):
    """A row with `error_code` and `error_detail`; without them `error` is null."""

    error: ErrorOut | None

    @staticmethod
    def resolve_error(row: Any) -> dict[str, str] | None:
        """Return the two columns as one object."""
        return error_of(row)


class AskedOut(Failing, InCurrency):
    """A row that a user asked for."""

    requested_by: str = Field(validation_alias="requested_by.username")
    created_at: datetime
    settled_at: datetime | None


class PersonOut(Schema):
    """A user: username and display name."""

    username: str
    name: str

    @staticmethod
    def resolve_name(user: Any) -> str:
        """Return the name that pages show."""
        return str(user)


class ReasonIn(Schema):
    """The body of an action. It is optional, and so is the reason."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = ""


def why(body: ReasonIn | None) -> str:
    """Return the reason that was sent, or an empty text."""
    return body.reason if body else ""


def page_of(item: type[Schema]) -> type[Schema]:
    """Return the schema of a page of these items; `next` is the `cursor` of the next page, or
    null."""
    name = f"{item.__name__.removesuffix('Out')}Page"
    items: Any = list[item]  # type: ignore[valid-type]
    return create_model(name, __base__=Schema, items=(items, ...), next=(str | None, ...))
