"""While PostgreSQL is away every door says so, and that it may be tried again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test import Client

from tests.console.conftest import AsPerson, ask_to_sign, form_of
from tests.interventions.conftest import World


@contextmanager
def database_away(error: type[Exception] = OperationalError) -> Iterator[None]:
    """Every statement of this thread fails as one on a lost connection does."""

    def fail(*_: Any) -> None:
        raise error("connection refused: secret-host:5432")

    with connection.execute_wrapper(fail):
        yield


@pytest.fixture
def reviewer(world: World, as_person: AsPerson) -> Client:
    client = as_person("reviewer")
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("path", ["/", "/inbox/?q=clinic", "/bulk/", "/admin/", "/login/"])
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_page_says_that_it_is_not_reachable(
    reviewer: Client, path: str, error: type[Exception]
) -> None:
    with database_away(error):
        answer = reviewer.get(path)
    html = answer.content.decode()
    assert answer.status_code == 503, path
    assert answer["Retry-After"] == "5"
    assert answer["Content-Type"].startswith("text/html")
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert "Temporarily unavailable" in html
    assert f'href="{path}">Try again' in html
    assert "secret-host" not in html


def test_a_form_is_not_sent_again_by_a_link(reviewer: Client, world: World) -> None:
    _, approval = ask_to_sign(world)
    form = form_of(approval)
    with database_away():
        answer = reviewer.post(f"/requests/{approval.pk}/", form)
    assert answer.status_code == 503
    assert "Try again" not in answer.content.decode()
    approval.refresh_from_db()
    assert approval.status == "open"


def test_a_part_of_a_page_that_is_open_gets_nothing_to_merge(reviewer: Client) -> None:
    with database_away():
        answer = reviewer.get("/inbox/live/", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.content) == (503, b"")
    assert answer["Retry-After"] == "5"


def test_the_api_answers_a_problem_document_as_it_did(reviewer: Client) -> None:
    with database_away():
        answer = reviewer.get("/api/v1/approvals", headers={"X-API-Key": "cs_x_y"})
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


def test_any_other_failure_stays_one(reviewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("apps.approvals.views.inbox.render", fail)
    answer = reviewer.get("/inbox/")
    assert answer.status_code == 500
    assert "The server failed" in answer.content.decode()
