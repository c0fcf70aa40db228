"""Telling people: each once, and marked as read by nobody but them."""

from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.notifications.models import Notification
from apps.notifications.services import notifications_mark_read, notify


def people(count: int = 2) -> list[User]:
    return [User.objects.create_user(f"person{number}") for number in range(count)]


def tell(recipients: list[User], key: str = "event:1") -> None:
    notify(key=key, recipients=recipients, kind="test", title="Something happened", url="/x/")


@pytest.mark.django_db
def test_every_recipient_gets_one_delivered_message() -> None:
    told = people()
    tell(told)
    rows = Notification.objects.order_by("recipient_id")
    assert [row.recipient for row in rows] == told
    assert {(row.channel, row.state) for row in rows} == {("in_app", "delivered")}
    assert all(row.delivered_at for row in rows)


@pytest.mark.django_db
def test_the_same_event_again_reaches_only_who_was_not_told() -> None:
    first, second = people()
    tell([first])
    tell([first, second])
    tell([first, second])
    assert Notification.objects.count() == 2
    tell([first], key="event:2")
    assert Notification.objects.filter(recipient=first).count() == 2


@pytest.mark.django_db(transaction=True)
def test_of_what_was_rolled_back_nobody_is_told() -> None:
    told = people()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        tell(told)
        _ = 1 / 0
    assert not Notification.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_tell_each_person_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    told = people(3)

    def one(_: int) -> Any:
        try:
            tell(told)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(8)))
    assert Notification.objects.count() == 3


@pytest.mark.django_db
def test_long_texts_are_cut_to_their_columns() -> None:
    notify(key="k", recipients=people(1), kind="x" * 99, title="t" * 999, text="y" * 9999)
    row = Notification.objects.get()
    assert (len(row.kind), len(row.title), len(row.text)) == (60, 200, 5000)


@pytest.mark.django_db
def test_people_mark_their_own_messages_as_read() -> None:
    mine, other = people()
    for number in range(3):
        tell([mine, other], key=f"event:{number}")
    own = Notification.objects.filter(recipient=mine)
    strange = Notification.objects.filter(recipient=other)
    now = timezone.now()
    assert notifications_mark_read(user=mine, ids=[own[0].pk, strange[0].pk], as_of=now) == 1
    assert notifications_mark_read(user=mine, as_of=now) == 2
    assert notifications_mark_read(user=mine, as_of=now) == 0
    assert strange.filter(read_at=None).count() == 3
