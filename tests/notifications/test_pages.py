"""The bell, the list and the settings, as people use them."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from apps.live import topics
from apps.notifications.models import Notification, NotificationSetting
from apps.notifications.services import notify, settings_of
from tests.notifications.conftest import LOUD, QUIET, somebody

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(somebody(is_superuser=True))
    return client


def tell(client: Client, count: int) -> None:
    from apps.accounts.models import User

    for number in range(count):
        notify(
            key=f"k:{number}",
            recipients=[User.objects.get()],
            kind=QUIET,
            title=f"Message {number}",
            url="/x/",
        )


def test_the_list_filters_by_unread_and_pages(client: Client) -> None:
    tell(client, 60)
    first = client.get("/notifications/")
    assert len(first.context["rows"]) == 50 and first.context["next"]
    second = client.get("/notifications/", {"cursor": first.context["next"]})
    assert len(second.context["rows"]) == 10
    read = first.context["rows"][0]
    answer = client.post(
        "/notifications/read/", {"id": str(read.pk), "back": "/notifications/?unread=1"}
    )
    assert answer["Location"] == "/notifications/?unread=1"
    unread = client.get("/notifications/", {"unread": "1"})
    assert unread.context["count_unread"] == "59"
    assert read.pk not in [row.pk for row in unread.context["rows"]]


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x", "\0"]
)
def test_going_back_leads_to_this_site(client: Client, back: str) -> None:
    answer = client.post("/notifications/read/", {"back": back})
    assert answer["Location"] == "/notifications/"


def test_fragments_for_live_pages_know_who_is_asking(client: Client) -> None:
    tell(client, 1)
    assert b"1<span" in client.get("/notifications/count/").content
    assert b"Message 0" in client.get("/notifications/live/").content
    assert Client().get("/notifications/count/").status_code == 401
    assert Client().get("/notifications/live/").status_code == 401


def test_nobody_watches_somebody_elses_bell() -> None:
    person, other = somebody("a"), somebody("b", is_superuser=True)
    topic, identifier = topics.parse(f"person:{person.pk}") or (None, "")
    assert topic is not None
    assert topic.visible_to(person, identifier)
    assert not topic.visible_to(other, identifier)


def test_settings_show_the_defaults_and_keep_what_is_chosen(client: Client) -> None:
    from apps.accounts.models import User

    page = client.get("/settings/notifications/")
    chosen = {choice.kind: choice for choice in page.context["choices"]}
    assert (chosen[LOUD].email, chosen[QUIET].email) == (True, False)
    assert chosen["approval.waiting"].email is False
    for name in ("assigned", "reminder", "escalated", "mentioned"):
        assert chosen[f"approval.{name}"].email is True
    answer = client.post(
        "/settings/notifications/",
        {"in_app": [QUIET, "unknown", "\0"], "email": [QUIET, "approval.waiting"]},
    )
    assert answer.status_code == 302
    kept = {choice.kind: choice for choice in settings_of(User.objects.get())}
    assert (kept[LOUD].email, kept[LOUD].in_app) == (False, False)
    assert (kept[QUIET].email, kept[QUIET].in_app) == (True, True)
    assert kept["approval.waiting"].email is True
    # What cannot be switched off stays on.
    assert kept["approval.assigned"].in_app is True
    assert not NotificationSetting.objects.filter(kind="unknown").exists()
    client.post("/settings/notifications/", {})
    assert NotificationSetting.objects.count() == len(kept)
    assert list(get_messages(answer.wsgi_request))


def test_what_cannot_reach_somebody_is_neither_shown_nor_chosen() -> None:
    client = Client()
    client.force_login(somebody("requester"))
    page = client.get("/settings/notifications/")
    shown = {choice.kind for choice in page.context["choices"]}
    assert "approval.settled" in shown and "approval.waiting" not in shown
    client.post("/settings/notifications/", {})
    assert not NotificationSetting.objects.filter(kind="approval.waiting").exists()


def test_the_page_says_when_e_mail_is_off_or_leads_nowhere(client: Client, settings: Any) -> None:
    from apps.accounts.models import User

    settings.EMAIL_ENABLED = False
    assert b"E-mail is off" in client.get("/settings/notifications/").content
    settings.EMAIL_ENABLED = True
    assert b"E-mail is off" not in client.get("/settings/notifications/").content
    User.objects.update(email="")
    assert b"You have no e-mail address" in client.get("/settings/notifications/").content


def test_a_kind_switched_off_is_not_told_in_the_site(client: Client) -> None:
    client.post("/settings/notifications/", {"in_app": []})
    tell(client, 1)
    assert not Notification.objects.exists()


def test_pages_ask_for_a_login() -> None:
    for address in ("/notifications/", "/settings/notifications/"):
        assert Client().get(address)["Location"].startswith("/login/")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("EMAIL_URL", "smtps://a:b@host"),
        ("EMAIL_URL", "http://host"),
        ("EMAIL_URL", "smtp://"),
        ("EMAIL_URL", "smtp://a:hunter2@host:port"),
    ],
)
def test_a_bad_mail_address_stops_the_start_without_its_password(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    from config.settings import env

    monkeypatch.setenv(variable, value)
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL") as refused:
        env.mail()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "port", "starttls", "tls"),
    [
        ("smtp://host", 25, False, False),
        ("smtp+tls://a:p%40ss@host", 587, True, False),
        ("smtp+ssl://a:p%40ss@host:4650", 4650, False, True),
    ],
)
def test_the_mail_address_says_how_to_connect(
    monkeypatch: pytest.MonkeyPatch, url: str, port: int, starttls: bool, tls: bool
) -> None:
    from config.settings import env

    monkeypatch.setenv("EMAIL_URL", url)
    found = env.mail()
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"]) == ("host", port)
    assert found.get("EMAIL_USE_TLS", False) is starttls
    assert found.get("EMAIL_USE_SSL", False) is tls
    if "@" in url:
        assert found["EMAIL_HOST_PASSWORD"] == "p@ss"


@pytest.mark.parametrize("value", ["nobody", "a@b\nBcc: c@d", "A <a@b", "a@b>", "a b@c"])
def test_a_sender_is_an_address(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    from config.settings import env

    monkeypatch.setenv("EMAIL_FROM", value)
    with pytest.raises(ImproperlyConfigured, match="EMAIL_FROM"):
        env.sender("EMAIL_FROM", "")
    monkeypatch.setenv("EMAIL_FROM", "Count <a@b.example>")
    assert env.sender("EMAIL_FROM", "") == "Count <a@b.example>"
