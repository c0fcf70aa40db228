"""What a person was told, over the API: listed, read, chosen."""

import json
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.notifications.models import Notification
from apps.notifications.services import notify
from tests.notifications.conftest import LOUD, QUIET, somebody

pytestmark = pytest.mark.django_db


class Caller:
    """Calls with a key of its own."""

    def __init__(self, user: User, *scopes: str) -> None:
        _, key = api_key_create(user=user, name="k", scopes=list(scopes or ["all"]), by=None)
        self.client = Client(headers={"X-API-Key": key})

    def __call__(self, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
        answer = self.client.generic(
            method,
            f"/api/v1/notifications{path}",
            data=b"" if body is None else json.dumps(body),
            content_type="application/json",
        )
        return answer.status_code, answer.json()


@pytest.fixture
def two() -> tuple[User, User]:
    people = somebody("first"), somebody("second")
    for number in range(3):
        notify(key=f"n:{number}", recipients=people, kind=QUIET, title=f"Number {number}", url="/")
    return people


def test_ones_own_are_listed_by_page_and_read(two: tuple[User, User]) -> None:
    call = Caller(two[0])
    _, first = call("GET", "?limit=2")
    _, second = call("GET", f"?limit=2&cursor={first['next']}")
    listed = first["items"] + second["items"]
    assert [row["title"] for row in listed] == ["Number 2", "Number 1", "Number 0"]
    assert second["next"] is None
    strange = Notification.objects.filter(recipient=two[1]).first()
    assert strange is not None
    assert call("POST", "/read", {"ids": [listed[0]["id"], strange.pk]}) == (200, {"read": 1})
    assert call("POST", "/read", {"ids": [listed[0]["id"]]}) == (200, {"read": 0})
    _, unread = call("GET", "?unread=true")
    assert [row["title"] for row in unread["items"]] == ["Number 1", "Number 0"]
    assert call("POST", "/read", {}) == (200, {"read": 2})
    assert Notification.objects.filter(recipient=two[1], read_at=None).count() == 3


def test_what_one_is_told_of_is_chosen(two: tuple[User, User]) -> None:
    call = Caller(two[0])
    _, before = call("GET", "/settings")
    defaults = {row["kind"]: (row["in_app"], row["email"]) for row in before["items"]}
    assert (defaults[LOUD], defaults[QUIET]) == ((True, True), (True, False))
    status, after = call("PUT", "/settings", {"in_app": [LOUD], "email": [QUIET, "unknown"]})
    assert status == 200
    chosen = {row["kind"]: row for row in after["items"]}
    assert (chosen[LOUD]["in_app"], chosen[LOUD]["email"]) == (True, False)
    assert (chosen[QUIET]["in_app"], chosen[QUIET]["email"]) == (False, True)
    assert all(row["in_app"] for row in after["items"] if not row["mutable"])
    _, theirs = Caller(two[1])("GET", "/settings")
    assert {row["kind"]: (row["in_app"], row["email"]) for row in theirs["items"]} == defaults


@pytest.mark.parametrize(
    ("method", "path", "body", "scope"),
    [
        ("GET", "", None, "notifications:write"),
        ("GET", "/settings", None, "approvals:read"),
        ("POST", "/read", {}, "notifications:read"),
        ("PUT", "/settings", {"in_app": [], "email": []}, "notifications:read"),
    ],
)
def test_a_key_without_the_scope_is_refused(
    two: tuple[User, User], method: str, path: str, body: Any, scope: str
) -> None:
    status, problem = Caller(two[0], scope)(method, path, body)
    assert (status, problem["code"]) == (403, "scope_missing")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/read", {"ids": [0]}),
        ("/read", {"ids": [2**63]}),
        ("/read", {"ids": "all"}),
        ("/settings", {"in_app": []}),
    ],
)
def test_nonsense_is_refused(two: tuple[User, User], path: str, body: Any) -> None:
    method = "PUT" if path == "/settings" else "POST"
    assert Caller(two[0])(method, path, body)[1]["code"] == "validation_error"
    assert not Notification.objects.exclude(read_at=None).exists()
