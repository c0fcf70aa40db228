"""Policies as people and programs see them: pages, API, admin; and regions at every door."""

import re
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import ApprovalRule
from apps.approvals.rules import rule_put
from apps.common.errors import Conflict
from apps.common.identifiers import new_id
from apps.common.pagination import page as page_of
from apps.common.windows import site_day
from apps.interventions.models import Intervention, Policy
from apps.interventions.services import policies
from apps.interventions.services.policy_terms import signatures_of
from apps.live import broadcast as broadcast_module
from apps.live.topics import parse
from tests.interventions.conftest import World
from tests.interventions.test_api import BODY, Caller
from tests.interventions.test_api import URL as INTERVENTIONS
from tests.interventions.test_policies import put
from tests.plans import plan_by_index

URL = "/api/v1/policies"
FULL: dict[str, Any] = {
    "min_amount": Decimal("100"),
    "target_limit": Decimal("750000"),
    "target_days": 30,
    "valid_from": date(2026, 1, 1),
    "valid_until": date(2099, 12, 31),
    "regions": ["NG-KO", "BR"],
}


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def reviewer(world: World) -> Client:
    return browser_of(world.people["reviewer"])


@pytest.fixture
def admin(world: World) -> Client:
    return browser_of(world.people["admin"])


def text(response: Any) -> str:
    return str(response.content.decode())


# --- pages ----------------------------------------------------------------------------------------
def test_the_list_tells_limits_regions_and_signatures(world: World, reviewer: Client) -> None:
    put(**FULL)
    page = text(reviewer.get("/policies/"))
    assert "NGN\u00a0100.00 to NGN\u00a01,000,000.00" in page
    assert "up to NGN\u00a0750,000.00 within 30 days" in page
    assert "1 Jan 2026 to 31 Dec 2099" in page
    assert "BR, NG-KO" in page
    assert "up to NGN\u00a010,000.00: no signature" in page
    assert "one signature by reviewer, then one by senior reviewer" in page
    assert "not possible: the money is gone" in page, "of the policy `grant`"
    assert 'href="/policies/"' in page, "in the navigation"


def test_the_list_costs_as_many_questions_however_many_policies_there_are(
    world: World, reviewer: Client, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(50) as first:
        reviewer.get("/policies/")
    for number in range(12):
        world.policy(f"more-{number}")
    with django_assert_max_num_queries(len(first.captured_queries)):
        assert text(reviewer.get("/policies/")).count('class="row-title"') == 14


def test_what_is_off_leaves_the_list_and_its_page_says_so(world: World, reviewer: Client) -> None:
    policies.policy_switch_off(code="relief", by=None, via="command")
    assert "/policies/relief/" not in text(reviewer.get("/policies/"))
    page = text(reviewer.get("/policies/relief/"))
    assert "Switched off." in page
    put()
    page = text(reviewer.get("/policies/relief/"))
    assert "Switched off." not in page
    assert "Activated again with the same terms." in page


def test_open_pages_are_told_of_a_new_version_and_of_switching_off(
    world: World, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    told: list[tuple[str, str, int]] = []

    def publish(message: dict[str, Any]) -> None:
        told.append((message["topic"], message["id"], message["version"]))

    monkeypatch.setattr(broadcast_module._publisher, "publish", publish)
    with django_capture_on_commit_callbacks(execute=True):
        version = put(max_amount=None).version
    assert told == [("policies", "relief", version), ("policy:relief", "relief", version)]
    told.clear()
    with django_capture_on_commit_callbacks(execute=True):
        policies.policy_switch_off(code="relief", by=None, via="command")
    assert [topic for topic, _, _ in told] == ["policies", "policy:relief"]
    told.clear()
    with (
        pytest.raises(Conflict, match="not active"),
        django_capture_on_commit_callbacks(execute=True),
    ):
        policies.policy_switch_off(code="relief", by=None, via="command")
    assert not [topic for topic, _, _ in told if topic.startswith("polic")]


def test_only_who_may_see_policies_watches_them(world: World) -> None:
    stranger = User.objects.create(username="stranger")
    for text_of_topic in ("policies", "policy:relief"):
        found = parse(text_of_topic)
        assert found is not None
        topic, identifier = found
        assert topic.visible_to(world.people["reviewer"], identifier)
        assert not topic.visible_to(stranger, identifier)


@pytest.mark.parametrize("path", ["/policies/", "/policies/relief/"])
def test_a_live_page_fetches_the_parts_that_it_shows(
    world: World, reviewer: Client, path: str
) -> None:
    page = text(reviewer.get(path))
    live = {"/policies/": "/policies/-/live/", "/policies/relief/": "/policies/relief/live/"}[path]
    assert f'hx-get="{live}"' in page
    put(**FULL)
    part = text(reviewer.get(live))
    assert "version 2" in re.sub("<[^>]+>", "", part)
    shown = {*re.findall(r'id="(policy[a-z-]*)" data-merge', page)}
    assert shown == {*re.findall(r'id="(policy[a-z-]*)" data-merge', part)}
    assert shown
    assert browser_of(User.objects.create(username="stranger")).get(live).status_code == 404
    assert Client().get(live).status_code == 401


def test_a_code_that_ends_in_live_keeps_its_pages(world: World, reviewer: Client) -> None:
    for number in range(22):
        put(code="alive", max_amount=Decimal(1000 + number))
    page = text(reviewer.get("/policies/alive/live/"))
    older = re.search(r'href="(/policies/alive/\?cursor=[^"]+)"', page)
    assert older
    assert "Version 2" in text(reviewer.get(unescape(older[1])))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"valid_from": 1}, "not yet valid"), ({"valid_until": -1}, "no longer valid")],
)
def test_before_and_after_its_days_the_page_says_so(
    world: World, reviewer: Client, changes: dict[str, int], words: str
) -> None:
    today = site_day(timezone.now())
    put(**{name: today + timedelta(days=n) for name, n in changes.items()})
    assert words in text(reviewer.get("/policies/relief/"))
    assert words in text(reviewer.get("/policies/"))


def test_the_page_tells_what_each_version_changed(world: World, reviewer: Client) -> None:
    put(**FULL)
    put(max_amount=None, **FULL)
    page = text(reviewer.get("/policies/relief/"))
    assert page.count("<h3>Version") == 3
    assert "The first version." in page
    changed = page.partition("<h3>Version 3")[2].partition("<h3>Version 2")[0]
    assert "Most of one request" in changed
    assert "NGN\u00a01,000,000.00" in changed
    assert "Least amount" not in changed
    older = page.partition("<h3>Version 2")[2].partition("<h3>Version 1")[0]
    assert "Least amount" in older and "BR, NG-KO" in older


def test_versions_are_paged_and_the_last_of_a_page_knows_what_it_changed(
    world: World, reviewer: Client
) -> None:
    for number in range(1, 26):
        put(min_amount=Decimal(number))
    page = text(reviewer.get("/policies/relief/"))
    assert page.count("<h3>Version") == 20
    last = page.partition("<h3>Version 7 ")[2]
    assert "NGN\u00a05.00" in last and "NGN\u00a06.00" in last
    address = page.partition('rel="next" href="')[2].partition('"')[0]
    older = text(reviewer.get(address))
    assert older.count("<h3>Version") == 6
    assert "The first version." in older


def test_pages_are_for_who_may_see_policies(world: World) -> None:
    stranger = browser_of(User.objects.create_user(username="nobody"))
    for address in ("/policies/", "/policies/relief/"):
        assert Client().get(address).status_code == 302
        assert stranger.get(address).status_code == 403
        assert browser_of(world.requester).get(address).status_code == 200
        assert browser_of(world.requester).post(address).status_code == 405
    for address in ("/policies/nothing/", "/policies/a%00b/", f"/policies/{'x' * 5000}/"):
        assert browser_of(world.requester).get(address).status_code == 404
    assert "/policies/" not in text(stranger.get("/"))


def test_without_a_rule_the_kinds_own_signatures_apply_and_the_general_rule_before_them(
    world: World,
) -> None:
    ApprovalRule.objects.all().delete()
    policy = Policy.objects.get(code="relief")
    assert signatures_of([policy]) == {"relief": ["any amount: one signature by reviewer"]}
    with transaction.atomic():
        rule_put(kind="intervention", scope="", currency="", bands=[], by=None)
    assert signatures_of([policy]) == {"relief": ["any amount: no signature"]}


# --- the API --------------------------------------------------------------------------------------
def test_the_api_tells_the_terms_and_the_versions(world: World) -> None:
    put(**FULL)
    caller = Caller(world.requester, "interventions:read")
    rows = caller.get(URL).json()
    assert [row["code"] for row in rows["items"]] == ["relief", "grant"]
    assert rows["next"] is None
    row = rows["items"][0]
    assert row["signatures"][0] == "up to NGN\u00a010,000.00: no signature"
    document = caller.get(f"{URL}/relief").json()
    assert {name: document[name] for name in row} == row
    assert {name: row[name] for name in FULL} == {
        "min_amount": "100.00",
        "target_limit": "750000.00",
        "target_days": 30,
        "valid_from": "2026-01-01",
        "valid_until": "2099-12-31",
        "regions": ["BR", "NG-KO"],
    }
    versions = document["versions"]
    assert [(one["version"], one["active"]) for one in versions] == [(2, True), (1, False)]
    assert versions[1]["min_amount"] is None
    first = caller.get(f"{URL}/relief", limit=1).json()
    assert [one["version"] for one in first["versions"]] == [2]
    second = caller.get(f"{URL}/relief", limit=1, cursor=first["next"]).json()
    assert [one["version"] for one in second["versions"]] == [1]
    policies.policy_switch_off(code="relief", by=None, via="command")
    assert caller.get(f"{URL}/relief").json()["active"] is False
    assert [one["code"] for one in caller.get(URL).json()["items"]] == ["grant"]


def test_the_api_refuses_strangers_and_knows_no_other_codes(world: World) -> None:
    stranger = Caller(User.objects.create_user(username="nobody"))
    for address in (URL, f"{URL}/relief"):
        refused = stranger.get(address)
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
        scoped = Caller(world.requester, "budgets:read").get(address)
        assert (scoped.status_code, scoped.json()["code"]) == (403, "scope_missing")
    for code in ("nothing", "a%00b", "%FF", "x" * 5000):
        assert Caller(world.requester).get(f"{URL}/{code}").status_code == 404
    bad = Caller(world.requester).get(URL, cursor="nonsense")
    assert (bad.status_code, bad.json()["code"]) == (422, "bad_cursor")


@pytest.mark.parametrize(
    ("changes", "body", "status", "code"),
    [
        ({"min_amount": Decimal("6000")}, {}, 422, "amount_below_limit"),
        ({"valid_from": date(2199, 1, 1)}, {}, 409, "policy_not_yet_valid"),
        ({"valid_until": date(2001, 1, 1)}, {}, 409, "policy_expired"),
        ({"regions": ["NG"]}, {}, 422, "region_required"),
        ({"regions": ["NG"]}, {"region": "BR-SP"}, 422, "region_not_covered"),
        (
            {"target_limit": Decimal("4999.99"), "target_days": 7},
            {},
            409,
            "target_limit_exceeded",
        ),
        ({}, {"region": "ng"}, 422, "validation_error"),
        ({}, {"region": "NG-KO\n"}, 422, "validation_error"),
        ({}, {"region": None}, 422, "validation_error"),
        ({}, {"region": 7}, 422, "validation_error"),
        ({}, {"region": ["NG"]}, 422, "validation_error"),
        ({}, {"region": "N" * 1_000_000}, 422, "validation_error"),
    ],
)
def test_a_request_against_the_terms_is_a_problem_with_its_code(
    world: World, changes: dict[str, Any], body: dict[str, Any], status: int, code: str
) -> None:
    put(**changes)
    answer = Caller(world.requester).post(INTERVENTIONS, BODY | body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Intervention.objects.exists()


def test_a_region_is_asked_for_and_told_by_the_api(world: World) -> None:
    put(regions=["NG"])
    caller = Caller(world.requester)
    made = caller.post(INTERVENTIONS, BODY | {"region": "NG-KO", "idempotency_key": "k"})
    assert made.status_code == 201
    again = caller.post(INTERVENTIONS, BODY | {"region": "NG-KO", "idempotency_key": "k"})
    assert (again.status_code, again.json()) == (200, made.json())
    other = caller.post(INTERVENTIONS, BODY | {"region": "NG-BE", "idempotency_key": "k"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert caller.get(f"{INTERVENTIONS}/{made.json()['id']}").json()["region"] == "NG-KO"
    assert caller.get(INTERVENTIONS).json()["items"][0]["region"] == "NG-KO"


def test_a_region_is_asked_for_and_shown_by_the_pages(world: World) -> None:
    put(regions=["NG"])
    client = browser_of(world.requester)
    form = {**BODY, "idempotency_key": "page-1"}
    refused = client.post("/interventions/new/", form)
    assert refused.status_code == 422
    assert 'data-code="region_required"' in text(refused)
    made = client.post("/interventions/new/", {**form, "region": "NG-KO"})
    assert made.status_code == 302
    assert "<dd>NG-KO</dd>" in text(client.get(made["Location"]))
    assert '<span class="cut">NG-KO</span>' in text(client.get("/interventions/"))
    for bad in ("\x00", "NGKOGI", "x" * 1000):
        assert client.post("/interventions/new/", {**form, "region": bad}).status_code == 422


# --- the admin ------------------------------------------------------------------------------------
ADMIN = "/admin/interventions/policy/"
FORM = {
    "code": "relief",
    "name": "Relief",
    "currency": "NGN",
    "reversible": "on",
    "min_amount": "10",
    "max_amount": "100",
    "target_limit": "500",
    "target_days": "7",
    "valid_from": "2026-01-01",
    "valid_until": "2026-12-31",
    "regions": "ng-ko, BR",
}


def test_every_term_can_be_put_in_the_admin(world: World, admin: Client) -> None:
    old = Policy.objects.get(code="relief")
    address = reverse("admin:interventions_policy_put_from", args=[old.pk])
    assert admin.post(address, FORM).status_code == 302
    new = Policy.objects.get(code="relief", active=True)
    assert (new.version, new.regions, new.target_days) == (2, ["BR", "NG-KO"], 7)
    assert (new.valid_from, new.valid_until) == (date(2026, 1, 1), date(2026, 12, 31))
    shown = text(admin.get(reverse("admin:interventions_policy_put_from", args=[new.pk])))
    assert 'value="BR, NG-KO"' in shown
    assert 'value="2026-12-31"' in shown
    assert admin.post(address, FORM).status_code == 302
    assert Policy.objects.filter(code="relief").count() == 2
    assert admin.get(ADMIN).status_code == 200


@pytest.mark.parametrize(
    "bad",
    [
        {"min_amount": "101"},
        {"min_amount": "NaN"},
        {"target_days": ""},
        {"target_days": "9" * 400},
        {"target_limit": "1e400"},
        {"valid_from": "2027-01-01"},
        {"valid_from": "10000-01-01"},
        {"valid_until": "\x00"},
        {"regions": "NG-KOGI"},
        {"regions": "NG\x00"},
        {"regions": "NG," * 400_000},
    ],
)
def test_a_form_that_makes_no_sense_makes_no_version(
    world: World, admin: Client, bad: dict[str, str]
) -> None:
    answer = admin.post(f"{ADMIN}put/", {**FORM, **bad})
    assert answer.status_code == 422
    assert Policy.objects.filter(code="relief").count() == 1


def test_switching_off_asks_for_the_reason_and_names_what_will_be_refused(
    world: World, admin: Client
) -> None:
    put(min_amount=Decimal("1"))
    old, new = Policy.objects.filter(code="relief").order_by("version")
    chosen = {"action": "switch_off", "_selected_action": [str(old.pk), str(new.pk)]}
    asked = text(admin.post(ADMIN, chosen))
    assert "Will be refused: It is an older version, or off already." in asked
    assert admin.post(ADMIN, {**chosen, "confirmed": "yes", "reason": ""}).status_code == 422
    assert Policy.objects.get(pk=new.pk).active
    only_old = {**chosen, "_selected_action": [str(old.pk)]}
    late = text(admin.post(ADMIN, {**only_old, "confirmed": "yes", "reason": "It has ended."}))
    assert 'data-code="version_changed"' in late
    assert Policy.objects.get(pk=new.pk).active
    done = text(admin.post(ADMIN, {**chosen, "confirmed": "yes", "reason": "It has ended."}))
    assert "Switched off: nobody can ask under it any more." in done
    assert not Policy.objects.filter(code="relief", active=True).exists()
    again = text(admin.post(ADMIN, {**chosen, "confirmed": "yes", "reason": "It has ended."}))
    assert again.count('data-code="policy_inactive"') == 2


def test_the_verb_and_the_form_are_for_who_keeps_policies(world: World) -> None:
    policy = Policy.objects.get(code="relief")
    somebody = User.objects.create_user(username="clerk", is_staff=True)
    somebody.groups.add(Group.objects.get(name="auditor"))
    client = browser_of(somebody)
    sent = {
        "action": "switch_off",
        "_selected_action": [str(policy.pk)],
        "confirmed": "yes",
        "reason": "x",
    }
    client.post(ADMIN, sent)
    policy.refresh_from_db()
    assert policy.active
    assert client.post(f"{ADMIN}put/", FORM).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(world.people["admin"])
    assert strict.post(ADMIN, sent).status_code == 403
    policy.refresh_from_db()
    assert policy.active


# --- the list of a region -------------------------------------------------------------------------
def test_a_list_of_a_region_has_its_parts_and_nothing_else(world: World) -> None:
    for number, region in enumerate(("NG", "NG-KO", "NG-NI", "NE", "BR-RJ", "")):
        world.ask(target=f"Target {number}", region=region)
    client = browser_of(world.people["auditor"])

    def found(region: str) -> list[str]:
        page = text(client.get("/interventions/", {"region": region}))
        return sorted(re.findall(r">(Target \d)<", page))

    assert found("NG") == ["Target 0", "Target 1", "Target 2"]
    assert found("ng-ko ") == ["Target 1"]
    assert found("BR") == ["Target 4"]
    assert found("GH") == []
    assert len(found("")) == 6
    caller = Caller(world.people["auditor"], "interventions:read")
    assert [one["region"] for one in caller.get(INTERVENTIONS, region="BR").json()["items"]] == [
        "BR-RJ"
    ]
    assert len(caller.get(INTERVENTIONS, region="NG").json()["items"]) == 3


@pytest.mark.parametrize("region", ["N", "NG_KO", "NG-", "Ó-1", "\x00", "NG-KO-1", "%"])
def test_what_is_no_region_is_said_and_lists_nothing(world: World, region: str) -> None:
    world.ask(region="NG-KO")
    page = browser_of(world.people["auditor"]).get("/interventions/", {"region": region})
    assert page.status_code == 200
    assert "do not make sense" in text(page)
    caller = Caller(world.people["auditor"], "interventions:read")
    assert caller.get(INTERVENTIONS, region=region).status_code == 422


@pytest.mark.parametrize(
    ("region", "index"), [("NG-KO", "intervention_region"), ("NG", "intervention_country")]
)
def test_a_page_of_a_region_is_read_from_its_index_in_order(
    world: World, region: str, index: str
) -> None:
    example = world.ask(region="NG-KO")
    fields = {
        field.attname: getattr(example, field.attname) for field in Intervention._meta.local_fields
    }
    now = timezone.now()
    Intervention.objects.bulk_create(
        Intervention(
            **fields
            | {
                "id": new_id(),
                "workflow_id": f"w-{number}",
                "region": "BR-RJ" if number % 50 else "NG-KO",
                "created_at": now - timedelta(minutes=number),
                "idempotency_key": "",
            }
        )
        for number in range(5000)
    )
    rows = Intervention.objects.in_region(region).for_list()
    with CaptureQueriesContext(connection) as captured:
        first = page_of(rows, cursor=None, limit=20)
        second = page_of(rows, cursor=first["next"], limit=20)
    assert {one.region for one in second["items"]} == {"NG-KO"}
    assert len(captured) == 2
    for query in captured:
        plan_by_index(query["sql"], index, ordered=True)
