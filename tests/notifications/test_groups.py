"""One row for a group becomes a row for each of its people, once, for those who may act."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connections, transaction

from apps.accounts.models import User
from apps.notifications import kinds
from apps.notifications.kinds import NotificationKind
from apps.notifications.models import GroupNotice, Mail, Notification
from apps.notifications.services import notices_fan_out, notify_group
from tests.notifications.conftest import MailServer, somebody

pytestmark = pytest.mark.django_db(transaction=True)

KIND = "test.group"
truth = {"relevant": True}
kinds.register(
    NotificationKind(
        KIND,
        "Waits for my group",
        email=True,
        permission="approvals.decide_approvalrequest",
        relevant=lambda key: truth["relevant"],
    )
)


@pytest.fixture
def group() -> Group:
    truth["relevant"] = True
    made = Group.objects.create(name="judges")
    made.permissions.add(Permission.objects.get(codename="decide_approvalrequest"))
    return made


def member(group: Group, name: str, **fields: Any) -> User:
    user = somebody(name, **fields)
    user.groups.add(group)
    return user


def tell(key: str = "k:1", exclude: Any = ()) -> None:
    notify_group(key=key, group="judges", kind=KIND, title="It waits", url="/x/", exclude=exclude)


def told() -> set[str]:
    return set(Notification.objects.values_list("recipient__username", flat=True))


def test_people_of_the_group_who_may_act_are_told_and_nobody_else(
    group: Group, mail_server: MailServer
) -> None:
    out = member(group, "requester")
    member(group, "b")
    member(group, "inactive", is_active=False)
    somebody("outsider")
    tell(exclude=[out.pk])
    tell(exclude=[out.pk])
    assert (told(), GroupNotice.objects.count()) == (set(), 1)
    assert notices_fan_out() == 1
    assert notices_fan_out() == 0
    assert told() == {"b"}
    assert Mail.objects.get().recipient.username == "b"
    notice = GroupNotice.objects.get()
    assert (notice.state, notice.told) == ("done", 1)


def test_without_the_permission_the_group_alone_is_not_enough(group: Group) -> None:
    member(group, "b")
    group.permissions.clear()
    tell()
    notices_fan_out()
    assert told() == set()


def test_who_joined_meanwhile_is_told_and_who_left_is_not(group: Group) -> None:
    left = member(group, "left")
    tell()
    left.groups.clear()
    member(group, "joined")
    notices_fan_out()
    assert told() == {"joined"}


def test_what_is_no_longer_true_is_told_to_nobody(group: Group) -> None:
    member(group, "b")
    tell()
    truth["relevant"] = False
    notices_fan_out()
    assert (told(), GroupNotice.objects.get().state) == (set(), "stale")


def test_eight_at_once_tell_everybody_once(group: Group) -> None:
    for number in range(5):
        member(group, f"m{number}")
    for number in range(10):
        tell(key=f"k:{number}")

    def one(_: int) -> int:
        try:
            return notices_fan_out(limit=5)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(one, range(8))) == 10
    assert Notification.objects.count() == 50


def test_a_decision_that_is_rolled_back_tells_no_group(group: Group) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        tell()
        _ = 1 / 0
    assert not GroupNotice.objects.exists()


def test_it_costs_who_decides_one_query(group: Group, django_assert_num_queries: Any) -> None:
    for number in range(5):
        member(group, f"m{number}")
    with transaction.atomic(), django_assert_num_queries(1):
        tell()
