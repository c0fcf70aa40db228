"""Comments and evidence by the API: the same verbs, as documents and files."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.accounts import throttle
from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest, Comment, Evidence
from tests.api.conftest import problem_of
from tests.approvals.test_api import Api
from tests.approvals.test_evidence import add
from tests.approvals.world import auditor, opened, person, rule
from tests.common.test_uploads import PDF, PNG

pytestmark = pytest.mark.django_db


@pytest.fixture
def requester(db: None) -> User:
    rule()
    return person("requester")


@pytest.fixture
def reviewer(requester: User) -> User:
    return person("reviewer", "first", first_name="Ngozi", last_name="Okafor")


@pytest.fixture
def request_(requester: User) -> ApprovalRequest:
    return opened(requester)


def place(request: ApprovalRequest, *rest: object) -> str:
    return "/".join(["/api/v1/approvals", str(request.pk), *map(str, rest)])


def post(api: Api, path: str, body: dict[str, Any]) -> Any:
    return api.client.post(path, json.dumps(body), content_type="application/json")


def bring(api: Api, request: ApprovalRequest, body: bytes = PDF, **fields: str) -> Any:
    sent = {"file": SimpleUploadedFile("a.pdf", body), **fields}
    return api.client.post(place(request, "evidence"), sent)


def test_a_comment_is_said_once_and_listed(request_, requester, reviewer):
    api = Api(reviewer)
    body = {"text": "@requester which clinic?", "nonce": "n-1"}
    made = post(api, place(request_, "comments"), body)
    assert made.status_code == 201
    assert made.json()["mentions"] == ["requester"]
    assert made.json()["author"] == {"username": "reviewer", "name": "Ngozi Okafor"}
    assert post(api, place(request_, "comments"), body).json()["id"] == made.json()["id"]
    for number in range(3):
        post(api, place(request_, "comments"), {"text": f"{number}"})
    first = api.client.get(place(request_, "comments"), {"limit": 3}).json()
    assert [item["text"] for item in first["items"]] == ["2", "1", "0"]
    rest = api.client.get(place(request_, "comments"), {"cursor": first["next"]}).json()
    assert [item["id"] for item in rest["items"]] == [made.json()["id"]]
    assert rest["next"] is None


def test_who_only_reads_is_refused(request_):
    api = Api(auditor())
    said = post(api, place(request_, "comments"), {"text": "x"})
    for answer in (said, bring(api, request_)):
        problem_of(answer, 403, "permission_denied")
    assert api.client.get(place(request_, "comments")).json()["items"] == []


def test_too_many_comments_are_refused_with_a_time(request_, reviewer, monkeypatch):
    refused = throttle.Refused(throttle.Limit("comment", "1", 30, 300), 42, first=False)
    monkeypatch.setattr(throttle, "consume", lambda *limits: refused)
    answer = post(Api(reviewer), place(request_, "comments"), {"text": "x"})
    problem_of(answer, 429, "too_many_comments")
    assert answer["Retry-After"] == "42"


def test_refused_comments_are_problem_documents(request_, reviewer):
    api = Api(reviewer)
    for text, code in (("", "comment_empty"), ("x" * 5001, "comment_too_long")):
        problem_of(post(api, place(request_, "comments"), {"text": text}), 422, code)
    nul = post(api, place(request_, "comments"), {"text": "a\x00"})
    problem_of(nul, 422, "invalid_text")
    megabyte = post(api, place(request_, "comments"), {"text": "x" * 1024 * 1024})
    problem_of(megabyte, 422, "validation_error")
    post(api, place(request_, "comments"), {"text": "one", "nonce": "n"})
    again = post(api, place(request_, "comments"), {"text": "two", "nonce": "n"})
    problem_of(again, 409, "nonce_reused")
    assert Comment.objects.count() == 1


def test_a_file_is_brought_listed_and_fetched(request_, reviewer):
    api = Api(reviewer)
    made = bring(api, request_, note="What we paid")
    assert made.status_code == 201
    seen = made.json()
    assert (seen["name"], seen["content_type"], seen["size"]) == (
        "a.pdf",
        "application/pdf",
        len(PDF),
    )
    assert (seen["note"], seen["scan"], seen["erased_at"]) == ("What we paid", "not_scanned", None)
    assert bring(api, request_).json()["id"] == seen["id"]
    listed = api.client.get(place(request_, "evidence")).json()
    assert listed == {"items": [seen], "next": None}
    content = api.client.get(place(request_, "evidence", seen["id"]))
    assert content.content == PDF
    assert content["Content-Disposition"] == 'attachment; filename="a.pdf"'
    assert content["X-Content-Type-Options"] == "nosniff"
    assert content["Content-Security-Policy"].startswith("sandbox")


def test_refused_files_are_problem_documents(request_, reviewer):
    api = Api(reviewer)
    problem_of(bring(api, request_, b""), 422, "empty_file")
    problem_of(bring(api, request_, b"<svg onload=alert(1)>"), 422, "type_not_allowed")
    problem_of(bring(api, request_, PDF + bytes(11 * 1024 * 1024)), 413, "too_large")
    problem_of(bring(api, request_, note="x" * 501), 422, "note_too_long")
    problem_of(bring(api, request_, note="a\x00b"), 422, "invalid_text")
    problem_of(api.client.post(place(request_, "evidence"), {"note": ""}), 422, "validation_error")
    wrong = api.client.post(place(request_, "evidence"), "{}", content_type="application/json")
    problem_of(wrong, 422, "validation_error")
    broken = api.client.post(
        place(request_, "evidence"), b"--x\r\nnonsense", content_type="multipart/form-data"
    )
    problem_of(broken, 400, "bad_request")
    assert not Evidence.objects.exists()


def test_erasing_by_the_api(request_, requester, reviewer):
    kept = add(request_, requester)
    path = place(request_, "evidence", kept.pk, "erase")
    problem_of(post(Api(reviewer), path, {"reason": "x"}), 403, "permission_denied")
    boss = Api(person("boss", is_superuser=True))
    problem_of(post(boss, path, {"reason": " "}), 422, "reason_required")
    erased = post(boss, path, {"reason": "It names a patient."}).json()
    assert (erased["erased_reason"], erased["sha256"]) == ("It names a patient.", kept.sha256)
    gone = boss.client.get(place(request_, "evidence", kept.pk))
    problem_of(gone, 404, "evidence_erased")
    problem_of(bring(boss, request_), 409, "evidence_erased")


def test_another_persons_request_and_files_are_not_there(request_, requester):
    kept, outsider = add(request_, requester), person("outsider")
    api, own = Api(outsider), opened(outsider)
    for answer in (
        post(api, place(request_, "comments"), {"text": "hi"}),
        bring(api, request_, PNG),
        api.client.get(place(request_, "comments")),
        api.client.get(place(request_, "evidence")),
        api.client.get(place(request_, "evidence", kept.pk)),
        api.client.get(place(own, "evidence", kept.pk)),
        api.client.get(place(own, "evidence", uuid4())),
        post(api, place(request_, "evidence", kept.pk, "erase"), {"reason": "x"}),
    ):
        problem_of(answer, 404, "not_found")


def test_scopes_are_asked_for(request_, reviewer):
    reading, deciding = Api(reviewer, "approvals:read"), Api(reviewer, "approvals:decide")
    problem_of(post(reading, place(request_, "comments"), {"text": "x"}), 403, "scope_missing")
    problem_of(bring(deciding, request_), 403, "scope_missing")
    problem_of(deciding.client.get(place(request_, "comments")), 403, "scope_missing")
    assert reading.client.get(place(request_, "comments")).status_code == 200
    writing = Api(reviewer, "approvals:write")
    assert post(writing, place(request_, "comments"), {"text": "x"}).status_code == 201


def test_a_session_needs_the_csrf_token(request_, reviewer):
    client = Client(enforce_csrf_checks=True)
    client.force_login(reviewer)
    sent = {"file": SimpleUploadedFile("a.pdf", PDF)}
    problem_of(client.post(place(request_, "evidence"), sent), 403, "csrf_failed")
    assert not Evidence.objects.exists()
