"""Signing in and out, and what the trail keeps of it."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.audit.models import AuditEntry

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse"


@pytest.fixture
def person() -> User:
    """Somebody who may sign in."""
    return User.objects.create_user(username="amaka", password=PASSWORD, is_staff=True)


def _login(client: Client, username: str, password: str, **more: str) -> Any:
    return client.post("/login/", {"username": username, "password": password, **more})


def test_signing_in_leads_home_or_where_one_wanted_to_go(client: Client, person: User) -> None:
    assert _login(client, "amaka", PASSWORD)["Location"] == "/"
    client.logout()
    assert _login(client, "amaka", PASSWORD, next="/admin/x/")["Location"] == "/admin/x/"


@pytest.mark.parametrize(
    "place", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_next_never_leads_to_another_site(client: Client, person: User, place: str) -> None:
    assert _login(client, "amaka", PASSWORD, next=place)["Location"] == "/"


def test_who_is_signed_in_is_led_on(client: Client, person: User) -> None:
    client.force_login(person)
    assert client.get("/login/")["Location"] == "/"


def test_a_link_does_not_sign_out_and_a_post_does(client: Client, person: User) -> None:
    client.force_login(person)
    assert client.get("/logout/").status_code == 405
    assert "_auth_user_id" in client.session
    assert client.post("/logout/")["Location"] == "/login/"
    assert "_auth_user_id" not in client.session


def test_signing_out_needs_the_csrf_token(person: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person)
    assert client.post("/logout/").status_code == 403


def test_signing_in_and_out_is_in_the_trail(client: Client, person: User) -> None:
    _login(client, "amaka", PASSWORD)
    client.post("/logout/")
    client.post("/logout/")  # nobody is signed in: nothing to tell
    entries = AuditEntry.objects.about("user", person.pk).order_by("id")
    assert [(e.action, e.outcome, e.actor_id, e.via) for e in entries] == [
        ("user.login", "done", person.audit_id, "page"),
        ("user.logout", "done", person.audit_id, "page"),
    ]


def test_a_failed_login_names_the_account_and_never_the_password(
    client: Client, person: User
) -> None:
    _login(client, "amaka", "wrong-secret-word")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.outcome, entry.code) == ("user.login", "refused", "bad_credentials")
    assert (entry.subject_id, entry.actor_label) == (str(person.pk), "unknown")
    assert entry.body == {"username": "amaka", "address": "127.0.0.1"}
    assert "wrong-secret-word" not in str(vars(entry))


def test_a_name_that_is_nobodys_is_not_kept_it_may_be_a_password(client: Client) -> None:
    _login(client, "my-secret-password", "x")
    entry = AuditEntry.objects.get()
    assert "my-secret-password" not in str(vars(entry))


def test_somebody_inactive_cannot_sign_in(client: Client, person: User) -> None:
    User.objects.filter(pk=person.pk).update(is_active=False)
    assert _login(client, "amaka", PASSWORD).status_code == 200
    assert AuditEntry.objects.get().outcome == "refused"


@pytest.mark.parametrize("username", ["a\0b", "x" * 10_000, "\ud800", "é" * 151, ""])
def test_hostile_names_are_ordinary_failures(client: Client, username: str) -> None:
    body = f"username={username}&password=x".encode("utf-8", "surrogatepass")
    response = client.post("/login/", body, content_type="application/x-www-form-urlencoded")
    assert response.status_code in (200, 400)


def test_passwords_are_not_in_the_log(
    client: Client, person: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    _login(client, "amaka", "wrong-secret-word")
    _login(client, "amaka", PASSWORD)
    assert "wrong-secret-word" not in caplog.text
    assert PASSWORD not in caplog.text
