"""The API of keys."""

import json
from typing import Any

import pytest
from django.test import Client

from apps.pix.models import Entry
from tests.directory import OTHER, OURS, SimulatedDirectory
from tests.pix.entries.conftest import CPF, EMAIL, Keys

pytestmark = pytest.mark.django_db

ROOT = "/api/v1/pix/entries"
BODY: dict[str, Any] = {
    "key_type": "CPF",
    "key": CPF,
    "account": {"participant": OURS, "branch": "0001", "number": "7654321", "type": "CACC"},
    "owner": {"type": "NATURAL_PERSON", "tax_id": CPF, "name": "João Silva"},
}


def call(keys: Keys, method: str, path: str = "", body: Any = None, by: str = "officer") -> Any:
    client = Client()
    client.force_login(keys.people[by])
    about = {"data": json.dumps(body), "content_type": "application/json"} if body else {}
    return getattr(client, method)(f"{ROOT}{path}", **about)


def test_a_key_by_the_api_from_its_creation_to_its_removal(
    keys: Keys, directory: SimulatedDirectory
) -> None:
    answer = call(keys, "post", body={**BODY, "idempotency_key": "a"})
    assert answer.status_code == 202
    made = answer.json()
    assert made.keys() == {"id", "status", "workflow_id"}
    assert made["status"] == "pending"
    assert call(keys, "post", body={**BODY, "idempotency_key": "a"}).json() == made
    keys.carry(Entry.objects.get().changes.get())

    read = call(keys, "get", f"/{made['id']}").json()
    assert (read["key"], read["owner"]["tax_id"], read["status"]) == (
        *("***.222.333-**", "***.222.333-**", "active"),
    )
    assert read["change"]["workflow_id"] == made["workflow_id"]
    listed = call(keys, "get", f"?status=active&key_type=CPF&participant={OURS}").json()
    assert [one["id"] for one in listed["items"]] == [made["id"]]
    assert call(keys, "get", f"?participant={OTHER}").json()["items"] == []
    assert call(keys, "post", f"/{made['id']}/full-key").json()["key"] == CPF

    change = {"owner": {"name": "João da Silva"}}
    assert call(keys, "put", f"/{made['id']}", body=change).status_code == 202
    assert call(keys, "put", f"/{made['id']}", body=change).json()["code"] == "entry_change_running"
    keys.carry(Entry.objects.get().changes.get(status="running"))
    moved = call(
        keys, "put", f"/{made['id']}", body={"account": {**BODY["account"], "participant": OTHER}}
    )
    assert (moved.status_code, moved.json()["code"]) == (422, "participant_fixed")
    assert moved.json()["suggested_claim"]["claim_type"] == "PORTABILITY"
    bad = call(keys, "delete", f"/{made['id']}?reason=NONE")
    assert (bad.status_code, bad.json()["code"]) == (422, "reason_invalid")
    assert call(keys, "delete", f"/{made['id']}?reason=FRAUD").status_code == 202


def test_a_mailbox_is_proved_by_its_code(keys: Keys) -> None:
    body = {**BODY, "key_type": "EMAIL", "key": EMAIL}
    made = call(keys, "post", body=body).json()
    assert made["status"] == "possession"
    wrong = call(keys, "post", f"/{made['id']}/possession", body={"code": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "possession_code_invalid")
    assert wrong.json()["tries_left"] == 4
    fresh = call(keys, "post", f"/{made['id']}/possession/new-code")
    assert (fresh.status_code, fresh.json()["code"]) == (409, "possession_code_fresh")
    right = call(keys, "post", f"/{made['id']}/possession", body={"code": keys.code()})
    assert (right.status_code, right.json()["status"]) == (202, "pending")


def test_a_conflict_names_the_claim(keys: Keys) -> None:
    keys.active()
    body = {**BODY, "account": {**BODY["account"], "participant": OTHER}}
    answer = call(keys, "post", body=body)
    assert answer.status_code == 409
    assert answer.json()["code"] == "entry_in_custody_of_different_participant"
    assert answer.json()["suggested_claim"] == {
        "claim_type": "PORTABILITY",
        "key_type": "CPF",
        "donor_ispb": OURS,
    }


def test_a_lookup_is_posted_and_hides_the_tax_id_from_who_may_not_read_keys(keys: Keys) -> None:
    keys.active()
    asked = {"key_type": "CPF", "key": CPF}
    found = call(keys, "post", "/lookup", body=asked).json()
    assert (found["owner"]["tax_id"], found["source"]) == (CPF, "here")
    other = call(keys, "post", "/lookup", body=asked, by="operator").json()
    assert (other["owner"]["tax_id"], other["source"]) == ("***.222.333-**", "copy")
    unknown = call(keys, "post", "/lookup", body={"key_type": "CPF", "key": "52998224725"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "key_unknown")


@pytest.mark.parametrize(
    ("by", "method", "path", "status"),
    [
        ("auditor", "get", "", 200),
        ("requester", "get", "", 403),
        ("auditor", "post", "", 403),
        ("auditor", "delete", "/{id}", 403),
        ("auditor", "post", "/{id}/full-key", 403),
        ("operator", "post", "/{id}/full-key", 403),
        ("officer", "get", "/nobody", 404),
        ("officer", "get", "/{id}/x", 404),
    ],
)
def test_who_may_do_what(keys: Keys, by: str, method: str, path: str, status: int) -> None:
    entry = keys.active()
    body = BODY if method == "post" and not path else None
    answer = call(keys, method, path.replace("{id}", str(entry.pk)), body=body, by=by)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "body",
    [
        {"key_type": "CPF"},
        {**BODY, "key": 5},
        {**BODY, "account": []},
        {**BODY, "more": 1},
        {**BODY, "key": "x" * 300},
        {**BODY, "owner": {**BODY["owner"], "name": None}},
    ],
)
def test_a_body_of_another_shape_is_refused(keys: Keys, body: Any) -> None:
    assert call(keys, "post", body=body).status_code == 422
    assert not Entry.objects.exists()
