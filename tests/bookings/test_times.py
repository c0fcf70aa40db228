"""Times of a trip: from noon minus twelve hours of the service day, over midnight and over changes
of the clocks."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.bookings.times import Clocks, Times, check_rising, day_begins, time_at, times_of
from apps.common.dates import zoned_words
from apps.common.errors import Invalid

LISBON = "Europe/Lisbon"
#: The clocks are put forward on the second day, and back on the last one.
CHANGES = [date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 24), date(2026, 10, 25)]


@pytest.mark.parametrize(
    ("day", "clock", "zone", "expected"),
    [
        # No change of clocks: the clock time is the local one, after 24:00 of the next day.
        (date(2026, 3, 28), "08:00", "Africa/Lagos", "2026-03-28T07:00"),
        (date(2026, 3, 28), "24:10", "Africa/Lagos", "2026-03-28T23:10"),
        (date(2026, 12, 31), "32:15", "Africa/Lagos", "2027-01-01T07:15"),
        (date(2026, 10, 17), "23:59", "America/Sao_Paulo", "2026-10-18T02:59"),
        (date(2026, 10, 17), "24:30", "America/Sao_Paulo", "2026-10-18T03:30"),
        # The night in which the clocks are put forward.
        (date(2026, 3, 28), "22:30", LISBON, "2026-03-28T22:30"),
        (date(2026, 3, 28), "26:15", LISBON, "2026-03-29T02:15"),
        # The day on which they were: midnight is an hour earlier than the day began.
        (date(2026, 3, 29), "00:30", LISBON, "2026-03-28T23:30"),
        (date(2026, 3, 29), "08:00", LISBON, "2026-03-29T07:00"),
        # Put back: two o'clock comes twice, and the trip goes on.
        (date(2026, 10, 24), "25:30", LISBON, "2026-10-25T00:30"),
        (date(2026, 10, 24), "26:30", LISBON, "2026-10-25T01:30"),
        (date(2026, 10, 25), "08:00", LISBON, "2026-10-25T08:00"),
    ],
)
def test_a_clock_time_of_a_service_day(day: date, clock: str, zone: str, expected: str) -> None:
    assert time_at(day, clock, zone) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_the_overnight_trip_over_a_change_of_clocks_is_shown_in_its_zone() -> None:
    arrives = time_at(date(2026, 3, 28), "26:15", LISBON)
    assert zoned_words(arrives, ZoneInfo(LISBON)) == "29 Mar 2026, 03:15 UTC+01:00"
    twice = [time_at(date(2026, 10, 24), clock, LISBON) for clock in ("25:30", "26:30")]
    assert [zoned_words(at, ZoneInfo(LISBON)) for at in twice] == [
        "25 Oct 2026, 01:30 UTC+01:00",
        "25 Oct 2026, 01:30 UTC+00:00",
    ]


@pytest.mark.parametrize("zone", ["Africa/Lagos", "America/Sao_Paulo"])
def test_zones_without_changes_begin_the_day_at_midnight(zone: str) -> None:
    for days in range(400):
        day = date(2026, 1, 1) + timedelta(days=days)
        begins = day_begins(day, zone).astimezone(ZoneInfo(zone))
        assert (begins.date(), begins.hour, begins.minute) == (day, 0, 0)


@given(
    day=st.sampled_from(CHANGES) | st.dates(date(2000, 1, 1), date(2100, 1, 1)),
    zone=st.sampled_from([LISBON, "Africa/Lagos", "America/New_York", "Australia/Lord_Howe"]),
    minutes=st.lists(st.integers(0, 71 * 60), min_size=2, max_size=8, unique=True),
)
def test_what_rises_on_the_clock_rises_in_utc_by_as_much(
    day: date, zone: str, minutes: list[int]
) -> None:
    rising = sorted(minutes)
    clocks = [f"{one // 60:02}:{one % 60:02}" for one in rising]
    times = times_of(day, [Clocks(clock, clock) for clock in clocks], zone)
    first = times[0].departs
    assert [stop.arrives - first for stop in times] == [
        timedelta(minutes=one - rising[0]) for one in rising
    ]


@pytest.mark.parametrize(
    "clock", ["", "8:00", "08:60", "72:00", "-1:00", "08:00:00", "٠٨:٠٠", " 08:00", "08:00\n", 8]
)
def test_what_is_no_time_is_refused(clock: Any) -> None:
    with pytest.raises(Invalid) as refused:
        time_at(date(2026, 3, 28), clock, LISBON)
    assert refused.value.code == "time_invalid"


@pytest.mark.parametrize("zone", ["", "Lagos", "../etc/passwd", "Africa/\x00", "UTC" * 30, None])
def test_what_is_no_zone_is_refused(zone: Any) -> None:
    with pytest.raises(Invalid) as refused:
        time_at(date(2026, 3, 28), "08:00", zone)
    assert refused.value.code == "zone_invalid"


@pytest.mark.parametrize("day", [date.min, date(1999, 12, 31), date(2201, 1, 1), date.max])
def test_a_day_that_nobody_means_is_refused(day: date) -> None:
    with pytest.raises(Invalid) as refused:
        time_at(day, "71:59", "America/Sao_Paulo")
    assert refused.value.code == "day_invalid"


@pytest.mark.parametrize(
    ("clocks", "stop"),
    [
        ([("08:00", "08:00"), ("08:00", "08:10")], 2),
        ([("22:30", "22:30"), ("02:15", "02:15")], 2),
        ([("08:00", "08:00"), ("09:10", "09:00")], 2),
        ([("08:10", "08:00"), ("09:00", "09:00")], 1),
        ([("08:00", "09:30"), ("09:00", "09:40")], 2),
    ],
)
def test_times_that_do_not_rise_are_refused(clocks: Any, stop: int) -> None:
    with pytest.raises(Invalid) as refused:
        times_of(date(2026, 3, 28), [Clocks(*one) for one in clocks], LISBON)
    assert (refused.value.code, refused.value.extra) == ("times_out_of_order", {"stop": stop})


def test_a_trip_may_leave_a_stop_when_it_arrives() -> None:
    at = datetime(2026, 3, 28, tzinfo=UTC)
    check_rising([Times(at, at), Times(at + timedelta(minutes=1), at + timedelta(minutes=1))])
