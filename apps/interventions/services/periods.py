"""Periods: a budget of a series is for its own days, and no two of a series share a day."""

from datetime import date, datetime
from typing import Any

from apps.common.errors import Conflict, Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.validation import clean_code
from apps.common.windows import Period, site_day
from apps.interventions.models import Budget

#: Words in URLs of pages and API that would hide a budget of that code.
RESERVED_CODES = frozenset({"live", "new", "transfers"})
OVERLAP_CONSTRAINT = "periods_of_a_series_apart"


def check_open(budget: Budget, *, as_of: datetime) -> None:
    """Raise Conflict `budget_not_open` (extra starts_on, ends_on) outside the budget's days."""
    if budget.is_open_on(site_day(as_of)):
        return
    raise Conflict(
        filled(_("The budget {code} is for {period}."), code=budget.code, period=budget.period),
        code="budget_not_open",
        starts_on=_text(budget.starts_on),
        ends_on=_text(budget.ends_on),
    )


def clean_period(
    *, series: str, starts_on: date | None, ends_on: date | None, alert_percent: int
) -> dict[str, Any]:
    """Return the checked fields of a period. Raises Invalid `code_invalid`, `days_out_of_order`,
    `alert_percent_invalid`."""
    Period(starts_on, ends_on).checked()
    number = isinstance(alert_percent, int) and not isinstance(alert_percent, bool)
    if not number or not 0 <= alert_percent <= 100:
        raise Invalid(_("A share is 0 to 100 percent."), code="alert_percent_invalid")
    return {
        "series": clean_code(series) if series else "",
        "starts_on": starts_on,
        "ends_on": ends_on,
        "alert_percent": alert_percent,
    }


def check_code(code: str) -> None:
    """Raise Invalid `code_reserved` for a code that has another meaning in URLs."""
    if code in RESERVED_CODES:
        raise Invalid(
            filled(_("{code!r} is not free to be a code."), code=code), code="code_reserved"
        )


def neighbours(budget: Budget) -> tuple[Budget | None, Budget | None]:
    """Return the periods of the same series before and after it, or None."""
    if not budget.series:
        return None, None
    others = Budget.objects.filter(series=budget.series).exclude(pk=budget.pk)
    # Periods do not overlap, so sorting by the first day sorts them.
    before = after = None
    if budget.starts_on is not None:
        before = others.filter(ends_on__lt=budget.starts_on).order_by("-ends_on").first()
    if budget.ends_on is not None:
        after = others.filter(starts_on__gt=budget.ends_on).order_by("starts_on").first()
    return before, after


def _text(day: date | None) -> str | None:
    return day.isoformat() if day else None
