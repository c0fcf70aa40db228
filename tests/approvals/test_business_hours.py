"""Working time: nights, weekends, holidays and the change of clocks do not count."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from apps.approvals.business_hours import WorkingTime, configured, working_after

#: A Monday.
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def at(day: int, clock: str, zone: str = "UTC") -> datetime:
    """That time in the week of MONDAY; day 0 is Monday."""
    hour, minute = map(int, clock.split(":"))
    wall = (MONDAY + timedelta(days=day)).replace(hour=hour, minute=minute, tzinfo=ZoneInfo(zone))
    return wall.astimezone(UTC)


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        (at(0, "10:00"), 2, at(0, "12:00")),
        (at(0, "16:00"), 2, at(1, "10:00")),
        (at(0, "09:00"), 8, at(0, "17:00")),
        (at(0, "06:00"), 1, at(0, "10:00")),
        (at(0, "22:00"), 0.5, at(1, "09:30")),
        (at(4, "16:00"), 2, at(7, "10:00")),
        (at(5, "12:00"), 1, at(7, "10:00")),
        (at(0, "09:00"), 40, at(4, "17:00")),
        (at(0, "09:00"), 41, at(7, "10:00")),
    ],
)
def test_hours_pass_only_while_people_work(start: datetime, hours: float, end: datetime) -> None:
    assert working_after(start, hours) == end


def test_hours_are_those_of_the_zone(settings: Any) -> None:
    settings.WORKING_TIME_ZONE = "Africa/Lagos"
    assert working_after(at(0, "16:30", "Africa/Lagos"), 1) == at(1, "09:30", "Africa/Lagos")


def test_public_holidays_of_each_country_are_free(settings: Any) -> None:
    christmas_eve = datetime(2026, 12, 24, 16, tzinfo=UTC)
    settings.WORKING_HOLIDAYS = []
    assert working_after(christmas_eve, 2) == datetime(2026, 12, 25, 10, tzinfo=UTC)
    settings.WORKING_HOLIDAYS = ["BR"]
    assert working_after(christmas_eve, 2) == datetime(2026, 12, 28, 10, tzinfo=UTC)
    # The 26th is a Saturday: Nigeria gives the Monday instead.
    settings.WORKING_HOLIDAYS = ["BR", "NG"]
    assert working_after(christmas_eve, 2) == datetime(2026, 12, 29, 10, tzinfo=UTC)


def test_a_day_on_which_clocks_change_has_the_hours_that_it_had(settings: Any) -> None:
    settings.WORKING_DAYS, settings.WORKING_HOURS = "1-7", "00:00-24:00"
    settings.WORKING_TIME_ZONE = "Europe/Berlin"
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 3, 29, tzinfo=berlin)
    assert working_after(start, 23) == datetime(2026, 3, 30, tzinfo=berlin)
    settings.WORKING_HOURS = "09:00-17:00"
    before = datetime(2026, 3, 28, 17, tzinfo=berlin)
    assert working_after(before, 1) == datetime(2026, 3, 29, 10, tzinfo=berlin)


def test_days_can_be_chosen_one_by_one(settings: Any) -> None:
    settings.WORKING_DAYS = "1-3, 6"
    assert working_after(at(2, "16:00"), 2) == at(5, "10:00")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKING_DAYS", "Mon-Fri"),
        ("WORKING_DAYS", "5-1"),
        ("WORKING_DAYS", "0-7"),
        ("WORKING_HOURS", "09:00-09:00"),
        ("WORKING_HOURS", "09:00-12:00,11:59-17:00"),
        ("WORKING_HOURS", "09:00-12:00,09:00-12:00"),
        ("WORKING_HOURS", "22:00-06:00,05:00-07:00"),
        ("WORKING_HOURS", "20:00-04:00,22:00-23:00"),
        ("WORKING_HOURS", "09:00-12:00,13:00-13:00"),
        ("WORKING_HOURS", "09:00-12:00,"),
        ("WORKING_HOURS", ","),
        ("WORKING_HOURS", ""),
        ("WORKING_HOURS", "24:00-06:00"),
        ("WORKING_HOURS", "09:60-17:00"),
        ("WORKING_HOURS", "09:00-09:20,10:00-10:39"),
        ("WORKING_HOURS", "09:00-25:00"),
        ("WORKING_HOURS", "9-17"),
        ("WORKING_HOURS", "09:00-09:30"),
        ("WORKING_TIME_ZONE", "Mars/Olympus"),
        ("WORKING_TIME_ZONE", "../etc/passwd"),
        ("WORKING_HOLIDAYS", ["XX"]),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(settings: Any, name: str, value: object) -> None:
    setattr(settings, name, value)
    with pytest.raises(ImproperlyConfigured, match=name):
        configured()


def test_the_break_between_two_windows_does_not_count(settings: Any) -> None:
    settings.WORKING_HOURS = "09:00-12:00, 13:00-17:00"
    assert working_after(at(0, "11:00"), 1) == at(0, "12:00")
    assert working_after(at(0, "11:00"), 2) == at(0, "14:00")
    assert working_after(at(0, "12:30"), 1) == at(0, "14:00")
    assert working_after(at(0, "09:00"), 8) == at(1, "10:00")
    settings.WORKING_HOURS = "13:00-17:00,09:00-12:00"
    assert working_after(at(0, "11:00"), 2) == at(0, "14:00")


def test_a_night_belongs_to_the_day_on_which_it_begins(settings: Any) -> None:
    settings.WORKING_HOURS = "22:00-06:00"
    assert working_after(at(0, "23:00"), 2) == at(1, "01:00")
    assert working_after(at(1, "05:00"), 2) == at(1, "23:00")
    # Friday's night goes on into Saturday; Sunday's does not begin.
    assert working_after(at(4, "23:00"), 7) == at(5, "06:00")
    assert working_after(at(5, "05:00"), 2) == at(7, "23:00")
    assert working_after(at(7, "03:00"), 1) == at(7, "23:00")
    settings.WORKING_HOURS = "06:00-14:00,14:00-22:00,22:00-06:00"
    assert working_after(at(0, "06:00"), 120) == at(5, "06:00")


def test_a_night_in_which_clocks_change_has_the_hours_that_it_had(settings: Any) -> None:
    settings.WORKING_DAYS, settings.WORKING_HOURS = "1-7", "22:00-06:00"
    settings.WORKING_TIME_ZONE = "Europe/Berlin"
    berlin = ZoneInfo("Europe/Berlin")
    spring, autumn = datetime(2026, 3, 28, 22, tzinfo=berlin), datetime(2026, 10, 24, 22)
    autumn = autumn.replace(tzinfo=berlin)
    assert working_after(spring, 7) == datetime(2026, 3, 29, 6, tzinfo=berlin)
    assert working_after(spring, 7.5) == datetime(2026, 3, 29, 22, 30, tzinfo=berlin)
    assert working_after(autumn, 9) == datetime(2026, 10, 25, 6, tzinfo=berlin)
    # Windows that touch the hour that is skipped: it is nobody's, and no other counts twice.
    settings.WORKING_HOURS = "00:00-02:30,03:00-04:00"
    assert working_after(spring, 2.5) == datetime(2026, 3, 29, 3, 30, tzinfo=berlin)
    assert working_after(spring, 3) == datetime(2026, 3, 29, 4, tzinfo=berlin)


times = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.sampled_from([UTC]))
hours = st.integers(0, 24 * 60).map(lambda minutes: minutes / 10)
# The first example loads the calendars of public holidays, which takes as long as it takes.
unhurried = hypothesis(deadline=None)
half_hours = st.sets(st.integers(0, 47), min_size=2, max_size=8)


def windows_of(edges: set[int]) -> tuple[tuple[timedelta, timedelta], ...]:
    """Windows between half hours of the day, in turn; the last may go over midnight."""
    half, ordered = timedelta(minutes=30), sorted(edges)
    if len(ordered) % 2:
        ordered.append(ordered[0] + 48)
    pairs = zip(ordered[::2], ordered[1::2], strict=True)
    return tuple((opens * half, closes * half) for opens, closes in pairs)


calendar = st.builds(
    WorkingTime,
    weekdays=st.frozensets(st.integers(1, 7), min_size=1),
    windows=half_hours.map(windows_of),
    zone=st.sampled_from(["UTC", "Africa/Lagos", "Europe/Berlin", "America/Sao_Paulo"]).map(
        ZoneInfo
    ),
    countries=st.sampled_from([(), ("NG",), ("BR", "NG")]),
)


@unhurried
@given(calendar, times, hours, hours)
def test_two_waits_one_after_the_other_are_as_long_as_both(
    work: WorkingTime, start: datetime, first: float, then: float
) -> None:
    both = work.after(start, first + then)
    assert abs(work.after(work.after(start, first), then) - both) < timedelta(milliseconds=1)
    assert start <= work.after(start, first) <= both


@unhurried
@given(calendar, times, hours)
def test_it_always_ends_while_people_work(work: WorkingTime, start: datetime, wait: float) -> None:
    end = work.after(start, wait)
    days = (end.astimezone(work.zone).date() - timedelta(days=n) for n in (0, 1))
    assert any(
        work.is_working_day(day)
        and any(opens <= end <= closes for opens, closes in work.spans(day))
        for day in days
    )


@unhurried
@given(calendar, times, hours, hours, st.timedeltas(timedelta(0), timedelta(days=9)))
def test_a_longer_wait_and_a_later_start_never_end_earlier(
    work: WorkingTime, start: datetime, wait: float, more: float, later: timedelta
) -> None:
    assert work.after(start, wait) <= work.after(start, wait + more)
    assert work.after(start, wait) <= work.after(start + later, wait)


def test_the_longest_wait_ends_even_in_the_shortest_week(settings: Any) -> None:
    settings.WORKING_DAYS, settings.WORKING_HOURS = "7", "10:00-11:00"
    assert working_after(MONDAY, 24 * 366).year > 2190
