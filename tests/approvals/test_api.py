import json
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.services import api_key_create
from apps.approvals.models import ApprovalRequest
from apps.audit.models import AuditEntry
from tests.approvals.world import KIND, decide, fresh, opened, person, rule

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/approvals"
#: Of the decision that settles a request, through the API.
STATEMENTS = 18


class Api:
    """The API as one person, by a key."""

    def __init__(self, user, *scopes: str) -> None:
        _, self.key = api_key_create(
            user=user, name="test", scopes=list(scopes or ["all"]), by=user
        )
        self.client = Client(headers={"X-API-Key": self.key})

    def get(self, path: str = "", **query):
        return self.client.get(f"{ROOT}{path}", query)

    def post(self, path: str, body):
        return self.client.post(f"{ROOT}{path}", json.dumps(body), content_type="application/json")

    def decide(self, request, **body):
        return self.post(f"/{request.pk}/decide", body)


@pytest.fixture
def requester(db):
    rule()
    return person("requester")


@pytest.fixture
def reviewer(requester):
    return person("reviewer", "first", first_name="Ngozi", last_name="Okafor")


def test_a_request_is_read_signed_and_shown_as_decided(requester, reviewer):
    api, request = Api(reviewer), opened(requester)
    seen = api.get(f"/{request.pk}").json()
    assert seen["status"] == "open"
    assert seen["amount"] == "2000.00"
    assert seen["payload"] == {"amount": "2000.00", "target": "Ngozi Okafor"}
    assert seen["can_sign"] == ""
    assert seen["who_signs_next"] == "one signature by first"
    assert seen["facts"] == [
        {"label": "Left in the budget", "value": "NGN 5.00", "tone": "warning", "href": ""}
    ]
    assert seen["tier_states"] == [
        {"number": 1, "group": "first", "quorum": 1, "signed": 0, "state": "current"}
    ]
    answer = api.decide(
        request, verdict="approve", reason="all there", payload_hash=seen["payload_hash"]
    )
    assert answer.status_code == 200
    decided = answer.json()
    assert (decided["status"], decided["can_sign"]) == ("approved", "already_decided")
    assert decided["settled_by"] == {"username": "reviewer", "name": "Ngozi Okafor"}
    (signature,) = decided["signatures"]
    assert (signature["reason"], signature["via"], signature["counts"]) == (
        "all there",
        "api",
        True,
    )
    assert AuditEntry.objects.get(action="approval.approved").via == "api"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"verdict": "maybe"}, 422, "bad_verdict"),
        ({"reason": ""}, 422, "reason_required"),
        ({"reason": "x" * 2001}, 422, "reason_too_long"),
        ({"reason": "x" * 30_000}, 422, "validation_error"),
        ({"reason": "a\x00b"}, 422, "invalid_text"),
        ({"payload_hash": "0" * 64}, 409, "payload_changed"),
        ({"verdict": 3}, 422, "validation_error"),
        ({"reason": None}, 422, "validation_error"),
    ],
)
def test_a_refusal_is_a_problem_document_with_a_stable_code(
    requester, reviewer, body, status, code
):
    request = opened(requester)
    whole = {
        "verdict": "approve",
        "reason": "all there",
        "payload_hash": request.payloads.get().hash,
        **body,
    }
    answer = Api(reviewer).decide(request, **whole)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Content-Type"].startswith("application/problem+json")
    assert fresh(request).status == "open"


def test_too_late_is_told_who_and_when_in_the_problem_document(requester, reviewer):
    request = opened(requester)
    decided = decide(request, reviewer)
    problem = (
        Api(person("late", "first"))
        .decide(request, verdict="approve", reason="too", payload_hash=request.payloads.get().hash)
        .json()
    )
    assert (problem["code"], problem["status"]) == ("already_decided", 409)
    assert problem["request_status"] == "approved"
    assert problem["decided_by"] == "Ngozi Okafor"
    assert problem["decided_at"] == decided.settled_at.isoformat()


def test_the_requesters_own_signature_is_refused_and_audited(requester):
    request = opened(requester)
    answer = Api(requester).decide(
        request, verdict="approve", reason="mine", payload_hash=request.payloads.get().hash
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "requester_cannot_sign")
    entry = AuditEntry.objects.get(action="approval.decide", outcome="refused")
    assert (entry.code, entry.via, entry.actor_id) == (
        "requester_cannot_sign",
        "api",
        requester.audit_id,
    )


def test_who_may_not_see_a_request_gets_404_everywhere(requester):
    request, api = opened(requester), Api(person("outsider"))
    assert api.get(f"/{request.pk}").status_code == 404
    assert api.get(f"/{uuid4()}").status_code == 404
    answer = api.decide(request, verdict="approve", reason="x", payload_hash="x")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert api.get().json() == {"items": [], "next": None}


def test_a_requester_reads_their_own(requester):
    request = opened(requester)
    assert Api(requester).get(f"/{request.pk}").json()["can_sign"] == "requester_cannot_sign"
    assert [item["id"] for item in Api(requester).get().json()["items"]] == [str(request.pk)]


def test_a_key_does_what_its_scopes_say(requester, reviewer):
    request = opened(requester)
    reader, decider = Api(reviewer, "approvals:read"), Api(reviewer, "approvals:decide")
    body = {
        "verdict": "approve",
        "reason": "all there",
        "payload_hash": request.payloads.get().hash,
    }
    assert decider.get().json()["code"] == "scope_missing"
    assert reader.decide(request, **body).json()["code"] == "scope_missing"
    assert reader.get().status_code == decider.decide(request, **body).status_code == 200
    assert Client().get(ROOT).status_code == 401


def test_a_list_goes_on_by_cursor_without_gaps_or_repeats(requester, reviewer):
    made = [str(opened(requester).pk) for _ in range(7)]
    api, seen, cursor = Api(reviewer), [], None
    while True:
        answer = api.get(**{"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        seen += [item["id"] for item in answer["items"]]
        opened(requester)  # what comes in at the top does not move the rest
        if not (cursor := answer["next"]):
            break
    assert seen == made[::-1]


def test_filters_narrow_the_list(requester, reviewer):
    waiting, done, own = opened(requester), opened(requester), opened(reviewer)
    decide(done, reviewer)
    api = Api(reviewer)

    def ids(**query):
        return {item["id"] for item in api.get(**query).json()["items"]}

    assert ids(status="open") == {str(waiting.pk), str(own.pk)}
    assert ids(status="approved") == {str(done.pk)}
    assert ids(mine="true") == {str(waiting.pk)}
    assert ids(kind=KIND, status="open", mine="false") == {str(waiting.pk), str(own.pk)}
    assert ids(kind="test.other") == set()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"status": "nonsense"}, "validation_error"),
        ({"mine": "perhaps"}, "validation_error"),
        ({"kind": "x' OR 1=1 --"}, "validation_error"),
        ({"kind": "x" * 61}, "validation_error"),
        ({"limit": "0"}, "validation_error"),
        ({"limit": "201"}, "validation_error"),
        ({"cursor": "nonsense"}, "bad_cursor"),
        ({"cursor": "\x00"}, "bad_cursor"),
        ({"cursor": "x" * 501}, "validation_error"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(requester, reviewer, query, code):
    answer = Api(reviewer).get(**query)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize("identifier", ["1", "nonsense", "%00", "0190a0a0-0000-7000-8000"])
def test_an_address_that_is_no_request_is_refused(requester, reviewer, identifier):
    assert Api(reviewer).get(f"/{identifier}").status_code in {404, 422}


def test_a_list_costs_the_same_queries_for_one_row_and_for_fifty(requester, reviewer):
    api = Api(reviewer)
    opened(requester)

    def queries(path: str = "", **query) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert api.get(path, **query).status_code == 200
        return len(captured)

    queries()  # the key's last use is noted now and then
    one, mine = queries(), queries(mine="true")
    for _ in range(20):
        decide(opened(requester), reviewer)
        opened(person(f"requester{ApprovalRequest.objects.count()}"))
    request = opened(requester, "60000.00")
    decide(request, reviewer)
    assert (queries(), queries(mine="true")) == (one, mine)
    assert one <= 5
    # The person's groups, what is delegated to them, and claims of who could not sign any more.
    assert mine <= 8
    # The request, its payloads and signatures, the workflow's state, permission, group, and what
    # is delegated.
    assert queries(f"/{request.pk}") <= one + 6


def test_a_decision_costs_few_statements_whoever_has_signed_before(requester, reviewer):
    """The baseline: people wait for this, so one more statement is a decision, not an accident."""
    senior = person("senior", "second")
    rule([{"above": None, "tiers": [{"group": "first", "quorum": 2}, {"group": "second"}]}])
    signers = [reviewer, person("another", "first"), senior]
    one, other = opened(requester), opened(requester)

    def statements(api: Api, request: ApprovalRequest) -> list[str]:
        body = {"verdict": "approve", "reason": "all there"}
        body["payload_hash"] = request.payloads.get().hash
        with CaptureQueriesContext(connection) as captured:
            assert api.decide(request, **body).status_code == 200
        return [query["sql"][:80] for query in captured if "SAVEPOINT" not in query["sql"]]

    for signer in signers:
        api = Api(signer)
        statements(api, one)  # the key's last use is noted now and then
        last = statements(api, other)
    assert fresh(one).status == fresh(other).status == "approved"
    # The key; the permissions; the request, which is locked and read with its versions, signatures
    # and people; its workflow; the group; signature, request, audit entry, webhooks, message and
    # signals; then for the answer the rule and what is asked.
    assert len(last) <= STATEMENTS, last
