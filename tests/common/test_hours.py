"""The last 24 hours beside what is usual for these hours of the week."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Q

from apps.accounts.models import User
from apps.common import hours
from apps.common.hours import LastDay, last_day

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
WEEK = timedelta(days=7)


def joined(*ago: timedelta, marked: bool = False) -> None:
    for one in ago:
        number = User.objects.count()
        at, name = NOW - one, "b" if marked else "a"
        User.objects.create(username=f"hours{number}", last_name=name, date_joined=at)


def told() -> LastDay:
    rows = User.objects.filter(username__startswith="hours")
    return last_day(rows, as_of=NOW, marked=Q(last_name="b"), column="date_joined")


@pytest.mark.django_db
def test_each_hour_is_counted_with_the_empty_ones() -> None:
    joined(timedelta(), timedelta(hours=1), timedelta(hours=23), timedelta(hours=24))
    joined(timedelta(hours=1), marked=True)
    found = told()
    assert [(one.count, one.marked) for one in found.hours[-2:]] == [(2, 1), (1, 0)]
    assert (len(found.hours), found.count, found.marked) == (24, 4, 1)
    assert found.hours[0].begins == NOW.replace(hour=13, minute=0, day=9)
    assert found.hours[-1].begins == NOW.replace(minute=0)


@pytest.mark.django_db
def test_without_an_earlier_week_nothing_is_usual() -> None:
    joined(timedelta(), timedelta(days=3))
    found = told()
    assert (found.weeks, found.usual, found.more) == (0, None, False)
    assert {one.usual for one in found.hours} == {None}


@pytest.mark.django_db
def test_usual_is_the_mean_of_the_same_hours_since_the_first_week() -> None:
    hour = timedelta(hours=1)
    joined(WEEK, WEEK + hour, WEEK + hour, 3 * WEEK, 3 * WEEK + 24 * hour, 5 * WEEK)
    # The hour that has begun is compared with as much of it: this one was later.
    joined(WEEK - timedelta(minutes=10))
    found = told()
    assert found.weeks == 3
    assert found.hours[-1].usual == pytest.approx(2 / 3)
    assert found.hours[-2].usual == pytest.approx(2 / 3)
    assert found.usual == pytest.approx(4 / 3)


@pytest.mark.django_db
def test_beyond_the_bound_nothing_is_said_of_the_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hours, "MOST", 2)
    joined(*[timedelta(minutes=one) for one in range(5)], WEEK)
    found = told()
    assert (found.more, found.weeks, found.usual, found.count) == (True, 0, None, 3)


@pytest.mark.django_db
def test_all_of_it_is_one_query(django_assert_num_queries: object) -> None:
    with django_assert_num_queries(1):  # type: ignore[operator]
        told()
