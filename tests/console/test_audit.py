"""The audit page, its exports and its API."""

import asyncio
import csv
import io
import json
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import AsyncRequestFactory, Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.audit.chain import body_digest, seal_hash
from apps.audit.models import AuditEntry
from apps.audit.selectors import EntryFilter
from apps.audit.services import chain_check, entry_record, pending_seal
from apps.common.csvio import PART
from apps.console.audit_export import export
from tests.audit.conftest import record, tampering
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.conftest import World


def text(response: Any) -> str:
    return unescape(response.content.decode())


def streamed(response: Any) -> str:
    return b"".join(response.streaming_content).decode()


@pytest.fixture
def auditor(world: World, as_person: AsPerson) -> Client:
    return as_person("auditor")


# --- who -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["requester", "reviewer", "operator"])
def test_only_who_may_see_entries_sees_the_page(name: str, as_person: AsPerson) -> None:
    client = as_person(name)
    assert client.get("/audit/").status_code == 403
    assert client.post("/audit/export/", {"format": "csv"}).status_code == 403
    assert 'href="/audit/"' not in text(client.get("/"))


def test_the_auditor_has_it_in_the_header_and_a_stranger_signs_in(auditor: Client) -> None:
    assert 'href="/audit/"' in text(auditor.get("/"))
    assert Client().get("/audit/").status_code == 302


# --- the page ------------------------------------------------------------------------------------
def test_entries_are_shown_with_their_bodies_and_how_far_the_chain_holds(
    world: World, auditor: Client
) -> None:
    _, approval = ask_to_sign(world)
    while pending_seal():
        pass
    chain_check()
    page = text(auditor.get("/audit/"))
    assert "approval.opened" in page
    assert f'href="/requests/{approval.pk}/"' in page
    assert "payload_hash" in page
    assert "Sealed up to" in page
    assert "№ 1" in page
    assert "verified" in page
    assert "holds" in page


def test_a_broken_chain_is_said_loudly(auditor: Client) -> None:
    victim = record()
    pending_seal()
    with tampering() as cursor:
        cursor.execute("UPDATE audit_auditentry SET code = 'x' WHERE id = %s", [victim.pk])
    chain_check()
    page = text(auditor.get("/audit/"))
    assert "The audit chain is broken" in page
    assert f"(entry {victim.pk}): the entry or its seal was changed" in page


def test_the_filters_narrow_and_the_pages_go_on_without_repeating(auditor: Client) -> None:
    for number in range(120):
        record(number, action="many.things")
    record(1, action="one.thing", outcome="refused", code="not_now")
    seen: list[int] = []
    address = "/audit/?action=many.things"
    for _ in range(3):
        response = auditor.get(address)
        seen += [row.pk for row in response.context["rows"]]
        address = f"/audit/?action=many.things&cursor={response.context['next']}"
    assert len(seen) == len(set(seen)) == 120
    assert seen == sorted(seen, reverse=True)
    for query in ("outcome=refused&code=not_now", "action=one.thing", "actor=tester&code=not_now"):
        assert [row.action for row in auditor.get(f"/audit/?{query}").context["rows"]] == [
            "one.thing"
        ]
    assert not auditor.get("/audit/?actor=nobody").context["rows"]
    me = User.objects.get(username="auditor")
    entry_record(action="x", subject_type="t", subject_id="1", by=me)
    assert len(auditor.get("/audit/?actor=auditor&action=x").context["rows"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        "action=%00",
        "actor=%00",
        "since=never",
        "since=2026-02-01&until=2026-01-01",
        "outcome=nothing",
        "subject_id=" + "x" * 500,
        "cursor=nonsense",
        "until=9999-12-31",
        "since=0001-01-01",
        "actor=%F0%9F%92%A5&subject_id=%ff",
    ],
)
def test_hostile_filters_are_answered(query: str, auditor: Client) -> None:
    record()
    assert auditor.get(f"/audit/?{query}").status_code == 200
    assert auditor.post(f"/audit/export/?{query}", {"format": "csv"}).status_code in (200, 422)


def test_the_page_asks_as_often_for_many_entries_as_for_few(auditor: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert auditor.get("/audit/").status_code == 200
        assert not [q for q in captured if "COUNT(" in q["sql"] and "LIMIT" not in q["sql"]]
        return len(captured)

    record()
    few = queries()
    for number in range(60):
        record(number)
    assert queries() == few <= 20


# --- exports -------------------------------------------------------------------------------------
def test_an_export_as_json_lines_verifies_elsewhere(auditor: Client) -> None:
    for number in range(3):
        record(number, action="kept")
    record(9, action="other")
    pending_seal()
    lines = streamed(auditor.post("/audit/export/?action=kept", {"format": "jsonl"}))
    documents = [json.loads(line) for line in lines.splitlines()]
    assert [document["action"] for document in documents] == ["kept"] * 3
    for document in documents:
        place = {name: document[name] for name in ("sequence", "previous", "sealed_at")}
        assert seal_hash(**place, entry=document) == document["hash"]
        assert body_digest(document["body"], document["salt"]) == document["digest"]


def test_an_export_is_recorded_and_not_part_of_itself(auditor: Client) -> None:
    record()
    before = AuditEntry.objects.latest("id").pk
    answer = streamed(auditor.post("/audit/export/?outcome=done", {"format": "jsonl"}))
    assert "audit.export" not in answer
    entry = AuditEntry.objects.get(action="audit.export")
    assert entry.actor_label == str(User.objects.get(username="auditor"))
    assert entry.body == {
        "format": "jsonl",
        "filter": {"outcome": "done"},
        "up_to_entry": before,
    }


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_formulae_are_escaped_in_the_csv(start: str, auditor: Client) -> None:
    record(1, subject_id=f"{start}HYPERLINK(1)", action="hostile")
    answer = streamed(auditor.post("/audit/export/?action=hostile", {"format": "csv"}))
    (row,) = csv.DictReader(io.StringIO(answer, newline=""))
    assert row["subject_id"] == f"'{start}HYPERLINK(1)"
    assert json.loads(row["body"]) == {"number": 1, "amount": "12.00"}


def test_an_erased_body_stays_out_of_the_export(auditor: Client) -> None:
    entry = record(1, body={"name": "Ngozi"}, action="personal")
    AuditEntry.objects.filter(pk=entry.pk).update(
        body=None, salt=None, erased_at="2026-01-01T00:00Z"
    )
    answer = streamed(auditor.post("/audit/export/?action=personal", {"format": "jsonl"}))
    assert json.loads(answer)["body"] is None
    assert "Ngozi" not in answer


def test_an_export_of_an_unknown_kind_is_refused(auditor: Client) -> None:
    assert auditor.post("/audit/export/", {"format": "exe"}).status_code == 422
    assert auditor.get("/audit/export/").status_code == 405
    assert not AuditEntry.objects.filter(action="audit.export").exists()


def test_a_long_export_is_read_in_parts(auditor: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr("apps.common.csvio.PART", 7)
    for number in range(30):
        record(number, action="long")
    answer = auditor.post("/audit/export/?action=long", {"format": "jsonl"})
    parts = list(answer.streaming_content)
    assert len(parts) == 5
    ids = [json.loads(line)["id"] for line in b"".join(parts).splitlines()]
    assert len(set(ids)) == 30
    assert PART >= 1000


@pytest.mark.django_db(transaction=True)
def test_under_asgi_the_export_is_not_gathered_first(monkeypatch: Any) -> None:
    monkeypatch.setattr("apps.common.csvio.PART", 2)
    for number in range(5):
        record(number)
    me = User.objects.create(username="asker")
    request = AsyncRequestFactory().post("/audit/export/")
    answer = export(request, EntryFilter(), format="csv", by=me, via="page")
    assert answer.is_async

    async def read() -> list[bytes]:
        return [part async for part in answer.streaming_content]

    parts = asyncio.run(read())
    assert len(parts) == 3
    assert len(b"".join(parts).splitlines()) == 6


# --- the API -------------------------------------------------------------------------------------
def _key(user: User, *scopes: str) -> dict[str, str]:
    _, secret = api_key_create(user=user, name="k", scopes=list(scopes), by=None)
    return {"X-API-Key": secret}


def test_the_api_needs_the_scope_and_the_permission(world: World) -> None:
    client = Client()
    auditor, operator = world.people["auditor"], world.people["operator"]
    assert client.get("/api/v1/audit").status_code == 401
    for user, scope, code in (
        (auditor, "approvals:read", "scope_missing"),
        (operator, "audit:read", "permission_denied"),
    ):
        answer = client.get("/api/v1/audit", headers=_key(user, scope))
        assert (answer.status_code, answer.json()["code"]) == (403, code)


def test_the_api_pages_through_what_matches(world: World) -> None:
    client, headers = Client(), _key(world.people["auditor"], "audit:read")
    entries = [record(number, action="paged") for number in range(5)]
    while pending_seal():
        pass
    chain_check()
    seen: list[int] = []
    cursor: str | None = None
    while True:
        query = {"action": "paged", "limit": 2, **({"cursor": cursor} if cursor else {})}
        answer = client.get("/api/v1/audit", query, headers=headers).json()
        seen += [item["id"] for item in answer["items"]]
        assert all(item["verified"] and item["hash"] for item in answer["items"])
        cursor = answer["next"]
        if cursor is None:
            break
    assert seen == [entry.pk for entry in reversed(entries)]
    assert answer["chain"]["problem_count"] == 0
    assert answer["chain"]["verified"] == answer["chain"]["sealed"] > 0
    for query, status in (
        ({"cursor": "x"}, 422),
        ({"action": "\0"}, 422),
        ({"since": "x"}, 422),
        ({"limit": 0}, 422),
        ({"since": "0001-01-01T00:00:00+14:00"}, 200),
        ({"until": "9999-12-31T23:59:59-14:00"}, 200),
        ({"until": "0287-06-13T21:28:09-19:39"}, 200),
        ({"actor": "\0"}, 422),
    ):
        assert client.get("/api/v1/audit", query, headers=headers).status_code == status, query


def test_the_api_exports_what_matches_and_records_it(world: World) -> None:
    client, address = Client(), "/api/v1/audit/export"
    auditor = world.people["auditor"]
    entries = [record(number, action="exported") for number in range(3)]
    headers = _key(auditor, "audit:read")
    body = {"action": "exported", "format": "jsonl"}
    answer = client.post(address, body, content_type="application/json", headers=headers)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/x-ndjson")
    assert answer["Content-Disposition"].startswith("attachment;")
    ids = [json.loads(line)["id"] for line in streamed(answer).splitlines()]
    assert ids == [entry.pk for entry in reversed(entries)]
    entry = AuditEntry.objects.get(action="audit.export")
    assert (entry.via, entry.actor_id) == ("api", auditor.audit_id)
    for user, scope, sent, status in (
        (auditor, "approvals:read", body, 403),
        (world.people["operator"], "audit:read", body, 403),
        (auditor, "audit:read", {"format": "exe"}, 422),
        (auditor, "audit:read", {"action": "\0"}, 422),
    ):
        key = _key(user, scope)
        refused = client.post(address, sent, content_type="application/json", headers=key)
        assert refused.status_code == status, sent
    assert AuditEntry.objects.filter(action="audit.export").count() == 1
