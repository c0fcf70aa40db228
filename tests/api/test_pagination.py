"""Keyset pages. APIKey stands in for any model with created_at and id."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.signing import Signer
from django.test import Client

from apps.accounts.models import APIKey, User
from apps.common.errors import Invalid
from apps.common.pagination import page
from tests.api.conftest import problem_of

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 31, tzinfo=UTC)


def _make(person: User, count: int, *, together: int = 1) -> list[APIKey]:
    """Keys, newest first; `together` share a time."""
    keys = APIKey.objects.bulk_create(
        APIKey(
            user=person,
            name=str(number),
            prefix=f"p{number}",
            secret_hash="",
            scopes=["all"],
            created_at=START + timedelta(microseconds=number // together),
        )
        for number in range(count)
    )
    return sorted(keys, key=lambda key: (key.created_at, key.pk), reverse=True)


def _walk(limit: int) -> Iterator[APIKey]:
    cursor: str | None = None
    while True:
        found = page(APIKey.objects.all(), cursor=cursor, limit=limit)
        assert len(found["items"]) <= limit
        yield from found["items"]
        cursor = found["next"]
        if cursor is None:
            return


@pytest.mark.parametrize("together", [1, 3, 23])
@pytest.mark.parametrize("limit", [1, 5, 23, 24])
def test_pages_give_every_row_once_in_order(person: User, limit: int, together: int) -> None:
    expected = _make(person, 23, together=together)
    assert list(_walk(limit)) == expected


def test_rows_that_come_in_at_the_top_do_not_shift_the_next_page(person: User) -> None:
    expected = _make(person, 4)
    first = page(APIKey.objects.all(), cursor=None, limit=2)
    APIKey.objects.create(user=person, name="new", prefix="new", secret_hash="", scopes=[])
    second = page(APIKey.objects.all(), cursor=first["next"], limit=2)
    assert first["items"] + second["items"] == expected


def test_the_last_page_has_no_next_even_when_it_is_full(person: User) -> None:
    _make(person, 2)
    assert page(APIKey.objects.all(), cursor=None, limit=2)["next"] is None
    assert page(APIKey.objects.none(), cursor=None) == {"items": [], "next": None}


def test_a_page_is_one_query_of_limit_plus_one_rows(
    person: User, django_assert_num_queries: Any
) -> None:
    _make(person, 5)
    with django_assert_num_queries(1) as captured:
        page(APIKey.objects.all(), cursor=None, limit=3)
    assert "LIMIT 4" in captured.captured_queries[0]["sql"]


_sign = Signer(salt="apps.common.pagination").sign_object


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "a" * 400,
        "\0",
        "é",
        ":",
        "W10:AAAA",
        _sign([]),
        _sign({}),
        _sign("x"),
        _sign(["x", "1"]),
        _sign([1, 2]),
        _sign(["2026-01-31T00:00:00+00:00", "x"]),
        Signer(salt="other").sign_object([START.isoformat(), "1"]),
    ],
    ids=range(13),
)
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid) as caught:
        page(APIKey.objects.all(), cursor=cursor)
    assert caught.value.code == "bad_cursor"


@pytest.mark.parametrize("limit", [0, -1, 201, 10**12])
def test_a_limit_outside_1_to_200_is_refused(limit: int) -> None:
    with pytest.raises(Invalid) as caught:
        page(APIKey.objects.all(), cursor=None, limit=limit)
    assert caught.value.code == "bad_limit"


@pytest.mark.parametrize("path", ["approvals", "interventions", "budgets"])
def test_the_lists_of_the_api_take_cursors_and_limits(
    client: Client, person: User, key: str, path: str
) -> None:
    User.objects.filter(pk=person.pk).update(is_superuser=True)
    headers = {"X-API-Key": key}
    url = f"/api/v1/{path}"
    assert client.get(url, headers=headers).json() == {"items": [], "next": None}
    problem_of(client.get(url, {"cursor": "x"}, headers=headers), 422, "bad_cursor")
    problem_of(client.get(url, {"limit": "201"}, headers=headers), 422, "validation_error")
    problem_of(client.get(url, {"limit": "x"}, headers=headers), 422, "validation_error")
    problem_of(client.get(f"{url}/{uuid.uuid4()}", headers=headers), 404, "not_found")
