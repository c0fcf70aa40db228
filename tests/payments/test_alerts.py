"""People are told of a group at 10, 100, 1,000 … open events, at most hourly, once for each."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.engine import leader_tasks
from apps.notifications.models import GroupNotice, Notification
from apps.notifications.services import notices_fan_out
from apps.payments.models import QuarantineGroup
from apps.payments.services.alerting import group_url, groups_alert, level_of
from apps.payments.services.intake import events_take
from tests.payments.samples import a_message

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
_offsets = count(1)


def fail(number: int, raw: bytes = b"{") -> None:
    """So many messages that are not JSON."""
    events_take([a_message(raw, offset=next(_offsets)) for _ in range(number)])


def told() -> list[str]:
    rows = GroupNotice.objects.filter(kind="quarantine.many").order_by("pk")
    return list(rows.values_list("title", flat=True))


def group() -> QuarantineGroup:
    return QuarantineGroup.objects.get()


@pytest.mark.parametrize(
    ("number", "level"),
    [(0, 0), (9, 0), (10, 10), (99, 10), (100, 100), (999, 100), (1000, 1000), (2**31, 10**9)],
)
def test_the_levels(number: int, level: int) -> None:
    assert level_of(number) == level


def test_a_group_is_told_of_at_its_levels_at_most_hourly() -> None:
    fail(9)
    groups_alert(now=NOON)
    assert told() == []
    fail(1)
    for _ in range(2):
        groups_alert(now=NOON)
    assert told() == ["10 payment events wait in quarantine: not JSON"]
    assert (group().alerted_level, group().alerted_at) == (10, NOON)
    fail(90)
    groups_alert(now=NOON + HOUR - timedelta(seconds=1))
    assert len(told()) == 1
    groups_alert(now=NOON + HOUR)
    assert told()[1:] == ["100 payment events wait in quarantine: not JSON"]
    # Below the next level nothing is said, however long it takes.
    fail(5)
    groups_alert(now=NOON + 30 * HOUR)
    assert len(told()) == 2


def test_a_jump_over_levels_is_told_once() -> None:
    fail(120)
    groups_alert(now=NOON)
    groups_alert(now=NOON + HOUR)
    assert told() == ["120 payment events wait in quarantine: not JSON"]


def test_an_emptied_group_begins_anew_and_stays_hourly() -> None:
    fail(10)
    groups_alert(now=NOON)
    QuarantineGroup.objects.update(open=0, discarded=10)
    groups_alert(now=NOON)
    assert (group().alerted_level, group().alerted_at) == (0, NOON)
    QuarantineGroup.objects.update(open=10, discarded=0)
    groups_alert(now=NOON + HOUR / 2)
    assert len(told()) == 1
    groups_alert(now=NOON + HOUR)
    assert len(told()) == 2


def test_two_leaders_tell_once() -> None:
    fail(10)

    def alert(_: int) -> None:
        try:
            groups_alert(now=NOON)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(alert, range(6)))
    assert len(told()) == 1


@pytest.fixture
def operator(transactional_db: None) -> User:
    user = User.objects.create(username="olga", email="olga@example.org")
    user.groups.add(Group.objects.get(name="quarantine operator"))
    return user


def test_operators_are_told_with_group_times_and_a_link(operator: User) -> None:
    fail(10)
    groups_alert(now=NOON)
    notices_fan_out()
    [row] = Notification.objects.filter(kind="quarantine.many", recipient=operator)
    assert row.text.startswith("They failed alike: read not_json. The first came ")
    assert "UTC" in row.text
    assert row.url == group_url(group())


@pytest.mark.usefixtures("operator")
def test_what_was_dealt_with_meanwhile_is_not_told() -> None:
    fail(10)
    groups_alert(now=NOON)
    QuarantineGroup.objects.update(open=3, discarded=7)
    notices_fan_out()
    assert not Notification.objects.filter(kind="quarantine.many").exists()


def test_it_reads_groups_and_not_events() -> None:
    fail(10)
    with CaptureQueriesContext(connection) as queries:
        groups_alert(now=NOON)
    assert not [one for one in queries if '"payment_events_quarantine" ' in one["sql"]]
    with CaptureQueriesContext(connection) as queries:
        groups_alert(now=NOON)
    assert len(queries) == 2


def test_the_leader_has_the_duties() -> None:
    names = {duty.name for duty in leader_tasks.standard()}
    assert {"quarantine_alerts", "payments_forget"} <= names
