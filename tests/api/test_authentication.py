"""Keys and sessions at the API's door."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from apps.accounts.models import APIKey, User
from apps.accounts.services import api_key_create, api_key_revoke
from tests.api.conftest import TESTER, problem_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api.probes")]

WHOAMI = "/api/v1/whoami"


def _whoami(client: Client, key: str) -> Any:
    return client.get(WHOAMI, headers={"X-API-Key": key})


def test_a_key_acts_for_its_person(client: Client, key: str) -> None:
    assert _whoami(client, key).json() == {"username": "amaka"}


def test_without_key_and_session_the_answer_is_401(client: Client) -> None:
    problem_of(client.get(WHOAMI), 401, "not_authenticated")
    problem_of(client.post("/api/v1/notes"), 401, "not_authenticated")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "csk",
        "csk__",
        "csk_abc_def",
        "a\0b",
        "csk_\0_x",
        "é" * 5,
        "csk_é_é",
        "x" * 10**6,
        "csk_" + "a" * 10**6,
        "csk_%00_x",
        "csk_abcdefghij_\ud800",
    ],
    ids=range(13),
)
def test_a_hostile_key_is_401(client: Client, key: str) -> None:
    problem_of(_whoami(client, key), 401, "not_authenticated")


def test_a_wrong_secret_revoked_expired_or_sleeping_key_is_401(
    client: Client, person: User, key: str
) -> None:
    problem_of(
        _whoami(client, key[:-1] + ("a" if key[-1] != "a" else "b")), 401, "not_authenticated"
    )
    soon = timezone.now() + timedelta(seconds=30)
    short, short_key = api_key_create(
        user=person, name="s", scopes=["all"], by=TESTER, expires_at=soon
    )
    assert _whoami(client, short_key).status_code == 200
    APIKey.objects.filter(pk=short.pk).update(expires_at=timezone.now())
    problem_of(_whoami(client, short_key), 401, "not_authenticated")

    api_key_revoke(key=APIKey.objects.get(name="t"), by=TESTER)
    problem_of(_whoami(client, key), 401, "not_authenticated")


def test_a_key_of_somebody_inactive_is_401(client: Client, person: User, key: str) -> None:
    User.objects.filter(pk=person.pk).update(is_active=False)
    problem_of(_whoami(client, key), 401, "not_authenticated")


def test_a_wrong_key_inside_a_session_is_still_401(client: Client, person: User) -> None:
    client.force_login(person)
    assert client.get(WHOAMI).status_code == 200
    problem_of(_whoami(client, "csk_abcdefghij_wrong"), 401, "not_authenticated")


def test_a_key_lacks_what_its_scopes_do_not_name(client: Client, person: User) -> None:
    _, narrow = api_key_create(user=person, name="n", scopes=["approvals:read"], by=TESTER)
    document = problem_of(_whoami(client, narrow), 403, "scope_missing")
    assert document["scope"] == "budgets:read"


def test_a_scope_does_not_give_a_permission_that_the_person_lacks(
    client: Client, person: User, key: str
) -> None:
    headers = {"X-API-Key": key}
    problem_of(client.get("/api/v1/needs", headers=headers), 403, "permission_denied")
    person.user_permissions.add(Permission.objects.get(codename="view_budget"))
    assert client.get("/api/v1/needs", headers=headers).status_code == 200


def test_the_use_of_a_key_is_noted_at_most_once_a_minute(
    client: Client, key: str, django_assert_num_queries: Any
) -> None:
    _whoami(client, key)
    first = APIKey.objects.get().last_used_at
    assert first is not None
    with django_assert_num_queries(1):
        _whoami(client, key)
    assert APIKey.objects.get().last_used_at == first
    APIKey.objects.update(last_used_at=first - timedelta(seconds=61))
    _whoami(client, key)
    used = APIKey.objects.get().last_used_at
    assert used is not None
    assert used >= first


# --- sessions -----------------------------------------------------------------------------------
def _token(client: Client) -> str:
    client.cookies["csrftoken"] = "a" * 32
    return "a" * 32


def test_a_session_reads_without_a_token(client: Client, person: User) -> None:
    client.force_login(person)
    assert client.get(WHOAMI).json() == {"username": "amaka"}


def test_a_session_writes_only_with_the_token(client: Client, person: User) -> None:
    client.force_login(person)
    send: Any = {"data": '{"text": "a"}', "content_type": "application/json"}
    problem_of(client.post("/api/v1/notes", **send), 403, "csrf_failed")
    token = _token(client)
    problem_of(
        client.post("/api/v1/notes", **send, headers={"X-CSRFToken": "b" * 32}), 403, "csrf_failed"
    )
    response = client.post("/api/v1/notes", **send, headers={"X-CSRFToken": token})
    assert response.status_code == 200


def test_a_key_writes_without_a_token(client: Client, key: str) -> None:
    response = client.post(
        "/api/v1/notes",
        data='{"text": "a"}',
        content_type="application/json",
        headers={"X-API-Key": key},
    )
    assert response.status_code == 200


def test_the_session_of_somebody_who_became_inactive_is_401(client: Client, person: User) -> None:
    client.force_login(person)
    User.objects.filter(pk=person.pk).update(is_active=False)
    problem_of(client.get(WHOAMI), 401, "not_authenticated")
