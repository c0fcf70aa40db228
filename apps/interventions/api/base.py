"""Shapes that the API of this domain reads and answers with."""

from decimal import Decimal
from typing import Annotated, Any

from ninja import Query, Schema
from pydantic import BeforeValidator, Field, StringConstraints


def _no_boolean(value: Any) -> Any:
    # pydantic reads true as 1.
    if isinstance(value, bool):
        raise ValueError("an amount is a number or a text")
    return value


Amount = Annotated[
    Decimal,
    BeforeValidator(_no_boolean),
    Field(gt=0, lt=Decimal(10) ** 15, decimal_places=2, allow_inf_nan=False),
]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=80)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Region = Annotated[str, StringConstraints(pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$", max_length=6)]
Key = Annotated[str, StringConstraints(max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")]
Line = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5000)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=300)]


class ErrorOut(Schema):
    """Why it did not end as asked, or what is missing although it did."""

    code: str
    detail: str
