"""Types of the API's fields, made of the same patterns and limits as `validation` has."""

from decimal import Decimal
from typing import Annotated, Any

from ninja import Query
from pydantic import BeforeValidator, Field, StringConstraints

from apps.common.validation import (
    CODE,
    CURRENCY,
    KEPT_PLACES,
    LONGEST_KEY,
    LONGEST_LINE,
    LONGEST_REASON,
    LONGEST_TEXT,
    MOST,
    REGION,
)

_DIGITS = rf"\d{{1,16}}(\.\d{{1,{KEPT_PLACES}}})?"
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
    Field(gt=0, lt=MOST, decimal_places=KEPT_PLACES, allow_inf_nan=False),
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
