"""Pages of executions as they are served: who sees which, what they show, what one does there."""

import csv
import io
import json
import re
import time
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.audit.models import AuditEntry
from apps.automations import home
from apps.automations.models import Automation, Execution, ExecutionEvent, NodeRun
from apps.automations.services.advancing import execution_advance
from apps.automations.services.definitions import automation_change, automation_create
from apps.automations.services.demo import automations_seed
from apps.automations.services.demo_executions import RUNS, executions_seed
from apps.automations.services.requesting import execution_request
from tests.automations.drawing import delay, failing, graph, node, short, transform
from tests.plans import plan_by_index

pytestmark = pytest.mark.django_db(transaction=True)
RUN_PAGE = "/automations/of/orders/run/"
GRAPH = graph("a>b a>c", a=transform(x="params.n"), b=transform(y="inputs.x"), c=delay(3600))
ASKS = graph(
    "ask>go:approved ask>no:rejected",
    ask=node("approval", title="Release {{ params.n }}", group="reviewer"),
)


@pytest.fixture
def client(people: dict[str, User], client: Client) -> Client:
    client.force_login(people["editor"])
    return client


@pytest.fixture
def runner(people: dict[str, User]) -> User:
    """Somebody who may run automations and see their own runs, and nothing else."""
    return with_permissions("runner", "add_execution")


def with_permissions(name: str, *codenames: str) -> User:
    user = User.objects.create(username=name)
    for codename in codenames:
        user.user_permissions.add(
            Permission.objects.get(codename=codename, content_type__app_label="automations")
        )
    return User.objects.get(pk=user.pk)


def written(people: dict[str, User], document: Any = GRAPH, code: str = "orders") -> Automation:
    now = timezone.now()
    by = people["editor"]
    made = automation_create(
        code=code, title="Orders", document=document, by=by, via="page", as_of=now
    )
    return made[0]


def ran(by: User, document: Any = GRAPH, params: Any = None, **more: Any) -> Execution:
    """An execution, as far as it goes without waiting."""
    now = timezone.now()
    what = {"document": document} if document is not None else {}
    execution, _new = execution_request(
        **what, params=params or {"n": 7}, by=by, via="page", as_of=now, **more
    )
    while execution_advance(row_id=execution.pk, as_of=now).more:
        pass
    execution.refresh_from_db()
    return execution


def page_of(execution: Execution, more: str = "") -> str:
    return f"/executions/{execution.pk}/{more}"


def text(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return unescape(response.content.decode())


def words(page: str) -> str:
    """What is read on the page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def queries(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        text(client.get(address))
    return len(captured)


# --- who sees which -------------------------------------------------------------------------------
def test_everybody_sees_their_own_and_who_may_see_all_sees_all(
    people: dict[str, User], runner: User, client: Client
) -> None:
    written(people)
    own = ran(runner, None, automation="orders")
    other = ran(people["editor"], None, automation="orders")
    listed = text(client.get("/executions/"))
    assert page_of(own) in listed
    assert page_of(other) in listed
    client.force_login(runner)
    listed = text(client.get("/executions/"))
    assert page_of(own) in listed
    assert page_of(other) not in listed
    assert 'href="/executions/"' in listed.split("<main")[0]
    assert client.get(page_of(own)).status_code == 200
    for more in ("", "live/", "nodes/0/", "nodes/0/live/"):
        assert client.get(page_of(other, more)).status_code == 404, more
    for more in ("cancel/", "resume/"):
        assert client.post(page_of(other, more), {"reason": ""}).status_code in (403, 404), more
    assert client.post(page_of(other, "nodes/0/repeat/"), {}).status_code == 404
    other.refresh_from_db()
    assert other.status == "waiting"
    client.force_login(people["requester"])
    assert page_of(own) not in text(client.get("/executions/"))


def test_nobody_is_let_in_without_signing_in(people: dict[str, User]) -> None:
    execution = ran(people["editor"])
    for address in ("/executions/", page_of(execution), page_of(execution, "nodes/0/"), RUN_PAGE):
        answer = Client().get(address)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/login/")


def test_what_is_not_there_is_not_found(people: dict[str, User], client: Client) -> None:
    execution = ran(people["editor"])
    for address in (
        f"/executions/{uuid4()}/",
        f"/executions/{uuid4()}/nodes/0/",
        "/executions/not-an-id/",
        page_of(execution, "nodes/3/"),
        page_of(execution, "nodes/99999999999999999999/"),
        page_of(execution, "nodes/-1/"),
        "/automations/of/none/run/",
    ):
        assert client.get(address).status_code == 404, address
    assert client.post(page_of(execution, "explode/"), {"reason": ""}).status_code == 404


def test_who_may_not_is_offered_nothing_and_refused(
    people: dict[str, User], client: Client
) -> None:
    written(people)
    execution = ran(people["editor"])
    client.force_login(people["auditor"])
    shown = text(client.get(page_of(execution)))
    assert "Cancel the execution" not in shown
    assert "Run again from here" not in text(client.get(page_of(execution, "nodes/0/")))
    assert "run-box" not in text(client.get("/automations/of/orders/"))
    sent = {"reason": "No.", "params": "{}", "idempotency_key": "k"}
    for address in (
        page_of(execution, "cancel/"),
        page_of(execution, "nodes/0/repeat/"),
        RUN_PAGE,
    ):
        assert client.post(address, sent).status_code == 403, address
    assert {entry.outcome for entry in AuditEntry.objects.filter(action="execution.cancel")} == {
        "refused"
    }
    assert Execution.objects.count() == 1


def test_forms_need_their_token(people: dict[str, User]) -> None:
    written(people)
    execution = ran(people["editor"])
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(people["editor"])
    for address in (RUN_PAGE, page_of(execution, "cancel/"), page_of(execution, "nodes/0/repeat/")):
        assert strict.post(address, {"params": "{}", "reason": "x"}).status_code == 403, address
    assert Execution.objects.count() == 1


# --- the list -------------------------------------------------------------------------------------
def test_the_list_is_filtered_and_its_files_have_the_same_rows(
    people: dict[str, User], client: Client
) -> None:
    written(people)
    waits = ran(people["editor"], None, automation="orders")
    done = ran(people["editor"], graph("a>b"))
    failed = ran(people["admin"], graph("f", f=failing()))
    old = ran(people["editor"], graph("z"))
    Execution.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=40))

    def found(query: str) -> set[UUID]:
        shown = text(client.get(f"/executions/?{query}"))
        keys = {UUID(key) for key in re.findall(r'data-key="([0-9a-f-]{36})"', shown)}
        file = client.post(f"/executions/list.csv?{query}")
        lines = csv.DictReader(io.StringIO(b"".join(file.streaming_content).decode()))
        assert {UUID(line["id"]) for line in lines} == keys
        return keys

    every = {waits.pk, done.pk, failed.pk, old.pk}
    assert found("") == every
    assert found("status=waiting") == {waits.pk}
    assert found("automation=orders") == {waits.pk}
    assert found("mine=on") == every - {failed.pk}
    assert found("error=expression_failed") == {failed.pk}
    assert found("runner=local") == set()
    day = timezone.now().date()
    assert found(f"since={day - timedelta(days=3)}") == every - {old.pk}
    assert found(f"until={day - timedelta(days=3)}") == {old.pk}
    assert found("since=0001-01-01&until=9999-12-31") == every
    assert client.get("/executions/?since=nonsense&status=%00").status_code == 200
    assert client.post("/executions/list.xlsx").status_code == 200


def test_an_empty_list_says_what_to_do(client: Client) -> None:
    shown = words(text(client.get("/executions/")))
    assert "No execution yet" in shown
    assert "as soon as somebody runs an automation" in shown


def test_lists_cost_as_many_questions_however_long_they_are(
    people: dict[str, User], client: Client
) -> None:
    written(people)
    written(people, code="other")
    ran(people["editor"], None, automation="orders")
    few = [queries(client, address) for address in ("/executions/", "/automations/")]
    for code in ("orders", "other", "orders", "other"):
        ran(people["editor"], None, automation=code)
    many = [queries(client, address) for address in ("/executions/", "/automations/")]
    assert many == few


def test_an_automation_shows_its_last_runs(people: dict[str, User], client: Client) -> None:
    written(people)
    written(people, code="other")
    assert "Nobody has run it yet." in text(client.get("/automations/of/orders/"))
    runs = [ran(people["editor"], None, automation="orders") for _ in range(7)]
    other = ran(people["editor"], None, automation="other")
    shown = text(client.get("/automations/of/orders/"))
    assert [page_of(run) in shown for run in runs] == [False, False, True, True, True, True, True]
    assert page_of(other) not in shown
    listed = text(client.get("/automations/"))
    assert listed.count('tone-warn">waiting</span>') == 2
    watcher = with_permissions("watcher", "view_automation")
    client.force_login(watcher)
    assert "Nobody has run it yet." in text(client.get("/automations/of/orders/"))
    assert "tone-warn" not in text(client.get("/automations/"))


# --- one ------------------------------------------------------------------------------------------
def test_a_page_shows_the_graph_with_the_state_of_each_node(
    people: dict[str, User], client: Client
) -> None:
    execution = ran(people["editor"])
    shown = text(client.get(page_of(execution)))
    for place, status in enumerate(("completed", "completed", "waiting")):
        for way in ("across", "down"):
            (drawn,) = re.findall(
                f'<a class="node is-(\\w+)" id="drawing-{way}-node-{place}"', shown
            )
            assert drawn == status
        assert f'href="{page_of(execution)}nodes/{place}/"' in shown
    # The states are told in words, not by colours alone.
    drawing = words(shown.split('id="automation-drawing"')[1].split("</section>")[0])
    assert drawing.count(" a completed") + drawing.count(" b completed") == 4
    assert drawing.count(" c waiting") == 2
    assert shown.count("edge is-taken") == 2 * 2
    assert "2 of 3 nodes have ended" in shown
    assert '"n": 7' in shown
    assert "Nothing yet: it is not completed." in shown
    assert client.get(page_of(execution, "live/")).status_code == 200


def test_a_failure_is_told_in_words_with_what_to_do(
    people: dict[str, User], client: Client
) -> None:
    execution = ran(people["editor"], graph("f>j", f=failing()))
    shown = words(text(client.get(page_of(execution))))
    assert "An expression failed." in shown
    assert execution.error_detail in shown
    assert "Write a version that reads what is there" in shown
    assert "Resume it" in shown
    assert "Cancel the execution" not in shown
    at = words(text(client.get(page_of(execution, "nodes/0/"))))
    assert execution.error_detail in at
    assert "blocked" in words(text(client.get(page_of(execution, "nodes/1/"))))


def test_a_node_shows_what_it_read_what_it_gave_and_what_happened(
    people: dict[str, User], client: Client
) -> None:
    execution = ran(people["editor"], GRAPH)
    shown = text(client.get(page_of(execution, "nodes/1/")))
    assert json.loads(
        re.findall(r'id="execution_node-input-box".*?<pre[^>]*>(.*?)</pre>', shown, re.S)[0]
    ) == {
        "inputs": {"x": 7},
        "nodes": {},
        "params": {"n": 7},
    }
    assert json.loads(
        re.findall(r'id="execution_node-output-box".*?<pre[^>]*>(.*?)</pre>', shown, re.S)[0]
    ) == {"y": 7}
    assert "Completed" in words(shown.split("execution_node-history")[1])
    assert "Waits" in words(text(client.get(page_of(execution, "nodes/2/"))))


def test_a_node_that_waits_for_a_signature_leads_to_the_request(
    people: dict[str, User], client: Client
) -> None:
    execution = ran(people["editor"], ASKS)
    request = ApprovalRequest.objects.get()
    for address in (page_of(execution), page_of(execution, "nodes/0/")):
        assert f'href="/requests/{request.pk}/"' in text(client.get(address))
    seer = with_permissions("seer", "view_execution")
    client.force_login(seer)
    assert str(request.pk) not in text(client.get(page_of(execution, "nodes/0/")))


def test_a_long_history_has_pages(people: dict[str, User], client: Client) -> None:
    execution = ran(people["editor"], graph(" ".join(f"n{i}>n{i + 1}" for i in range(70))))
    shown = text(client.get(page_of(execution)))
    history = shown.split('id="execution-history"')[1].split("</section>")[0]
    assert history.index("Completed") < history.index("n70")
    (older,) = re.findall(r'rel="next" href="([^"]+before=\d+)"', history)
    assert "Asked for" in text(client.get(older)).split('id="execution-history"')[1]
    for wrong in ("x", "-1", "9" * 30, "%00"):
        assert (
            client.get(
                page_of(execution, f"?before={wrong}&after={wrong}&show={wrong}")
            ).status_code
            == 200
        )


HOSTILE = [
    "</script><script>alert(1)</script>",
    'a"b',
    "it's.a/b",
    "шаг-1",
    "节点",
]


def test_ids_and_titles_of_any_script_are_escaped_and_have_pages(
    people: dict[str, User], client: Client
) -> None:
    document = {
        "name": "<img src=x onerror=alert(1)>",
        "nodes": [
            {"id": id, "type": "transform", "data": {"mapping": {"<b>": "params.n"}}}
            for id in HOSTILE
        ],
        "edges": [
            {"id": "e", "source": HOSTILE[0], "target": HOSTILE[1], "label": ""},
        ],
    }
    execution = ran(people["editor"], document, {"n": "</pre><script>alert(2)</script>"})
    assert execution.status == "completed"
    for more in ("", *(f"nodes/{place}/" for place in range(len(HOSTILE)))):
        raw = client.get(page_of(execution, more)).content.decode()
        assert "<script>alert" not in raw
        assert "<img src=x" not in raw
    for place, id in enumerate(HOSTILE):
        assert id in text(client.get(page_of(execution, f"nodes/{place}/"))).split("<h1>")[1]
    assert "<img" not in client.get("/executions/").content.decode().split("<main")[1]


def test_two_thousand_nodes_are_shown_in_pages_with_as_many_questions(
    people: dict[str, User], client: Client
) -> None:
    few = queries(client, page_of(ran(people["editor"], graph("a>b"))))
    wide = graph(" ".join(f"s>n{i} n{i}>e" for i in range(1998)))
    execution = ran(people["editor"], wide)
    assert execution.status == "completed"
    assert queries(client, page_of(execution)) == few
    began = time.process_time()
    shown = text(client.get(page_of(execution)))
    assert time.process_time() - began < 2
    assert "2000 of 2000 nodes have ended" in shown
    assert "1998 nodes: 1998 completed" in words(shown).replace(",", "")
    assert len(re.findall(r'<tr role="row" data-key=', shown)) == 50
    second = text(client.get(page_of(execution, "?after=49")))
    assert 'data-key="50"' in second
    assert 'data-key="49"' not in second
    last = text(client.get(page_of(execution, "?show=completed&after=1980")))
    assert 'data-key="1999"' in last
    assert "Next page" not in last.split('id="execution-nodes-end"')[1].split("</section>")[0]
    assert queries(client, page_of(execution, "nodes/1999/")) < 30


def test_large_values_are_cut_not_left_out(people: dict[str, User], client: Client) -> None:
    execution = ran(
        people["editor"], graph("a", a=transform(all="params.big")), {"big": "x" * 300_000}
    )
    for more in ("", "nodes/0/"):
        shown = text(client.get(page_of(execution, more)))
        assert "Only its beginning is shown" in shown
        assert len(shown) < 200_000


# --- what one does --------------------------------------------------------------------------------
def test_it_is_cancelled_on_its_page_by_who_asked_without_the_permission(
    people: dict[str, User], runner: User, client: Client
) -> None:
    written(people, ASKS)
    execution = ran(runner, None, automation="orders")
    client.force_login(runner)
    assert "Cancel the execution" in text(client.get(page_of(execution)))
    sent = client.post(page_of(execution, "cancel/"), {"reason": "Asked for twice."})
    assert (sent.status_code, sent["Location"]) == (302, page_of(execution))
    shown = words(text(client.get(page_of(execution))))
    assert "It was cancelled. Asked for twice." in shown
    assert ApprovalRequest.objects.get().status == "cancelled"
    again = client.post(page_of(execution, "cancel/"), {"reason": ""}, follow=True)
    assert "Nothing was changed." in text(again)
    resumed = client.post(page_of(execution, "resume/"), {"reason": ""}, follow=True)
    assert "Only an execution that has failed can go on." in text(resumed)


def test_what_has_failed_is_resumed(people: dict[str, User], client: Client) -> None:
    execution = ran(people["editor"], graph("f>j", f=failing()))
    client.post(page_of(execution, "resume/"), {"reason": "Mended."})
    execution.refresh_from_db()
    assert (execution.status, execution.resumes) == ("running", 1)
    assert "Cancel the execution" in text(client.get(page_of(execution)))


def test_it_runs_again_from_a_node_once_however_often_the_form_is_sent(
    people: dict[str, User], client: Client
) -> None:
    execution = ran(people["editor"], graph("a>f", a=transform(x="params.n"), f=failing()))
    at = page_of(execution, "nodes/1/")
    (key,) = re.findall(r'name="idempotency_key" value="([^"]+)"', text(client.get(at)))
    sent = [client.post(f"{at}repeat/", {"idempotency_key": key}) for _ in range(2)]
    (again,) = Execution.objects.filter(repeats=execution)
    assert {answer["Location"] for answer in sent} == {page_of(again)}
    assert again.from_node == "f"
    assert NodeRun.objects.get(execution=again, node_id="a").value == {"x": 7}
    shown = text(client.get(page_of(again)))
    assert f'href="{page_of(execution)}"' in shown
    assert "You had sent this form before" in shown


def test_what_has_not_ended_does_not_run_again(people: dict[str, User], client: Client) -> None:
    execution = ran(people["editor"])
    assert "Run again from here" not in text(client.get(page_of(execution, "nodes/0/")))
    answer = client.post(page_of(execution, "nodes/0/repeat/"), {"idempotency_key": "k"})
    assert answer.status_code == 409
    assert "It has not ended yet: cancel it first." in answer.content.decode()
    assert Execution.objects.count() == 1


# --- the form that runs an automation -------------------------------------------------------------
def test_an_automation_is_run_from_its_page_once(people: dict[str, User], client: Client) -> None:
    written(people)
    shown = text(client.get("/automations/of/orders/"))
    assert f'action="{RUN_PAGE}"' in shown
    (key,) = re.findall(r'name="idempotency_key" value="([^"]+)"', shown)
    form = {"params": '{"n": 12}', "idempotency_key": key}
    sent = [client.post(RUN_PAGE, form) for _ in range(2)]
    execution = Execution.objects.get()
    assert [(one.status_code, one["Location"]) for one in sent] == [(302, page_of(execution))] * 2
    assert execution.given == {"n": 12}
    assert execution.requested_by == people["editor"]
    other = client.post(RUN_PAGE, {**form, "params": '{"n": 13}'})
    assert other.status_code == 409
    assert Execution.objects.count() == 1


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ('{\n  "n": 1,\n  "m": }', "Line 3"),
        ('{"n": 1}\n{', "Line 2"),
        ('{"n": NaN}', "Line 1"),
        ('{"n": "\\u0000"}', "Line 1"),
        ('{"n": "\0"}', "Null characters"),
        ("[1, 2]", "This is no object"),
        ("7", "This is no object"),
        ('{"n": ' * 300, "Line 1"),
        ('{"n": "\\ud800"}', "Line 1"),
        ('{"n": 1, "n": 2}', "Line 1"),
        (json.dumps({"n": "x" * 1_200_000}), "more than 1000000 bytes"),
    ],
    ids=short,
)
def test_what_cannot_be_given_is_said_and_kept(
    people: dict[str, User], client: Client, params: str, said: str
) -> None:
    written(people)
    answer = client.post(RUN_PAGE, {"params": params, "idempotency_key": "k"})
    assert answer.status_code == 422
    shown = unescape(answer.content.decode())
    assert said in shown.replace(",", "") or said in shown
    assert not Execution.objects.exists()


def test_a_form_that_is_too_large_is_refused(people: dict[str, User], client: Client) -> None:
    written(people)
    form = {"params": json.dumps({"n": "x" * 3_000_000}), "idempotency_key": "k"}
    assert client.post(RUN_PAGE, form).status_code in (400, 413)
    assert not Execution.objects.exists()


def test_an_empty_field_gives_an_empty_object(people: dict[str, User], client: Client) -> None:
    written(people)
    assert client.post(RUN_PAGE, {"params": " ", "idempotency_key": "k"}).status_code == 302
    assert Execution.objects.get().given == {}


def test_what_is_switched_off_or_a_draft_is_not_offered_and_refused(
    people: dict[str, User], client: Client
) -> None:
    written(people)
    written(people, graph("a>b b>a"), code="draft")
    automation_change(
        code="orders",
        enabled=False,
        reason="No.",
        by=people["editor"],
        via="page",
        as_of=timezone.now(),
    )
    for code, said in (("orders", "switched off"), ("draft", "no version without issues")):
        assert "run-box" not in text(client.get(f"/automations/of/{code}/"))
        answer = client.post(
            f"/automations/of/{code}/run/", {"params": "{}", "idempotency_key": code}
        )
        assert (answer.status_code, said in answer.content.decode()) == (409, True)
        assert client.get(f"/automations/of/{code}/run/").status_code == 200


# --- around the pages -----------------------------------------------------------------------------
def test_the_home_page_counts_what_ran_failed_and_waits(
    people: dict[str, User], client: Client
) -> None:
    ran(people["editor"])
    ran(people["editor"], graph("f", f=failing()))
    shown = words(text(client.get("/")).split('id="home-executions"')[1].split("</section>")[0])
    assert "2 run today" in shown
    assert "1 failed today" in shown
    assert "1 wait for people or a time" in shown


def test_what_failed_stands_among_the_failures_by_its_code(
    people: dict[str, User], client: Client
) -> None:
    execution = ran(people["editor"], graph("f", f=failing()))
    execution.refresh_from_db()
    rows = text(client.get("/")).split('id="home-failed"')[1].split("</section>")[0]
    listed = f"/executions/?status=failed&error={execution.error_code}"
    assert f'href="{listed}"' in rows
    assert "Executions" in words(rows)
    assert page_of(execution) in text(client.get(listed))
    newest = home.failed(people["auditor"]).order_by("-settled_at")
    plan_by_index(
        newest.values_list("error_code", "settled_at")[:100], "executions_failed", ordered=True
    )


def test_the_admin_shows_rows_and_cancels_with_a_reason(people: dict[str, User]) -> None:
    execution = ran(people["editor"], ASKS)
    client = Client()
    client.force_login(people["admin"])
    at = "/admin/automations"
    for model in ("execution", "noderun", "executionevent"):
        assert client.get(f"{at}/{model}/").status_code == 200
        assert client.get(f"{at}/{model}/?q={execution.pk}").status_code == 200
    for row in (NodeRun.objects.all()[0], ExecutionEvent.objects.all()[0], execution):
        shown = text(client.get(f"{at}/{row._meta.model_name}/{row.pk}/change/"))
        assert 'name="_save"' not in shown
    assert page_of(execution) in shown
    sent = {"action": "cancel", "_selected_action": str(execution.pk), "confirmed": "yes"}
    client.post(f"{at}/execution/", {**sent, "reason": "Wrong order."})
    execution.refresh_from_db()
    assert (execution.status, execution.error_detail) == ("cancelled", "Wrong order.")


def test_the_demo_has_executions_in_many_states_and_makes_them_once(
    people: dict[str, User], client: Client
) -> None:
    list(automations_seed(people=people))
    assert list(executions_seed(people=people)) == [f"{len(RUNS)} executions"]
    assert list(executions_seed(people=people)) == ["0 executions"]
    statuses = set(Execution.objects.values_list("status", flat=True))
    assert statuses == {"completed", "failed", "cancelled", "waiting"}
    ages = [timezone.now() - row.created_at for row in Execution.objects.all()]
    assert max(ages) > timedelta(days=30)
    assert ApprovalRequest.objects.filter(status="open").count() == 1
    for row in Execution.objects.all():
        assert client.get(page_of(row)).status_code == 200
        assert (row.settled_at or row.created_at) <= timezone.now()
