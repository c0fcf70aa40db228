"""An event that is sent to another topic: once, as it came, and it ends here."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from apps.payments.models import QuarantinedEvent
from apps.payments.services import desk
from apps.payments.services.checking import counters_check
from apps.payments.services.intake import events_take
from apps.streams.models import OutgoingMessage
from tests.payments.people import People
from tests.payments.samples import a_message

HEADERS = (("trace", b"\xff1"), ("trace", None), ("x", b""))


@pytest.fixture
def row(people: People, settings: Any) -> QuarantinedEvent:
    settings.REPLAY_TOPICS = ["elsewhere", "legacy"]
    settings.PAYMENTS_SOURCE = "redis"
    events_take([a_message(b"{not json", key=b"\x00k", headers=HEADERS)])
    return QuarantinedEvent.objects.get()


def send(row: QuarantinedEvent, people: People, **given: Any) -> QuarantinedEvent:
    about = {"topic": "legacy", "by": people.admin, "via": "api", "reason": "Theirs."} | given
    return desk.event_retarget(row_id=row.pk, **about)


def refused(row: QuarantinedEvent, people: People, **given: Any) -> str:
    with pytest.raises(DomainError) as raised:
        send(row, people, **given)
    return raised.value.code


def test_it_goes_as_it_came_and_ends_here(row: QuarantinedEvent, people: People) -> None:
    for _ in range(2):
        send(row, people)
    message = OutgoingMessage.objects.get()
    assert (message.broker, message.topic) == ("redis", "legacy")
    assert (bytes(message.value or b""), bytes(message.key or b"")) == (b"{not json", b"\x00k")
    assert message.headers == [["trace", "/zE="], ["trace", None], ["x", ""]]
    row.refresh_from_db()
    assert row.state == "retargeted"
    assert counters_check() == (1, [])
    assert AuditEntry.objects.filter(action="quarantined_event.retargeted").count() == 1
    assert refused(row, people, topic="elsewhere") == "already_settled"
    with pytest.raises(DomainError):
        desk.event_restore(row_id=row.pk, by=people.admin, via="api")


def test_ten_at_once_send_one(row: QuarantinedEvent, people: People) -> None:
    def attempt(number: int) -> str:
        try:
            send(row, people, topic=("legacy", "elsewhere")[number % 2])
        except DomainError as error:
            return error.code
        finally:
            connections.close_all()
        return "sent"

    with ThreadPoolExecutor(10) as pool:
        codes = set(pool.map(attempt, range(10)))
    assert codes == {"sent", "already_settled"}
    assert OutgoingMessage.objects.count() == 1


def test_refusals_have_codes_and_write_nothing(row: QuarantinedEvent, people: People) -> None:
    assert refused(row, people, by=people.auditor) == "permission_denied"
    for topic in ("payments.normalized", "", "\0", "x" * 10_000):
        assert refused(row, people, topic=topic) == "topic_not_allowed"
    assert refused(row, people, reason=" ") == "reason_required"
    assert refused(row, people, reason="\0") == "reason_invalid"
    assert not OutgoingMessage.objects.exists()
    assert (
        AuditEntry.objects.filter(action="quarantined_event.retarget", outcome="refused").count()
        == 7
    )


def test_an_event_that_was_too_large_to_be_kept_is_not_sent(people: People, settings: Any) -> None:
    settings.REPLAY_TOPICS = ["legacy"]
    settings.PAYMENT_RAW_MAX_BYTES = 10
    events_take([a_message(b"{" * 11)])
    row = QuarantinedEvent.objects.get()
    assert refused(row, people) == "content_not_kept"


def test_the_page_offers_the_topics_that_are_allowed(
    row: QuarantinedEvent, people: People, settings: Any
) -> None:
    client = Client()
    client.force_login(people.corrector)
    page = reverse("quarantined_event", args=[row.pk])
    shown = client.get(page).content.decode()
    assert '<option value="elsewhere">' in shown and '<option value="legacy">' in shown
    act = reverse("quarantined_event_act", args=[row.pk, "retarget"])
    for odd in ({"topic": "nowhere", "reason": "x"}, {"topic": "legacy", "reason": ""}):
        client.post(act, odd)
        assert not OutgoingMessage.objects.exists()
    client.post(act, {"topic": "legacy", "reason": "Theirs."})
    assert OutgoingMessage.objects.get().topic == "legacy"
    assert "waits for the broker" in client.get(page).content.decode()
    settings.REPLAY_TOPICS = []
    events_take([a_message(b"[", offset=2)])
    other = QuarantinedEvent.objects.exclude(pk=row.pk).get()
    shown = client.get(reverse("quarantined_event", args=[other.pk])).content.decode()
    assert "retarget-box" not in shown
