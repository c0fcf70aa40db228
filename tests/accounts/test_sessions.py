"""Where somebody is signed in: listed, ended, gone with the password."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.devices import device_name
from apps.accounts.models import User, UserSession
from apps.accounts.services import api_key_create, api_key_revoke, session_seen, sessions
from apps.audit.models import AuditEntry
from tests.accounts.world import PASSWORD, person_of, sign_in, signed_in

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0"
PAGE = "/account/security/"


@pytest.fixture
def elsewhere(person: User) -> Client:
    """Another browser of the same person."""
    other = Client(headers={"User-Agent": FIREFOX}, REMOTE_ADDR="203.0.113.9")
    sign_in(other)
    return other


def test_the_page_lists_my_sessions_and_nobody_elses(
    client: Client, person: User, elsewhere: Client
) -> None:
    person_of("other")
    sign_in(Client(REMOTE_ADDR="198.51.100.7"), "other")
    sign_in(client)
    response = client.get(PAGE)
    html = response.content.decode()
    assert "Firefox on Windows" in html
    assert "203.0.113.9" in html
    assert html.count("this one") == 1
    assert "198.51.100.7" not in html
    assert "no-store" in response["Cache-Control"]
    # Whoever has the key of a session is that person.
    for key in UserSession.objects.values_list("session_id", flat=True):
        assert key not in html


def test_one_session_can_be_ended(client: Client, person: User, elsewhere: Client) -> None:
    sign_in(client)
    row = UserSession.objects.get(address="203.0.113.9")
    assert client.post(f"{PAGE}sessions/{row.pk}/end/")["Location"] == PAGE
    assert elsewhere.get("/notifications/")["Location"].startswith("/login/")
    assert client.get("/notifications/").status_code == 200
    entry = AuditEntry.objects.get(action="session.end")
    assert entry.body == {"ended": 1, "device": "Firefox on Windows"}
    again = client.post(f"{PAGE}sessions/{row.pk}/end/", follow=True)
    assert b"ended already" in again.content


def test_ending_the_session_that_asks_leads_to_the_login(client: Client, person: User) -> None:
    sign_in(client)
    row = UserSession.objects.get()
    assert client.post(f"{PAGE}sessions/{row.pk}/end/")["Location"] == "/login/"
    assert client.get("/notifications/").status_code == 302
    assert not Session.objects.exists()


def test_all_others_can_be_ended(client: Client, person: User, elsewhere: Client) -> None:
    sign_in(client)
    assert b"1 other place." in client.post(f"{PAGE}sessions/end/", follow=True).content
    assert b"nowhere else" in client.post(f"{PAGE}sessions/end/", follow=True).content
    assert elsewhere.get("/notifications/").status_code == 302
    assert signed_in(client)


def test_nobody_ends_a_session_of_somebody_else(client: Client, person: User) -> None:
    person_of("other")
    victim = Client()
    sign_in(victim, "other")
    sign_in(client)
    row = UserSession.objects.get(user__username="other")
    client.post(f"{PAGE}sessions/{row.pk}/end/")
    assert victim.get("/notifications/").status_code == 200
    assert AuditEntry.objects.get(action="session.end").outcome == "refused"


@pytest.mark.parametrize("path", ["sessions/end/", "sessions/1/end/"])
def test_ending_is_a_post_with_the_token(person: User, path: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person)
    assert strict.get(f"{PAGE}{path}").status_code == 405
    assert strict.post(f"{PAGE}{path}").status_code == 403


def test_a_new_password_ends_the_other_sessions_and_is_recorded(
    client: Client, person: User, elsewhere: Client
) -> None:
    sign_in(client)
    before = client.session.session_key
    new = "another horse"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post("/account/password/", form)["Location"] == PAGE
    assert client.get("/notifications/").status_code == 200
    assert client.session.session_key != before
    assert elsewhere.get("/notifications/").status_code == 302
    assert [row.session_id for row in UserSession.objects.all()] == [client.session.session_key]
    entry = AuditEntry.objects.get(action="user.password")
    assert entry.actor_label == "amaka"
    everything = str(list(AuditEntry.objects.values_list("body", flat=True)))
    assert PASSWORD not in everything
    assert new not in everything


@pytest.mark.parametrize("new", ["short", "password123", "88888888888", "amaka-amaka"])
def test_a_poor_password_is_refused(client: Client, person: User, new: str) -> None:
    client.force_login(person)
    User.objects.filter(pk=person.pk).update(last_name="amaka-amaka")
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post("/account/password/", form).status_code == 200
    person.refresh_from_db()
    assert person.check_password(PASSWORD)


def test_a_password_that_an_administrator_sets_ends_all_sessions(
    client: Client, person: User, elsewhere: Client
) -> None:
    client.force_login(person_of("boss", is_superuser=True))
    form = {"password1": "another horse", "password2": "another horse", "usable_password": "true"}
    done = client.post(f"/admin/accounts/user/{person.pk}/password/", form)
    assert done.status_code == 302
    assert elsewhere.get("/notifications/").status_code == 302
    assert not UserSession.objects.filter(user=person).exists()
    assert client.get("/admin/").status_code == 200


def test_an_expired_session_is_over_and_not_listed(
    client: Client, person: User, elsewhere: Client
) -> None:
    sign_in(client)
    key = elsewhere.session.session_key
    Session.objects.filter(pk=key).update(expire_date=timezone.now() - timedelta(seconds=1))
    assert elsewhere.get("/notifications/").status_code == 302
    assert "Firefox" not in client.get(PAGE).content.decode()


def test_signing_out_removes_it_from_the_list(client: Client, person: User) -> None:
    sign_in(client)
    client.post("/logout/")
    assert not UserSession.objects.exists()


def test_the_key_of_the_session_changes_when_somebody_signs_in(
    client: Client, person: User
) -> None:
    client.get("/login/")
    session = client.session
    session["planted"] = "by a stranger"
    session.save()
    before = session.session_key
    sign_in(client)
    assert client.session.session_key != before
    assert not Session.objects.filter(pk=before).exists()


def test_last_seen_costs_no_query_within_a_minute(client: Client, person: User) -> None:
    sign_in(client)
    with CaptureQueriesContext(connection) as captured:
        client.get(PAGE)
    assert not [q for q in captured if "UPDATE" in q["sql"]]
    long_ago = timezone.now() - timedelta(hours=1)
    UserSession.objects.update(last_seen_at=long_ago)
    sessions._looked_at.clear()
    client.get(PAGE, REMOTE_ADDR="198.51.100.7")
    row = UserSession.objects.get()
    assert timezone.now() - row.last_seen_at < timedelta(seconds=10)
    assert row.address == "198.51.100.7"


def test_a_session_that_nobody_noted_is_noted(client: Client, person: User) -> None:
    sign_in(client)
    UserSession.objects.all().delete()
    sessions._looked_at.clear()
    client.get(PAGE)
    assert UserSession.objects.get().user == person


def test_a_hostile_browser_name_is_kept_short(person: User) -> None:
    client = Client(headers={"User-Agent": "<script>x</script>\x00" + "y" * 5000})
    assert sign_in(client).status_code == 302
    html = client.get(PAGE).content.decode()
    assert "<script>x" not in html
    assert "A browser" in html


@pytest.mark.django_db(transaction=True)
def test_a_session_that_is_gone_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Ended between the request's first line and this one."""
    session_seen(session_key="gone", user=person_of("amaka"), address="", user_agent="")
    assert "session_not_noted" in caplog.text
    assert not UserSession.objects.exists()


def test_the_page_names_my_api_keys_and_their_last_use(client: Client, person: User) -> None:
    _, secret = api_key_create(user=person, name="nightly sync", scopes=["all"], by=person)
    ended, _ = api_key_create(user=person, name="former", scopes=["all"], by=person)
    api_key_revoke(key=ended, by=person)
    api_key_create(user=person_of("other"), name="theirs", scopes=["all"], by=person)
    client.force_login(person)
    html = client.get(PAGE).content.decode()
    assert "nightly sync" in html
    assert "never used" in html
    assert "former" not in html
    assert "theirs" not in html
    assert secret.split("_", 2)[2] not in html


def test_the_admin_shows_sessions_without_their_keys_and_ends_them(
    client: Client, person: User, elsewhere: Client
) -> None:
    client.force_login(person_of("boss", is_superuser=True))
    row = UserSession.objects.get(user=person)
    address = "/admin/accounts/usersession/"
    html = (
        client.get(address).content.decode()
        + client.get(f"{address}{row.pk}/change/").content.decode()
    )
    assert "Firefox on Windows" in html
    assert row.session_id not in html
    post = {"action": "end", "_selected_action": [row.pk], "confirmed": "yes"}
    assert b"Ended." in client.post(address, post).content
    assert elsewhere.get("/notifications/").status_code == 302
    assert AuditEntry.objects.get(action="session.end").actor_label == "boss"


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Windows"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
            "like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/126.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like "
            "Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
            "Edge on Mac",
        ),
        ("curl/8.5.0", "curl"),
        ("", "A browser"),
    ],
)
def test_a_device_has_a_name(user_agent: str, words: str) -> None:
    assert device_name(user_agent) == words


def test_what_the_middleware_asks_is_one_query_for_the_person(
    client: Client, person: User, settings: Any
) -> None:
    sign_in(client)
    with CaptureQueriesContext(connection) as captured:
        assert client.get("/nowhere/at/all").status_code == 404
    tables = [q["sql"] for q in captured if '"accounts_user"' in q["sql"]]
    assert len(tables) == 1
    assert "second_factor_due" in tables[0]
