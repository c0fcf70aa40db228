"""The API's list as the inbox, rules, saved filters, timeline, presence and the bulk preview."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.approvals import services
from apps.approvals.models import ApprovalRequest, ApprovalRule
from apps.audit.models import AuditEntry
from tests.approvals.world import KIND, decide, edit, fresh, group, opened, permit, person, rule

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/approvals"
TIER = {"group": "first", "quorum": 1}


class Api:
    """The API as one person, by a key."""

    def __init__(self, user: User, *scopes: str) -> None:
        _, key = api_key_create(user=user, name="t", scopes=list(scopes or ["all"]), by=user)
        self.client = Client(headers={"X-API-Key": key})

    def get(self, path: str = "", **query: Any) -> Any:
        return self.client.get(f"{ROOT}{path}", query)

    def send(self, path: str, body: Any = None, method: str = "POST") -> tuple[int, Any]:
        data = b"" if body is None else json.dumps(body)
        answer = self.client.generic(
            method, f"{ROOT}{path}", data=data, content_type="application/json"
        )
        return answer.status_code, answer.json() if answer.content else None

    def ids(self, **query: Any) -> list[str]:
        answer = self.get(**query)
        assert answer.status_code == 200, answer.content
        return [item["id"] for item in answer.json()["items"]]


@pytest.fixture
def requester(db: None) -> User:
    rule()
    return person("requester")


@pytest.fixture
def reviewer(requester: User) -> User:
    return person("reviewer", "first")


# --- the list is the inbox ------------------------------------------------------------------------
def test_the_list_takes_the_filters_of_the_inbox(requester: User, reviewer: User) -> None:
    now = timezone.now()
    old = opened(requester, title="Old boats", as_of=now - timedelta(days=8))
    large = opened(requester, amount="60000.00", title="Large boats")
    held = opened(requester, title="Held nets")
    services.claim_take(request_id=held.pk, by=reviewer, via="api", as_of=now)
    ApprovalRequest.objects.filter(pk=old.pk).update(due_at=now - timedelta(hours=1))
    ApprovalRequest.objects.filter(pk=large.pk).update(due_at=now + timedelta(hours=1))
    gone = decide(opened(requester, title="Gone boats"), reviewer)
    api = Api(reviewer)

    assert api.ids(q="boats") == [str(r.pk) for r in (gone, large, old)]
    assert api.ids(q="boats", status="open") == [str(large.pk), str(old.pk)]
    assert api.ids(q="boats", status="approved") == [str(gone.pk)]
    assert api.ids(due="over") == [str(old.pk)]
    assert api.ids(due="soon", sort="due") == [str(old.pk), str(large.pk)]
    assert api.ids(claim="me") == [str(held.pk)]
    assert api.ids(claim="free", age="7d") == [str(old.pk)]
    assert api.ids(least="50000", most="70000.00", currency="NGN") == [str(large.pk)]
    assert api.ids(group="first", status="open", sort="oldest")[0] == str(old.pk)
    assert api.ids(mine="true", q="nets") == [str(held.pk)]
    # As ever: a status and "mine" that exclude each other find nothing.
    assert api.ids(mine="true", status="approved") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"q": "ab"}, "q"),
        ({"q": "x\x00yz"}, "q"),
        ({"group": "nobody"}, "group"),
        ({"currency": "XYZ"}, "currency"),
        ({"least": "5", "most": "4"}, "most"),
        ({"due": "over", "status": "approved"}, "due"),
        ({"sort": "due", "status": "approved"}, "sort"),
    ],
)
def test_filters_that_make_no_sense_are_refused(
    reviewer: User, query: dict[str, str], field: str
) -> None:
    answer = Api(reviewer).get(**query)
    assert (answer.status_code, answer.json()["code"]) == (422, "filter_invalid")
    assert answer.json()["field"] == field


def test_rows_carry_what_a_bulk_decision_names_and_the_number_of_queries_stays(
    requester: User, reviewer: User
) -> None:
    api = Api(reviewer)
    edited = edit(opened(requester), requester)

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert api.get().status_code == 200
        return len(seen)

    queries()  # notes that the key was used
    before = queries()
    for _ in range(4):
        opened(requester)
    assert queries() == before
    rows = {row["id"]: row for row in api.get().json()["items"]}
    assert len(rows) == 5
    for request in ApprovalRequest.objects.all():
        current = request.payloads.get(number=request.payload_number)
        assert rows[str(request.pk)]["payload_hash"] == current.hash
    assert fresh(edited).payload_number == 2


def test_a_place_in_one_order_is_none_in_another(requester: User, reviewer: User) -> None:
    for _ in range(3):
        opened(requester)
    api = Api(reviewer)
    first = api.get(limit=2, sort="oldest").json()
    assert len(api.get(limit=2, sort="oldest", cursor=first["next"]).json()["items"]) == 1
    assert api.get(limit=2, cursor=first["next"]).json()["code"] == "bad_cursor"


# --- rules ----------------------------------------------------------------------------------------
@pytest.fixture
def keeper(requester: User) -> User:
    """May put rules, as operators may."""
    user = person("keeper", "first")
    return permit(user, "add_approvalrule", "change_approvalrule", "view_approvalrule")


def test_a_rule_is_tried_put_and_listed_with_its_versions(keeper: User) -> None:
    api = Api(keeper)
    body = {"kind": KIND, "currency": "NGN", "bands": [{"above": "500.00", "tiers": [TIER]}]}
    status, seen = api.send("/rules/preview", {**body, "amount": "600.00"})
    assert status == 200
    assert (seen["before"], seen["changed"]) == (1, True)
    assert [band["matches"] for band in seen["bands"]] == [False, True]
    assert ApprovalRule.objects.count() == 1

    status, made = api.send("/rules", body)
    assert (status, made["version"], made["active"]) == (200, 2, True)
    assert made["put_by"]["username"] == "keeper"
    assert made["words"][0] == "up to NGN\u00a0500.00: no signature"
    entry = AuditEntry.objects.filter(action="approval.rule_put").latest("id")
    assert (entry.via, entry.actor_id, entry.outcome) == ("api", keeper.audit_id, "done")
    # Twice is once.
    assert api.send("/rules", body)[1]["id"] == made["id"]
    listed = api.get("/rules", kind=KIND).json()["items"]
    assert [(r["version"], r["active"]) for r in listed] == [(2, True), (1, False)]
    assert [r["version"] for r in api.get("/rules", active="true").json()["items"]] == [2]


def test_who_may_not_put_rules_is_refused_and_that_is_recorded(
    reviewer: User, keeper: User
) -> None:
    body = {"kind": KIND, "currency": "NGN", "bands": []}
    api = Api(reviewer)
    assert api.send("/rules", body)[1]["code"] == "permission_denied"
    entry = AuditEntry.objects.get(action="approval.rule_put", outcome="refused")
    assert (entry.code, entry.actor_id) == ("permission_denied", reviewer.audit_id)
    assert api.get("/rules").json()["code"] == "permission_denied"
    assert api.send("/rules/preview", body)[1]["code"] == "permission_denied"
    narrow = Api(keeper, "approvals:read", "approvals:write")
    assert narrow.send("/rules", body)[1]["code"] == "scope_missing"
    assert ApprovalRule.objects.count() == 1


def test_to_change_a_rule_is_not_to_make_one(requester: User) -> None:
    api = Api(permit(person("changer"), "change_approvalrule"))
    body: dict[str, Any] = {"kind": KIND, "currency": "NGN", "bands": []}
    assert api.send("/rules", {**body, "scope": "new"})[1]["code"] == "permission_denied"
    assert api.send("/rules", body)[0] == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "nothing"}, "unknown_kind"),
        ({"bands": [{"above": 5, "tiers": [TIER]}]}, "above_invalid"),
        ({"bands": [{"tiers": [{"group": "nobody"}]}]}, "group_unknown"),
        ({"bands": [{"tiers": [TIER], "due_hours": 1e300}]}, "due_hours_invalid"),
        ({"bands": "none"}, "validation_error"),
        ({"currency": "€"}, "currency_invalid"),
    ],
)
def test_a_rule_that_is_none_is_refused(keeper: User, change: dict[str, Any], code: str) -> None:
    body = {"kind": KIND, "currency": "NGN", "bands": [], **change}
    for path in ("/rules", "/rules/preview"):
        assert refused_at(keeper, path, json.dumps(body)) == (422, code), path


def test_a_rule_with_a_number_that_no_computer_holds_is_no_json(keeper: User) -> None:
    band = {"tiers": [TIER], "due_hours": float("inf")}
    body = {"kind": KIND, "currency": "NGN", "bands": [band]}
    text = json.dumps(body).replace("Infinity", "1e999")
    for path in ("/rules", "/rules/preview"):
        assert refused_at(keeper, path, text) == (400, "malformed_json"), path


def refused_at(user: User, path: str, text: str) -> tuple[int, str]:
    answer = Api(user).client.post(f"{ROOT}{path}", text, content_type="application/json")
    return answer.status_code, answer.json()["code"]


# --- beside a request -----------------------------------------------------------------------------
def test_the_timeline_comes_in_pages_for_who_may_see_the_request(
    requester: User, reviewer: User
) -> None:
    request = opened(requester, workflow_id="")
    services.claim_take(request_id=request.pk, by=reviewer, via="api", as_of=timezone.now())
    decide(request, reviewer)
    api = Api(reviewer)
    first = api.get(f"/{request.pk}/timeline", limit=2).json()
    second = api.get(f"/{request.pk}/timeline", limit=2, cursor=first["next"]).json()
    texts = [line["text"] for line in first["items"] + second["items"]]
    assert texts == ["Approved", "Took it on", "Asked for a signature"]
    assert second["next"] is None
    assert (first["engine"], first["degraded"]) == ([], False)
    stranger = Api(person("stranger"))
    assert stranger.get(f"/{request.pk}/timeline").json()["code"] == "not_found"


def test_one_request_says_who_has_it_open(
    requester: User, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = opened(requester)
    topics: list[str] = []

    def present(topic: str) -> list[int]:
        topics.append(topic)
        return [reviewer.pk]

    monkeypatch.setattr("apps.approvals.api.requests.present", present)
    seen = Api(requester).get(f"/{request.pk}").json()
    assert [one["username"] for one in seen["present"]] == ["reviewer"]
    assert topics == [f"request:{request.pk}"]


# --- bulk -----------------------------------------------------------------------------------------
def test_a_bulk_preview_says_what_would_happen_to_each(requester: User, reviewer: User) -> None:
    group("second")
    small, large = opened(requester), opened(requester, amount="60000.00")
    own = opened(reviewer)
    hidden = "01890000-0000-7000-8000-000000000000"
    api = Api(reviewer, "approvals:read")
    ids = [str(small.pk), str(large.pk), str(own.pk), hidden]
    status, seen = api.send("/bulk-preview", {"ids": ids})
    assert status == 200
    lines = {line["id"]: line for line in seen["signable"]}
    assert set(lines) == {str(small.pk), str(large.pk)}
    assert lines[str(small.pk)]["after"] == ""
    assert "first" in lines[str(large.pk)]["after"]
    assert lines[str(small.pk)]["payload_hash"] == small.payloads.get().hash
    (barred,) = seen["barred"]
    assert (barred["id"], barred["code"]) == (str(own.pk), "requester_cannot_sign")
    assert [Decimal(one["amount"]) for one in seen["sums"]] == [Decimal("62000.00")]
    assert AuditEntry.objects.filter(action="approval.signed").count() == 0

    status, seen = api.send("/bulk-preview", {"query": "least=50000"})
    assert [line["id"] for line in seen["signable"]] == [str(large.pk)]
    assert api.send("/bulk-preview", {"query": "least=no"})[1]["signable"] == []
    assert Api(reviewer, "audit:read").send("/bulk-preview", {})[1]["code"] == "scope_missing"


def test_operators_put_rules_and_nobody_else_of_the_roles() -> None:
    names = ("add_approvalrule", "change_approvalrule")
    may = Permission.objects.filter(codename__in=names, group__isnull=False)
    assert {*may.values_list("group__name", "codename")} == {("operator", name) for name in names}
    assert not Permission.objects.filter(codename="delete_evidence", group__isnull=False).exists()
