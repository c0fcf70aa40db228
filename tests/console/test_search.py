"""The site's search: who finds what by which text, what a result says, and that indexes answer."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.approvals.models import ApprovalRequest, Delegation
from apps.audit.models import AuditEntry
from apps.common.compiled import Asked
from apps.common.identifiers import new_id
from apps.engine.models import EngineCommand, WorkflowRun
from apps.interventions.models import Intervention
from apps.web import search
from apps.web.search import Asking, Finder, Found, Source, asked_alone, held
from apps.web.search_query import LONGEST, Query
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.conftest import World
from tests.plans import plan_by_index

pytestmark = pytest.mark.django_db

#: Of nothing that a test makes.
STRANGE = "0198a0b0-1111-7111-8111-111111111111"


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine leaves nothing out."""
    monkeypatch.setattr(search, "MOST_MS", 600_000)
    monkeypatch.setattr(search, "MOST_SECONDS", 600.0)


@pytest.fixture
def asked(world: World) -> tuple[Intervention, ApprovalRequest]:
    """An intervention that waits for a signature, and its request."""
    return ask_to_sign(world, target="Makoko Health Post")


def found(client: Client, text: str) -> str:
    """The page of a search."""
    answer = client.get("/search/", {"q": text})
    assert answer.status_code == 200
    return answer.content.decode()


def links(page: str) -> list[str]:
    """Where the results lead."""
    return re.findall(r'class="row-title" href="([^"]+)"', page)


def keys(user: User, text: str) -> dict[str, list[str]]:
    """What the user finds, by source: the keys of the rows."""
    answer = search.search(user, Query(text), search.sources(user))
    assert answer.late == []
    return {group.source.key: [one.key for one in group.found] for group in answer.groups}


def run_of(workflow_id: str, **more: Any) -> WorkflowRun:
    return WorkflowRun.objects.create(
        workflow_id=workflow_id, run_id=f"run of {workflow_id}", workflow_type="Any", **more
    )


# --- by what --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "{pk}",
        "{PK}",
        "  {pk}\n",
        "{hex}",
        "{first}",
        "{workflow_id}",
        "{execution}",
        "intervention-{first}",
        "https://desk.example/interventions/{pk}/",
        "koko hea",
        "MAKOKO",
        "Makoko  Health",
        "ma",
        "he",
    ],
)
def test_what_was_asked_for_is_found_by_what_people_have_in_hand(
    as_person: AsPerson, asked: tuple[Intervention, ApprovalRequest], text: str
) -> None:
    intervention, _ = asked
    identifier = str(intervention.pk)
    text = text.format(
        pk=identifier,
        PK=identifier.upper(),
        hex=intervention.pk.hex,
        first=identifier[:23],
        workflow_id=intervention.workflow_id,
        execution=intervention.execution_workflow_id,
    )
    assert f"/interventions/{identifier}/" in links(found(as_person("reviewer"), text))


@pytest.mark.parametrize("text", ["{pk}", "{first}", "{subject}", "Health Post", "storm"])
def test_a_request_is_found_by_its_id_its_subject_and_what_it_says(
    world: World,
    as_person: AsPerson,
    asked: tuple[Intervention, ApprovalRequest],
    text: str,
) -> None:
    intervention, request = asked
    ApprovalRequest.objects.filter(pk=request.pk).update(search_text="After the storm, Health Post")
    text = text.format(pk=request.pk, first=str(request.pk)[:23], subject=intervention.pk)
    assert f"/requests/{request.pk}/" in links(found(as_person("reviewer"), text))
    world.decide(intervention)
    assert f"/requests/{request.pk}/" in links(found(as_person("reviewer"), text))


def test_codes_names_and_people_are_found(world: World, as_person: AsPerson) -> None:
    Intervention.objects.update(error_code="")
    row = world.ask(target="Somebody")
    Intervention.objects.filter(pk=row.pk).update(status="failed", error_code="budget_exceeded")
    admin = world.people["admin"]
    assert keys(admin, "budget_exceeded")["interventions"] == [str(row.pk)]
    assert (
        f"/interventions/{row.pk}/"
        in as_person("reviewer").get("/interventions/?error=budget_exceeded").content.decode()
    )
    assert keys(admin, "mai")["budgets"] == ["main"]
    assert keys(admin, "elie")["policies"] == ["relief"]
    assert keys(admin, "okafor ngo")["people"] == ["reviewer"]
    assert keys(admin, "Ng")["people"] == ["reviewer"]
    assert keys(admin, f"#{admin.pk}")["people"] == ["admin"]
    assert "/policies/" in links(found(as_person("reviewer"), "pol"))
    assert "/inbox/?kind=intervention" in links(found(as_person("requester"), "interv"))


def test_what_no_id_begins_with_is_not_looked_for_among_ids() -> None:
    now = str(new_id())
    for text in (now, now[:4], now[:13], f"intervention-{now}", STRANGE):
        assert Query(text).uuids, text
    # Ids of others: they may begin with anything.
    for text in ("1500", "ffff", "0000", "f3b0c442-98fc-4c14-9afb-f4c8996fb924", "f" * 32):
        assert Query(text).uuids is None, text


def test_a_number_is_a_part_of_a_name_as_well(world: World) -> None:
    row = world.ask(target="Invoice 20240115-07")
    for text in ("20240115", "20240115-07", "0115-07"):
        assert keys(world.people["admin"], text)["interventions"] == [str(row.pk)], text


def test_delegations_are_found_by_the_people_in_them(world: World, as_person: AsPerson) -> None:
    now = timezone.now()
    given = Delegation.objects.create(
        delegator=world.people["reviewer"],
        delegate=world.people["reviewer2"],
        starts_at=now,
        ends_at=now + timezone.timedelta(days=1),
    )
    page = found(as_person("reviewer"), "moreira")
    assert "Rafael Moreira signs for Ngozi Okafor" in page
    assert "/delegations/" in links(page)
    assert keys(world.people["auditor"], "moreira")["delegations"] == [str(given.pk)]
    assert "delegations" not in keys(world.people["requester"], "moreira")


def test_a_person_is_found_however_many_have_the_name(world: World) -> None:
    now = timezone.now()
    named = [User(username=f"silva-{n}", first_name="Ana", last_name="Silva") for n in range(60)]
    *_, last = User.objects.bulk_create(named)
    given = [
        Delegation.objects.create(
            delegator=one, delegate=other, starts_at=now, ends_at=now + timezone.timedelta(days=1)
        )
        for one, other in ((last, world.people["senior"]), (world.people["senior"], last))
    ]
    found = keys(world.people["auditor"], "ana silva")["delegations"]
    assert sorted(found) == sorted(str(one.pk) for one in given)


def test_what_is_found_of_the_engine_leads_to_the_pages_of_operators(world: World) -> None:
    run = run_of("somewhere-1")
    command = EngineCommand.objects.create(
        key="somewhere-1:start", kind="start", workflow_id="somewhere-1", workflow_type="Any"
    )
    # These pages ask for the permission, not for the admin.
    person = User.objects.create(username="engineer")
    for name in ("workflowrun", "enginecommand", "workflowschedule"):
        person.user_permissions.add(Permission.objects.get(codename=f"view_{name}"))
    person = User.objects.get(pk=person.pk)
    answer = search.search(person, Query("somewhere-1"), search.sources(person))
    led = {group.source.key: [one.href for one in group.found] for group in answer.groups}
    assert led == {
        "runs": [f"/workers/runs/{run.pk}/"],
        "commands": [f"/workers/commands/{command.pk}/"],
    }
    answer = search.search(person, Query("reconcile"), search.sources(person))
    (group,) = [one for one in answer.groups if one.source.key == "schedules"]
    assert [one.href for one in group.found] == ["/schedules/reconcile-interventions/"]


def test_operators_find_workflows_and_commands_and_auditors_entries(
    world: World, asked: tuple[Intervention, ApprovalRequest]
) -> None:
    intervention, _ = asked
    run = run_of(intervention.workflow_id, status="running")
    command = EngineCommand.objects.filter(workflow_id=intervention.workflow_id).earliest("pk")
    operator = keys(world.people["operator"], intervention.workflow_id[:30])
    assert operator["runs"] == [run.run_id]
    assert str(command.pk) in operator["commands"]
    assert str(command.pk) in keys(world.people["operator"], f"#{command.pk}")["commands"]
    assert "entries" not in operator
    entry = AuditEntry.objects.filter(subject_id=str(intervention.pk)).latest("pk")
    auditor = world.people["auditor"]
    assert str(entry.pk) in keys(auditor, str(intervention.pk))["entries"]
    assert keys(auditor, str(entry.pk))["entries"] == [str(entry.pk)]
    assert str(entry.pk) in keys(auditor, entry.action)["entries"]
    for name in ("requester", "reviewer"):
        assert not {"runs", "commands", "entries", "people"} & set(
            keys(world.people[name], intervention.workflow_id)
        )


# --- for whom -------------------------------------------------------------------------------------
def test_nobody_finds_what_they_may_not_see_nor_that_it_exists(
    client: Client, world: World, asked: tuple[Intervention, ApprovalRequest]
) -> None:
    intervention, request = asked
    run_of(intervention.workflow_id)
    other = User.objects.create(username="somebody", is_staff=True)
    texts = ["Makoko", str(intervention.pk), str(request.pk), intervention.workflow_id, "relief"]
    texts += ["okafor", "main", "approval.open", str(world.people["reviewer"].pk)]
    for text in texts:
        assert keys(other, text) == {}, text
    client.force_login(other)
    unknown = found(client, STRANGE)
    assert "Nothing matches" in unknown
    hidden = found(client, str(intervention.pk)).replace(str(intervention.pk), STRANGE)
    # The two differ in nothing but the token of the forms.
    token = r'csrfmiddlewaretoken" value="\w+"'
    assert re.sub(token, "", hidden) == re.sub(token, "", unknown)
    for title in ("People", "Workflows", "Audit trail", "Budgets", "Policies"):
        assert f"<dt>{title}</dt>" not in unknown


def test_who_asked_finds_their_own(
    world: World, asked: tuple[Intervention, ApprovalRequest]
) -> None:
    intervention, request = asked
    other = User.objects.create(username="somebody")
    other.groups.add(Group.objects.get(name="requester"))
    theirs = world.ask(by=other, target="Makoko school")
    assert keys(other, "Makoko") == {"interventions": [str(theirs.pk)]}
    assert keys(world.requester, "Makoko") == {
        "interventions": [str(intervention.pk)],
        "requests": [str(request.pk)],
    }


def test_one_must_be_signed_in(client: Client) -> None:
    assert client.get("/search/?q=x").headers["Location"] == "/login/?next=/search/%3Fq%3Dx"
    assert client.post("/search/").status_code in (302, 405)


# --- what a result says ---------------------------------------------------------------------------
def test_a_result_says_what_it_is_its_state_and_where_it_is_in_the_engine(
    settings: Any, as_person: AsPerson, asked: tuple[Intervention, ApprovalRequest]
) -> None:
    settings.TEMPORAL_UI_URL = "http://temporal.example"
    intervention, _ = asked
    reviewer = as_person("reviewer")
    page = found(reviewer, str(intervention.pk))
    assert '<h2 id="found-interventions">Interventions</h2>' in page
    assert '<span class="badge tone-warn">waiting for approval</span>' in page
    assert "NGN\u00a025,000.00" in page
    assert "its start waits in the outbox" in page
    namespace = settings.TEMPORAL_NAMESPACE
    address = f"http://temporal.example/namespaces/{namespace}/workflows/{intervention.workflow_id}"
    # The Temporal UI shows everything of everybody: only who may see runs is led there.
    assert address not in page
    for name in ("operator", "admin"):
        assert f'href="{address}"' in found(as_person(name), str(intervention.pk))
    EngineCommand.objects.filter(workflow_id=intervention.workflow_id).update(state="parked")
    assert "its start is parked" in found(reviewer, str(intervention.pk))
    run = run_of(intervention.workflow_id)
    assert "running, started" in found(reviewer, str(intervention.pk))
    run.status, run.closed_at = "timed_out", timezone.now()
    run.save()
    assert "timed out" in found(reviewer, str(intervention.pk))


def test_many_results_cost_as_many_queries_as_one(world: World) -> None:
    admin = world.people["admin"]

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            keys(admin, "Makoko")
        return len(queries)

    world.ask(target="Makoko one")
    cost()
    one = cost()
    for number in range(search.SHOWN + 3):
        world.ask(target=f"Makoko {number}")
    assert cost() == one
    (group,) = search.search(admin, Query("Makoko"), search.sources(admin)).groups
    assert (len(group.found), group.more, group.more_url) == (search.SHOWN, True, "")


def test_the_page_says_what_can_be_searched_and_what_to_do_when_nothing_is_found(
    as_person: AsPerson,
) -> None:
    reviewer = as_person("reviewer")
    empty = reviewer.get("/search/").content.decode()
    for source in search.sources(User.objects.get(username="reviewer")):
        assert f"<dt>{source.title}</dt><dd>" in empty
    assert "Nothing matches" not in empty
    assert "Nothing matches “xylophone”" in found(reviewer, "xylophone")


# --- hostile input --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "What is searched"),
        ("   \t\n", "What is searched"),
        ("a", "Type at least 2 characters."),
        ("\0", "a character in it that nothing stored"),
        ("a\0b", "a character in it that nothing stored"),
        ("x" * (LONGEST + 1), f"Type at most {LONGEST} characters."),
        ("x" * 1024 * 1024, f"Type at most {LONGEST} characters."),
        ("%%%", "Nothing matches"),
        ("___", "Nothing matches"),
        ("\\\\\\", "Nothing matches"),
        ("'; DROP TABLE x; --", "Nothing matches"),
        ('"><script>alert(1)</script>', "Nothing matches"),
        ("{{ 7 }}", "Nothing matches"),
        ("日本語テキスト", "Nothing matches"),
        ("\u202e\u200b", "Nothing matches"),
        ("ﬀﬀﬀ ı İ ß", "Nothing matches"),
        ("9" * 18, "Nothing matches"),
        ("9" * 100, "Nothing matches"),
        ("²²²", "Nothing matches"),
        ("-" * 36, "Nothing matches"),
        ("0" * 32, "Nothing matches"),
        ("f" * 31, "Nothing matches"),
        ("a " * 100, "Search"),
        ("a%b", "Nothing matches"),
    ],
    ids=range(24),
)
def test_no_text_makes_it_fail(as_person: AsPerson, text: str, words: str) -> None:
    page = found(as_person("admin"), text)
    assert words in page
    assert "<script>alert" not in page
    # Nothing but the address of the page itself has the whole text in it.
    assert len(page) < 100_000 + len(text)


def test_wildcards_are_letters_like_others(world: World) -> None:
    admin = world.people["admin"]
    world.ask(target="Hundred percent")
    row = world.ask(target="100%_sure clinic")
    assert keys(admin, "100%_s")["interventions"] == [str(row.pk)]
    assert "interventions" not in keys(admin, "H%d percent")
    assert "interventions" not in keys(admin, "Hundred_percent")


# --- time -----------------------------------------------------------------------------------------
def _source(key: str, find: Finder) -> Source:
    return Source(key=key, title=key, hint="", order=1, find=find)


def _finds(key: str) -> Source:
    """A source that asks the database for one row, and finds it."""

    def find(user: Any, query: Query, most: int) -> Asking[list[Found]]:
        (name,) = yield _asks("SELECT 'found'")
        return [Found(title=name, href="/")]

    return _source(key, find)


def _asks(sql: str) -> Asked[Any]:
    return Asked(sql, (), lambda rows: [row[0] for row in rows])


def _endless(on_asking: Callable[[], None]) -> Source:
    def find(user: Any, query: Query, most: int) -> Asking[list[Found]]:
        on_asking()
        yield _asks("SELECT count(*) FROM generate_series(1, 1000000000)")
        return []

    return _source("slow", find)


def test_a_source_that_takes_too_long_is_named_and_the_others_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_MS", 20)
    turns = []

    def on_asking() -> None:
        turns.append("asked")
        if len(turns) == 2:
            # For the sources after it, which a busy machine may need more time for.
            monkeypatch.setattr(search, "MOST_MS", 600_000)

    plain = _source("plain", held(lambda user, query, most: [Found(title="plain", href="/")]))
    slow, last = _endless(on_asking), _finds("last")
    answer = search.search(world.people["admin"], Query("any"), [plain, slow, last])
    assert [group.source.key for group in answer.groups] == ["plain", "last"]
    assert answer.late == [slow]
    # With the others, and then alone.
    assert turns == ["asked", "asked"]
    with connection.cursor() as cursor:
        # What comes after the search has no limit.
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_after_its_time_no_further_source_is_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_SECONDS", -1.0)
    first, last = _finds("first"), _finds("last")
    answer = search.search(world.people["admin"], Query("any"), [first, last])
    assert (answer.groups, answer.late) == ([], [first, last])


def test_a_source_that_is_slow_among_many_answers_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "TOGETHER_MS", 1)
    asked = []

    def slow(user: Any, query: Query, most: int) -> Asking[list[Found]]:
        asked.append(query)
        yield _asks("SELECT pg_sleep(0.05)::text")
        return [Found(title="slow", href="/")]

    answer = search.search(
        world.people["admin"], Query("any"), [_finds("first"), _source("slow", slow)]
    )
    assert [group.source.key for group in answer.groups] == ["first", "slow"]
    assert (len(asked), answer.late) == (2, [])


def test_the_page_says_that_it_is_not_complete(
    as_person: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_SECONDS", -1.0)
    page = found(as_person("requester"), "Makoko")
    assert "This is not complete." in page
    assert "Interventions" in page


@pytest.mark.parametrize(
    ("source", "text", "index"),
    [
        ("interventions", "0198a0b0", "interventions_intervention_pkey"),
        ("interventions", "budget_exceeded", "intervention_error"),
        ("interventions", "Makoko", "intervention_search"),
        ("interventions", "ma", "intervention_search"),
        ("requests", "0198a0b0", "approvals_approvalrequest_pkey"),
        ("requests", STRANGE, "approvals_a_subject_4fe150_idx"),
        ("requests", "Makoko", "request_search"),
        ("requests", "ma", "request_search_settled"),
        ("batches", "ma", "batch_search"),
        ("batches", "March", "batch_search"),
        ("budgets", "relief north", "budget_search"),
        ("budgets", "re", "budget_search"),
        ("policies", "relief", "one_active_policy"),
        ("people", "ng okafor", "user_search"),
        ("runs", "intervention-0198", "one_row_per_run"),
        ("commands", "intervention-0198", "command_by_workflow"),
        ("commands", "intervention-0198:start", "engine_enginecommand_key_key"),
        ("entries", STRANGE, "audit_audit_subject_a65917_idx"),
        ("entries", "approval.open", "entry_by_action"),
        ("entries", "claimed", "entry_by_code"),
    ],
)
def test_indexes_answer(world: World, source: str, text: str, index: str) -> None:
    admin = world.people["admin"]
    (asked,) = [one for one in search.sources(admin) if one.key == source]
    with CaptureQueriesContext(connection) as queries:
        asked_alone(asked.find(admin, Query(text), 9))
    # Without its order, which the primary key gives in a small table.
    asked_for = [query["sql"].partition(" ORDER BY ")[0] for query in queries]
    with connection.cursor() as cursor:
        # Nor by a walk through a whole index: only by what a condition finds in one.
        cursor.execute("SET LOCAL enable_indexscan = off")
        cursor.execute("SET LOCAL enable_indexonlyscan = off")
    assert any(_serves(index, sql) for sql in asked_for), asked_for


def _serves(index: str, sql: str) -> bool:
    try:
        return bool(plan_by_index(sql, index))
    except AssertionError:
        return False


# --- the registry and the API ---------------------------------------------------------------------
def test_every_source_answers_and_its_results_lead_somewhere(world: World) -> None:
    admin = world.people["admin"]
    # Whoever may everything is asked of every source.
    every = search.sources(admin)
    row = world.ask(target="Makoko clinic")
    run_of(row.workflow_id)
    seen: set[str] = set()
    texts = [str(row.pk), row.workflow_id, "ma", "relief", "reviewer", "intervention", "recon", "1"]
    for text in texts:
        for group in search.search(admin, Query(text), every).groups:
            seen.add(group.source.key)
            for one in group.found:
                assert one.title
                resolve(one.href.partition("?")[0])
    assert {source.key for source in every} - seen == {
        "requests",
        "bulk",
        "batches",
        "transfers",
        "delegations",
        *("wallets", "adjustments", "journals"),
        *("topups", "payment_reviews", "invoices"),
        *("payment_events", "quarantine", "replays", "automations", "executions"),
        *("bookings", "trips", "refunds", "trip_cancellations", "infractions"),
        *("claims", "pix_keys", "pix_key_changes", "syncs"),
    }
    assert len({source.order for source in every}) == len(every)
    assert all(source.hint and source.title for source in every)


def test_a_key_searches_what_its_scopes_name(
    client: Client, world: World, asked: tuple[Intervention, ApprovalRequest]
) -> None:
    intervention, request = asked

    def kinds(*scopes: str, status: int = 200) -> Any:
        _, key = api_key_create(
            user=world.people["operator"], name="search", scopes=list(scopes), by=world.requester
        )
        answer = client.get(
            "/api/v1/search", {"q": str(intervention.pk)}, headers={"X-API-Key": key}
        )
        assert answer.status_code == status, answer.content
        body = answer.json()
        return {one["kind"] for one in body["items"]} if status == 200 else body["code"]

    assert kinds("interventions:read") == {"interventions"}
    assert kinds("interventions:read", "approvals:read") == {"interventions", "requests"}
    assert {"interventions", "requests"} <= kinds("all")
    assert kinds("webhooks:write", status=403) == "scope_missing"
    client.force_login(world.people["reviewer"])
    answer = client.get("/api/v1/search", {"q": str(request.pk)}).json()
    (one,) = answer["items"]
    assert (one["kind"], one["url"]) == ("requests", f"/requests/{request.pk}/")
    assert (one["amount"], one["currency"], one["state"]) == ("25000.00", "NGN", "open")
    assert one["engine"]["workflow_id"] == intervention.workflow_id
    assert one["engine"]["url"] == ""
    assert (answer["more"], answer["late"]) == ([], [])
    for text in ("", "a", "x" * 201):
        assert client.get("/api/v1/search", {"q": text}).status_code == 422
    refused = client.get("/api/v1/search", {"q": "   a  "})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_text")
