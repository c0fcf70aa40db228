"""A role that asks for a second factor: nothing else is open, at any door, until it is there."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import RoleRule, User
from apps.accounts.services import api_key_create, sessions_end
from apps.live.consumers import LiveConsumer
from tests.accounts.world import Phone, demanding, person_of, sign_in
from tests.live.sockets import made, page

pytestmark = pytest.mark.django_db
SETUP = "/account/security/app/"
DOORS = ["/", "/inbox/", "/account/security/", "/account/password/", "/admin/", "/nowhere/"]


@pytest.fixture
def reviewer(db: None) -> User:
    """In a role that asks for nothing yet."""
    return person_of("reviewer", "reviewer")


@pytest.fixture
def inside(client: Client, reviewer: User) -> Client:
    """The reviewer, signed in while the role asked for nothing."""
    sign_in(client, "reviewer")
    assert client.get("/notifications/").status_code == 200
    return client


def test_a_role_that_begins_to_ask_counts_at_the_next_request(inside: Client) -> None:
    demanding("reviewer")
    for path in DOORS:
        answer = inside.get(path)
        assert answer.status_code == 302, path
        assert answer["Location"].startswith(SETUP)
        assert inside.post(path, {"x": "y"})["Location"] == SETUP
    RoleRule.objects.update(mfa_required=False)
    assert inside.get("/notifications/").status_code == 200


def test_what_is_left_open_is_the_way_in_and_the_way_out(inside: Client) -> None:
    demanding("reviewer")
    html = inside.get(SETUP).content.decode()
    assert "requires a second factor" in html
    assert "/inbox/" not in html
    assert inside.get("/static/console/css/tokens.css").status_code == 200
    assert inside.get("/health").status_code == 200
    assert inside.post("/logout/")["Location"] == "/login/"
    assert inside.get(SETUP)["Location"].startswith("/login/")


def test_setting_it_up_leads_to_where_one_wanted_to_go(inside: Client) -> None:
    demanding("reviewer")
    place = inside.get("/inbox/?mine=on")["Location"]
    assert place == f"{SETUP}?next=%2Finbox%2F%3Fmine%3Don"
    inside.get(place)
    phone = Phone(inside.session["mfa.totp.secret"])
    codes = inside.post(place, {"code": phone.code()})["Location"]
    assert 'href="/inbox/?mine=on"' in inside.get(codes).content.decode()
    assert inside.get("/inbox/?mine=on").status_code == 200


def test_removing_the_second_factor_closes_it_again(inside: Client) -> None:
    demanding("reviewer")
    inside.get(SETUP)
    inside.post(SETUP, {"code": Phone(inside.session["mfa.totp.secret"]).code()})
    inside.post(f"{SETUP}remove/")
    assert inside.get("/notifications/")["Location"].startswith(SETUP)


def test_a_live_page_is_sent_there_too(inside: Client) -> None:
    demanding("reviewer")
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/inbox/?mine=on"}
    answer = inside.get("/inbox/live/", headers=headers)
    assert answer.status_code == 401
    assert answer["HX-Redirect"] == f"{SETUP}?next=%2Finbox%2F%3Fmine%3Don"
    assert answer.content == b""
    nowhere = inside.get("/inbox/live/", headers={**headers, "HX-Current-URL": "http://["})
    assert (nowhere.status_code, nowhere["HX-Redirect"]) == (401, f"{SETUP}?next=%2F")


def test_the_api_refuses_the_session_and_takes_the_key(inside: Client, reviewer: User) -> None:
    _, key = api_key_create(user=reviewer, name="k", scopes=["all"], by=None)
    demanding("reviewer")
    for answer in (inside.get("/api/v1/approvals"), inside.post("/api/v1/interventions")):
        assert (answer.status_code, answer.json()["code"]) == (403, "mfa_required")
        assert answer["Content-Type"].startswith("application/problem+json")
    assert inside.get("/api/v1/openapi.json").json()["code"] == "mfa_required"
    assert inside.get("/api/v1/approvals", headers={"X-API-Key": key}).status_code == 200


def test_only_the_role_counts_and_only_while_one_is_in_it(inside: Client, reviewer: User) -> None:
    demanding("auditor")
    assert inside.get("/notifications/").status_code == 200
    reviewer.groups.add(RoleRule.objects.get().group)
    assert inside.get("/notifications/").status_code == 302
    reviewer.groups.remove(RoleRule.objects.get().group)
    assert inside.get("/notifications/").status_code == 200


def test_the_environment_can_demand_it_too(inside: Client, reviewer: User, settings: Any) -> None:
    settings.MFA_REQUIRED_ROLES = ["administrator"]
    assert inside.get("/notifications/").status_code == 200
    User.objects.filter(pk=reviewer.pk).update(is_superuser=True)
    assert inside.get("/notifications/")["Location"].startswith(SETUP)
    settings.MFA_REQUIRED_ROLES = ["reviewer"]
    User.objects.filter(pk=reviewer.pk).update(is_superuser=False)
    assert inside.get("/notifications/")["Location"].startswith(SETUP)


def test_who_has_one_works_as_ever(client: Client, reviewer: User) -> None:
    demanding("reviewer")
    phone = Phone.of(reviewer)
    sign_in(client, "reviewer")
    client.post("/login/code/", {"code": phone.code()})
    assert client.get("/inbox/").status_code == 200
    assert client.get("/api/v1/approvals").status_code == 200


# --- the admin -----------------------------------------------------------------------------------
def test_the_admin_has_no_form_of_its_own_to_sign_in_with(client: Client, reviewer: User) -> None:
    Phone.of(reviewer)
    form = {"username": "reviewer", "password": "correct horse", "next": "/admin/"}
    for answer in (client.get("/admin/login/"), client.post("/admin/login/", form)):
        assert answer["Location"] == "/login/?next=%2Fadmin%2F"
    assert client.get("/admin/").headers["Location"].startswith("/admin/login/")
    assert "_auth_user_id" not in client.session


def test_somebody_signed_in_cannot_become_somebody_else_there(
    client: Client, reviewer: User
) -> None:
    Phone.of(reviewer)
    mine = person_of("mine")
    client.force_login(mine)
    form = {"username": "reviewer", "password": "correct horse"}
    assert client.post("/admin/login/", form)["Location"] == "/admin/"
    assert client.session["_auth_user_id"] == str(mine.pk)
    User.objects.filter(pk=mine.pk).update(is_staff=False)
    assert client.post("/admin/login/", form).status_code == 403


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_the_admins_door_leads_nowhere_else(client: Client, reviewer: User, place: str) -> None:
    assert client.get("/admin/login/", {"next": place})["Location"] == "/login/?next=%2Fadmin%2F"
    client.force_login(reviewer)
    assert client.get("/admin/login/", {"next": place})["Location"] == "/admin/"
    assert client.get(SETUP, {"next": place}).status_code == 302


def test_the_admins_page_for_ones_password_is_ours(client: Client, reviewer: User) -> None:
    client.force_login(reviewer)
    assert client.get("/admin/password_change/")["Location"] == "/account/password/"
    assert client.post("/admin/logout/")["Location"] == "/login/"


# --- live pages ----------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
async def test_a_socket_is_refused_and_one_that_is_open_closes_at_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LiveConsumer, "check_seconds", 0.2)
    reviewer = await made(person_of, "reviewer", "reviewer")
    async with page(reviewer, "inbox") as socket:
        assert await socket.frame() == {"topic": "hello"}
        await made(demanding, "reviewer")
        assert await socket.close_code() == 4401
    async with page(reviewer, "inbox") as socket:
        assert await socket.close_code() == 4401
    await made(Phone.of, reviewer)
    async with page(reviewer, "inbox") as socket:
        assert await socket.frame() == {"topic": "hello"}


@pytest.mark.django_db(transaction=True)
async def test_the_socket_of_an_ended_session_closes_at_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LiveConsumer, "check_seconds", 0.2)
    reviewer = await made(person_of, "reviewer", "reviewer")
    async with page(reviewer, "inbox") as socket:
        assert await socket.frame() == {"topic": "hello"}
        assert await made(sessions_end, user=reviewer, by=reviewer, via="page") == 1
        assert await socket.close_code() == 4401
