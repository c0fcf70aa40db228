"""Windows of days and what is counted in their days and months."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db.models import Q

from apps.accounts.models import User
from apps.common.errors import Invalid
from apps.common.windows import Period, Window, counted, midnight

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)


@pytest.fixture
def people(db: None) -> None:
    for number, (hours, name) in enumerate(((0, "a"), (1, "a"), (1, "b"), (23, "a"), (24, "a"))):
        at = NOW - timedelta(hours=hours)
        User.objects.create(username=f"window{number}", last_name=name, date_joined=at)


def test_a_window_has_days_or_months() -> None:
    assert Window(date(2026, 2, 27), date(2026, 3, 1)).units() == [
        date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1),
    ]  # fmt: skip
    months = Window(date(2025, 11, 30), date(2026, 3, 1)).units()
    assert len(months) == 92
    months = Window(date(2025, 11, 30), date(2026, 3, 2)).units()
    assert months == [date(2025, 11, 1), date(2025, 12, 1), *(date(2026, m, 1) for m in (1, 2, 3))]


def test_a_day_begins_in_the_sites_time_zone(settings: Any) -> None:
    settings.TIME_ZONE = "Africa/Lagos"
    assert midnight(date(2026, 3, 1)) == datetime(2026, 2, 28, 23, tzinfo=UTC)


def test_days_are_counted_with_the_empty_ones(people: None) -> None:
    rows, marked = User.objects.filter(username__startswith="window"), Q(last_name="b")
    days = counted(
        rows, Window(date(2026, 3, 8), date(2026, 3, 10)), column="date_joined", marked=marked
    )
    assert [(one.begins.day, one.count, one.marked) for one in days] == [
        (8, 0, 0), (9, 2, 0), (10, 3, 1),
    ]  # fmt: skip


def test_a_period_may_have_no_beginning_and_no_end() -> None:
    first, last = date(2026, 3, 1), date(2026, 3, 31)
    assert Period(first, last).words == "1 Mar 2026 to 31 Mar 2026"
    assert Period(first, None).words == "from 1 Mar 2026 on"
    assert (Period(None, last).words, Period(None, None).words) == ("until 31 Mar 2026", "")
    day = timedelta(days=1)
    period = Period(first, last).checked()
    assert [period.has(one) for one in (first - day, first, last, last + day)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert Period(first, None).has(date.max) and Period(None, last).has(date.min)
    with pytest.raises(Invalid) as refused:
        Period(last, first).checked()
    assert refused.value.code == "days_out_of_order"
