"""The pages and the API of bulk decisions."""

import json
import re
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import services
from apps.approvals.models import ApprovalRequest, BulkDecision
from apps.live import topics
from tests.approvals.test_api import ROOT, Api
from tests.approvals.test_bulk import begin, hash_of, outcomes, work
from tests.approvals.world import fresh, opened, person, rule

pytestmark = pytest.mark.django_db


@pytest.fixture
def requester() -> User:
    rule()
    return person("requester")


@pytest.fixture
def reviewer(requester: User) -> User:
    return person("reviewer", "first")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return unescape(re.sub(r"\s+", " ", response.content.decode()))


def form_of(page: str, **changes: Any) -> dict[str, Any]:
    """What the preview's form sends as the page gave it out."""
    key = re.search(r'name="key" value="([^"]+)"', page)
    ids = re.search(r'name="ids" value="([^"]*)"', page)
    assert key
    assert ids
    return {
        "key": key[1],
        "ids": ids[1],
        "item": re.findall(r'name="item" form="bulk-run" value="([^"]+)" checked', page),
        "verdict": "approve",
        "reason": "One shipment.",
        **changes,
    }


def post(api: Api, path: str, body: Any, **headers: str) -> Any:
    return api.client.post(
        f"{ROOT}{path}", json.dumps(body), content_type="application/json", headers=headers
    )


def body_of(*requests: ApprovalRequest, **changes: Any) -> dict[str, Any]:
    items = [{"id": str(one.pk), "payload_hash": hash_of(one)} for one in requests]
    return {"verdict": "approve", "reason": "One shipment.", "items": items, **changes}


class TestPages:
    def test_from_the_ticks_over_the_preview_to_the_outcomes(self, requester, reviewer):
        one, two, own = opened(requester), opened(requester), opened(reviewer)
        client = signed_in(reviewer)
        page = text(client.post("/inbox/bulk/", {"ids": [one.pk, two.pk, own.pk]}))
        assert "2 can be signed by you, 1 cannot" in page
        assert "Nobody signs what they asked for." in page
        assert "NGN 4,000.00" in page
        form = form_of(page)
        assert len(form["item"]) == 2
        begun = client.post("/inbox/bulk/run/", form)
        bulk = BulkDecision.objects.get()
        assert begun.headers["Location"] == f"/bulk/{bulk.pk}/"
        assert (bulk.via, bulk.total, bulk.requested_by) == ("page", 2, reviewer)
        # The same form again is the same bulk decision.
        assert client.post("/inbox/bulk/run/", form).headers["Location"] == f"/bulk/{bulk.pk}/"
        page = text(client.get(f"/bulk/{bulk.pk}/"))
        assert "0 of 2 decided" in page
        assert "waits for a worker" in page
        work(bulk)
        page = text(client.get(f"/bulk/{bulk.pk}/live/"))
        assert "2 of 2 decided" in page
        assert page.count("badge tone-good") >= 2
        assert "Approve 2 requests" in text(client.get("/bulk/"))

    def test_only_what_is_ticked_is_signed_and_only_as_it_was_seen(self, requester, reviewer):
        one, two, three = (opened(requester, f"{n}000.00") for n in (2, 3, 4))
        client = signed_in(reviewer)
        form = form_of(text(client.post("/inbox/bulk/", {"ids": [one.pk, two.pk, three.pk]})))
        kept = [item for item in form["item"] if not item.startswith(str(two.pk))]
        # The page has shown another payload than the one that is asked now.
        stale = [item.replace(hash_of(three), "0" * 64) for item in kept]
        client.post("/inbox/bulk/run/", {**form, "item": stale})
        work(BulkDecision.objects.get())
        assert fresh(one).status == "approved"
        assert fresh(two).status == fresh(three).status == "open"
        assert sorted(outcomes(BulkDecision.objects.get())) == ["done", "payload_changed"]

    def test_a_form_that_is_refused_keeps_ticks_and_words(self, requester, reviewer):
        one, two = opened(requester), opened(requester)
        client = signed_in(reviewer)
        form = form_of(text(client.post("/inbox/bulk/", {"ids": [one.pk, two.pk]})))
        answer = client.post(
            "/inbox/bulk/run/", {**form, "item": form["item"][:1], "verdict": "", "reason": "Mine."}
        )
        assert answer.status_code == 422
        again = form_of(text(answer))
        assert again["key"] == form["key"]
        assert again["item"] == form["item"][:1]
        assert "Mine." in text(answer)
        none = client.post("/inbox/bulk/run/", {**form, "item": []})
        assert none.status_code == 422
        assert "Nothing is ticked" in text(none)
        for bad in ({"key": "\x00"}, {"reason": ""}, {"reason": "a\x00"}, {"reason": "x" * 2001}):
            assert client.post("/inbox/bulk/run/", {**form, **bad}).status_code == 422, bad
        for item in ("nonsense", f"{one.pk}", f"{one.pk}:\x00:", f"{one.pk}:{'x' * 99}:1"):
            answer = client.post("/inbox/bulk/run/", {**form, "item": [item]})
            assert answer.status_code == 422, item
        assert BulkDecision.objects.count() == 0

    def test_all_that_match_the_filters_of_the_inbox(self, requester, reviewer):
        small, _ = opened(requester), opened(requester, "9000.00")
        client = signed_in(reviewer)
        page = text(client.post("/inbox/bulk/", {"all": "1", "query": "mine=on&most=5000"}))
        assert "1 can be signed by you" in page
        assert str(small.pk) in page
        client.post("/inbox/bulk/", {"all": "1", "query": "\x00=\x00&least=nonsense"})

    def test_what_is_no_choice_leads_back_to_the_inbox(self, requester, reviewer):
        client = signed_in(reviewer)
        for answer in (
            client.get("/inbox/bulk/"),
            client.post("/inbox/bulk/"),
            client.post("/inbox/bulk/", {"ids": ["nonsense", "\x00"]}),
        ):
            assert answer.headers["Location"] == "/inbox/"
        # Where somebody is led who signed in again in the middle of a bulk decision.
        assert client.get("/inbox/bulk/run/").headers["Location"] == "/inbox/"
        assert client.put("/inbox/bulk/run/").status_code == 405

    def test_the_outcomes_by_tab_and_page_by_page(self, requester, reviewer):
        own = [opened(reviewer) for _ in range(3)]
        bulk = begin(reviewer, [*own, *(opened(requester) for _ in range(52))])
        client = signed_in(reviewer)
        work(bulk, limit=54)
        address = f"/bulk/{bulk.pk}/"
        refused = text(client.get(address, {"show": "refused"}))
        assert refused.count('data-code="requester_cannot_sign"') == 3
        assert "54 of 55 decided" in refused
        first = text(client.get(address))
        assert first.count('class="row-title"') == 50
        assert "?after=50" in first
        assert text(client.get(address, {"after": "50"})).count('class="row-title"') == 5
        assert text(client.get(address, {"show": "left"})).count('class="row-title"') == 1
        for query in ({"after": "\x00"}, {"after": "9" * 30}, {"show": "nonsense"}):
            assert client.get(address, query).status_code == 200

    def test_stop_and_go_on_by_the_buttons(self, requester, reviewer):
        bulk = begin(reviewer, [opened(requester) for _ in range(3)])
        client = signed_in(reviewer)
        work(bulk, limit=1)
        page = text(client.post(f"/bulk/{bulk.pk}/stop/", follow=True))
        assert "Stopped. What was signed stays signed" in page
        assert "Go on with the 2 left" in page
        page = text(client.post(f"/bulk/{bulk.pk}/resume/", follow=True))
        assert "It goes on with what was left." in page
        assert "Nothing was changed" in text(client.post(f"/bulk/{bulk.pk}/resume/", follow=True))
        work(bulk)
        assert "Nothing was changed" in text(client.post(f"/bulk/{bulk.pk}/stop/", follow=True))

    def test_it_is_seen_by_its_person_and_auditors_alone(self, requester, reviewer):
        bulk = begin(reviewer, [opened(requester)])
        from django.contrib.auth.models import Permission

        auditor = person("auditor", "looks")
        auditor.user_permissions.add(Permission.objects.get(codename="view_auditentry"))
        auditor = User.objects.get(pk=auditor.pk)
        colleague = signed_in(person("colleague", "first"))
        for path in ("", "live/"):
            assert colleague.get(f"/bulk/{bulk.pk}/{path}").status_code == 404
            assert signed_in(auditor).get(f"/bulk/{bulk.pk}/{path}").status_code == 200
        for path in ("stop/", "resume/"):
            assert colleague.post(f"/bulk/{bulk.pk}/{path}").status_code == 404
            assert signed_in(auditor).post(f"/bulk/{bulk.pk}/{path}").status_code == 404
        assert "Stop</button>" not in text(signed_in(auditor).get(f"/bulk/{bulk.pk}/"))
        assert "You have made no bulk decision yet" in text(colleague.get("/bulk/"))
        assert Client().get(f"/bulk/{bulk.pk}/").status_code == 302
        topic = topics.parse(f"bulk:{bulk.pk}")
        assert topic is not None
        seen = [topic[0].visible_to(user, topic[1]) for user in (reviewer, auditor)]
        assert seen == [True, True]
        assert not topic[0].visible_to(User.objects.get(username="colleague"), topic[1])

    def test_the_preview_of_many_asks_little_more_than_twice_for_each(self, requester, reviewer):
        client = signed_in(reviewer)

        def queries(number: int) -> int:
            ids = [opened(requester).pk for _ in range(number)]
            with CaptureQueriesContext(connection) as captured:
                assert client.post("/inbox/bulk/", {"ids": ids}).status_code == 200
            return len(captured)

        queries(1)
        assert queries(20) - queries(10) <= 10 * 2


class TestApi:
    def test_begin_look_stop_resume(self, requester, reviewer):
        api, requests = Api(reviewer), [opened(requester), opened(requester), opened(reviewer)]
        answer = post(api, "/bulk-decide", body_of(*requests), **{"Idempotency-Key": "k-1"})
        assert answer.status_code == 202
        begun = answer.json()
        bulk = BulkDecision.objects.get()
        assert begun == {
            "id": str(bulk.pk),
            "workflow_id": f"bulk-{bulk.pk}",
            "status": "pending",
            "total": 3,
        }
        again = post(api, "/bulk-decide", body_of(*requests), **{"Idempotency-Key": "k-1"})
        assert (again.status_code, again.json()["id"]) == (202, begun["id"])
        other = post(api, "/bulk-decide", body_of(requests[0]), **{"Idempotency-Key": "k-1"})
        assert (other.status_code, other.json()["code"]) == (409, "key_reused")
        assert post(api, "/bulk-decide", body_of(*requests)).json()["id"] != begun["id"]

        place = f"/bulk-decisions/{begun['id']}"
        work(bulk, limit=1)
        assert post(api, f"{place}/resume", {}).json()["code"] == "already_running"
        assert post(api, f"{place}/stop", {}).json()["status"] == "stopped"
        resumed = post(api, f"{place}/resume", {}).json()
        assert (resumed["status"], resumed["workflow_id"]) == ("pending", f"bulk-{bulk.pk}-2")
        work(bulk)
        ended = api.get(place).json()
        assert (ended["status"], ended["done"], ended["failed"], ended["left"]) == (
            "completed",
            2,
            1,
            0,
        )
        first = api.get(f"{place}/items", limit=2).json()
        assert [item["status"] for item in first["items"]] == ["done", "done"]
        (last,) = api.get(f"{place}/items", cursor=first["next"]).json()["items"]
        assert (last["number"], last["code"]) == (3, "requester_cannot_sign")
        assert last["detail"]
        failed = api.get(f"{place}/items", status="failed").json()
        assert [item["request"] for item in failed["items"]] == [str(requests[2].pk)]
        assert post(api, f"{place}/stop", {}).json()["code"] == "already_completed"
        assert [one["id"] for one in api.get("/bulk-decisions").json()["items"]][1] == begun["id"]

    @pytest.mark.parametrize(
        ("changes", "status", "code"),
        [
            ({"verdict": "maybe"}, 422, "bad_verdict"),
            ({"items": []}, 422, "no_items"),
            ({"items": None}, 422, "validation_error"),
            ({"items": [{"id": "x", "payload_hash": "y"}]}, 422, "validation_error"),
            ({"reason": "a\x00b"}, 422, "invalid_text"),
            ({"unknown": 1}, 422, "validation_error"),
        ],
    )
    def test_a_body_that_cannot_be_meant(self, requester, reviewer, changes, status, code):
        answer = post(Api(reviewer), "/bulk-decide", body_of(opened(requester), **changes))
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert BulkDecision.objects.count() == 0

    def test_what_is_not_there_or_not_yours(self, requester, reviewer):
        one = opened(requester)
        outsider = Api(person("outsider"))
        answer = post(outsider, "/bulk-decide", body_of(one))
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_request")
        bulk = begin(reviewer, [one])
        colleague = Api(person("colleague", "first"))
        for path in ("", "/items"):
            assert colleague.get(f"/bulk-decisions/{bulk.pk}{path}").status_code == 404
        for verb in ("stop", "resume"):
            assert post(colleague, f"/bulk-decisions/{bulk.pk}/{verb}", {}).status_code == 404
        mine = Api(reviewer)
        for cursor in ("x", "-1", "9" * 10, "\x00"):
            answer = mine.get(f"/bulk-decisions/{bulk.pk}/items", cursor=cursor)
            assert answer.status_code == 422, cursor
        unknown = body_of(one)
        unknown["items"][0]["on_behalf_of"] = "nobody"
        assert post(mine, "/bulk-decide", unknown).json()["code"] == "authority_invalid"

    def test_a_key_needs_the_scope(self, requester, reviewer):
        one = opened(requester)
        reader = Api(reviewer, "approvals:read")
        assert post(reader, "/bulk-decide", body_of(one)).json()["code"] == "scope_missing"
        bulk = begin(reviewer, [one])
        assert reader.get(f"/bulk-decisions/{bulk.pk}").status_code == 200
        stop = post(reader, f"/bulk-decisions/{bulk.pk}/stop", {})
        assert stop.json()["code"] == "scope_missing"

    def test_on_behalf_of_somebody_who_delegated_nothing_is_refused_for_that_item(
        self, requester, reviewer
    ):
        one, two = opened(requester), opened(requester)
        person("boss", "first")
        body = body_of(one, two)
        body["items"][0]["on_behalf_of"] = "boss"
        post(Api(reviewer), "/bulk-decide", body)
        bulk = BulkDecision.objects.get()
        work(bulk)
        assert outcomes(bulk) == ["no_delegation", "done"]


def test_a_bulk_decision_that_is_stopped_says_when(requester: User, reviewer: User) -> None:
    bulk = begin(reviewer, [opened(requester)])
    now = timezone.now()
    stopped = services.bulk_stop(bulk_id=bulk.pk, by=reviewer, via="api", as_of=now)
    assert stopped.settled_at == now
