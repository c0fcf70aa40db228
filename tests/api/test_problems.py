"""Whatever goes wrong below /api/, the answer is a problem document that gives nothing away."""

import json
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from tests.api.conftest import problem_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api.probes")]


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("conflict", 409, "already_decided"),
        ("unavailable", 503, "unavailable"),
        ("missing", 404, "not_found"),
        ("operational", 503, "database_unavailable"),
        ("pool", 503, "database_unavailable"),
        ("data", 422, "invalid_text"),
        ("number", 422, "out_of_range"),
        ("bug", 500, "internal"),
    ],
)
def test_an_error_of_an_operation_is_worded_once(
    client: Client, key: str, kind: str, status: int, code: str
) -> None:
    response = client.get(f"/api/v1/raise/{kind}", headers={"X-API-Key": key})
    problem_of(response, status, code)
    assert b"secret" not in response.content


def test_what_a_refusal_says_besides_is_in_the_document_and_cannot_replace_its_own_members(
    client: Client, key: str
) -> None:
    response = client.get("/api/v1/raise/conflict", headers={"X-API-Key": key})
    document = problem_of(response, 409, "already_decided")
    assert document["decided_by"] == "Ngozi"
    assert document["detail"] == "too late"


def test_a_bug_is_logged_with_its_traceback(
    client: Client, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/api/v1/raise/bug", headers={"X-API-Key": key})
    assert "secret-internal-name" in caplog.text


@pytest.mark.parametrize(("kind", "status"), [("database", 503), ("bug", 500)])
def test_a_failure_outside_the_operations_is_a_problem_document_too(
    client: Client, kind: str, status: int
) -> None:
    response = client.get("/api/outside", {"kind": kind})
    problem_of(response, status, "database_unavailable" if status == 503 else "internal")
    assert b"secret" not in response.content


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch"])
@pytest.mark.parametrize("path", ["/api/", "/api/v1/nothing", "/api/v2/x", "/api/v1/raise/a/b"])
def test_an_unknown_address_is_a_problem_document_for_every_method(
    client: Client, method: str, path: str
) -> None:
    problem_of(getattr(client, method)(path), 404, "not_found")


def test_a_wrong_method_is_a_problem_document_that_says_which_are_allowed(client: Client) -> None:
    response = client.put("/api/v1/whoami")
    problem_of(response, 405, "method_not_allowed")
    assert response["Allow"] == "GET"


def test_a_host_that_is_not_ours_is_refused_in_the_same_form(client: Client) -> None:
    response = client.get("/api/v1/whoami", headers={"host": "evil.example"})
    problem_of(response, 400, "bad_request")


def test_pages_outside_the_api_keep_their_own_errors(client: Client) -> None:
    assert "json" not in client.get("/nothing")["Content-Type"]


# --- hostile bodies -----------------------------------------------------------------------------
def _post(client: Client, key: str, body: bytes | str, path: str = "/api/v1/notes") -> Any:
    return client.post(path, data=body, content_type="application/json", headers={"X-API-Key": key})


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'{"text": NaN}',
        b'{"text": "a", "number": Infinity}',
        b'{"text": "a", "number": -Infinity}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"text": "a", "number": ' + b"9" * 5000 + b"}",
        b'{"text": "\x00"}',
        b"",
    ],
    ids=["cut", "bytes", "nan", "inf", "-inf", "deep list", "deep", "digits", "raw nul", "empty"],
)
def test_what_is_no_json_document_is_malformed(client: Client, key: str, body: bytes) -> None:
    response = _post(client, key, body)
    if body == b"":
        problem_of(response, 422, "validation_error")
    else:
        problem_of(response, 400, "malformed_json")


@pytest.mark.parametrize(
    "body",
    [
        r'{"text": "a\u0000b"}',
        r'{"text": "\ud800"}',
        r'{"te\u0000xt": 1}',
        r'{"x": [{"y": "\u0000"}]}',
    ],
)
def test_texts_that_cannot_be_stored_are_refused_before_anything_reads_them(
    client: Client, key: str, body: str
) -> None:
    problem_of(_post(client, key, body), 422, "invalid_text")


def test_ordinary_escapes_pass(client: Client, key: str) -> None:
    response = _post(client, key, r'{"text": "\u00e9\ud83d\ude00 \\u0000"}')
    assert response.status_code == 200
    assert response.json()["text"] == "é😀 \\u0000"


@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        '"x"',
        "5",
        "{}",
        '{"text": 5}',
        '{"text": {"a": 1}}',
        '{"text": "a", "number": "x"}',
        '{"text": "a", "number": 1e400}',
        '{"text": "a", "number": 99999999999999999999}',
    ],
)
def test_wrong_types_name_the_place(client: Client, key: str, body: str) -> None:
    response = _post(client, key, body)
    if response.status_code == 400:
        problem_of(response, 400, "malformed_json")
        return
    document = problem_of(response, 422, "validation_error")
    assert document["errors"]
    assert set(document["errors"][0]) == {"loc", "type", "msg"}


def test_a_text_of_a_megabyte_is_taken_or_refused_and_never_repeated_in_the_answer(
    client: Client, key: str
) -> None:
    assert _post(client, key, json.dumps({"text": "x" * 2**20})).status_code == 200
    response = _post(client, key, json.dumps({"text": ["x" * 2**20]}))
    problem_of(response, 422, "validation_error")
    assert len(response.content) < 2000


def test_a_body_beyond_the_limit_is_too_large(client: Client, key: str) -> None:
    body = json.dumps({"text": "x" * (2 * 2**20)})
    problem_of(_post(client, key, body), 413, "too_large")


def test_a_nul_in_the_address_is_a_refusal(client: Client, key: str) -> None:
    response = client.get("/api/v1/users?name=a%00b", headers={"X-API-Key": key})
    problem_of(response, 422, "invalid_text")


def test_bytes_that_are_no_text_in_the_address_are_no_failure(client: Client, key: str) -> None:
    response = client.get("/api/v1/users?name=%ff%fe", headers={"X-API-Key": key})
    assert response.status_code in (200, 422)


def test_a_broken_multipart_body_is_no_failure(client: Client, person: User) -> None:
    client.force_login(person)
    response = client.post(
        "/api/v1/notes", data=b"--x", content_type="multipart/form-data; boundary="
    )
    assert response.status_code in (400, 403)
    assert response["Content-Type"] == "application/problem+json"
