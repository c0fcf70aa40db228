"""Doors of batches: API, pages and admin; who sees what, and what survives bad input."""

import csv
import io
import json
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import User
from apps.interventions.models import BatchItem, Intervention, InterventionBatch
from apps.interventions.registration.shell import BATCHES
from apps.interventions.services import batches
from apps.interventions.services.batches_input import file_items
from config.body_limit import limited
from tests.interventions.batch_world import (
    acting,
    asked,
    opened,
    payment,
    payments,
    prepared,
    request_of,
)
from tests.interventions.conftest import World
from tests.interventions.test_api import Caller

URL = "/api/v1/intervention-batches"
HEAD = {"policy": "relief", "budget": "main", "currency": "NGN"}
CSV = "amount,target,justification\n100,Amina,Food\nten,Bola,Food\n100.50,Chika,Food\n"


@pytest.fixture
def caller(world: World) -> Caller:
    return Caller(world.requester)


def client_of(world: World, name: str) -> Client:
    client = Client()
    client.force_login(world.people[name])
    return client


def text(response: Any) -> str:
    return unescape(response.content.decode())


def upload(caller: Caller, body: str | bytes = CSV, **fields: Any) -> Any:
    content = body.encode() if isinstance(body, str) else body
    file = SimpleUploadedFile("payments.csv", content, content_type="text/csv")
    return caller._client.post(URL, {**HEAD, **fields, "file": file})


# --- API -----------------------------------------------------------------------------------------
def test_asking_answers_201_and_the_same_again_200(caller: Caller) -> None:
    body = {**HEAD, "items": payments(2), "idempotency_key": "k"}
    first = caller.post(URL, body)
    assert first.status_code == 201, first.content
    batch = InterventionBatch.objects.get()
    assert first.json() == {
        "id": str(batch.pk),
        "workflow_id": f"intervention-batch-{batch.pk}",
        "status": "pending",
    }
    again = caller.post(URL, body)
    assert (again.status_code, again.json()) == (200, first.json())
    other = caller.post(URL, body | {"items": payments(3)})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


def test_a_dry_run_stores_nothing(caller: Caller) -> None:
    items = [*payments(2, amount="9000"), payment(amount="x")]
    answer = caller.post(URL, {**HEAD, "items": items, "dry_run": True})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["total"], told["sound"], told["failed"]) == (3, 2, 1)
    assert (told["amount"], told["covered"]) == ("18000.00", True)
    assert told["errors"][0]["number"] == 3
    assert told["errors"][0]["code"] == "amount_invalid"
    assert "reviewer" in told["signatures"]
    assert not InterventionBatch.objects.exists()


def test_a_csv_file_is_a_batch_too(caller: Caller) -> None:
    answer = upload(caller, title="June")
    assert answer.status_code == 201, answer.content
    batch = InterventionBatch.objects.get()
    assert (batch.title, batch.total) == ("June", 3)
    assert [item.status for item in batch.items.order_by("number")] == [
        "waiting",
        "failed",
        "waiting",
    ]
    tried = upload(caller, dry_run="true")
    assert tried.status_code == 200
    assert tried.json()["errors"][0]["line"] == 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "empty_file"),
        (" \n ", "empty_file"),
        ("amount,target\n1,a\n", "csv_columns"),
        ("amount,target,justification,x\n1,a,b,c\n", "csv_columns"),
        ("amount,amount,target,justification\n1,1,a,b\n", "csv_columns"),
        ("amount,target,justification\n", "no_items"),
        ('amount,target,justification\n1,"a,b\n', "csv_invalid"),
        ("amount,target,justification\n1," + "a" * 200_000 + ",b\n", "csv_invalid"),
        (b"amount,target,justification\n1,\xff,b\n", "csv_encoding"),
        (b"\x00\x01\x02", "csv_columns"),
        ("amount,target,justification\n0,a,b\n", "no_valid_items"),
    ],
)
def test_a_file_that_is_none_is_refused_with_why(
    caller: Caller, body: str | bytes, code: str
) -> None:
    answer = upload(caller, body or b"")
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.content
    assert not InterventionBatch.objects.exists()


def test_a_text_in_the_place_of_the_file_is_none(caller: Caller) -> None:
    answer = caller._client.post(URL, {**HEAD, "file": CSV})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error"), answer.content
    assert answer.json()["errors"][0]["loc"] == ["body", "file"]


@pytest.mark.parametrize(
    "file",
    [
        "\ufeffamount;target;justification;region\r\n5;A;B;NG-KO\r\n",
        "region,justification,target,amount\nNG-KO,B,A,5\n",
        ' Amount , Target,Justification,REGION\n5,A,"B",NG-KO\n\n',
        "\n\namount,target,justification,region\n5,A,B,NG-KO",
    ],
)
def test_files_as_spreadsheets_write_them(file: str) -> None:
    (row,) = file_items(file.encode())
    assert row.values == {"amount": "5", "target": "A", "justification": "B", "region": "NG-KO"}


def test_a_row_of_another_width_is_an_item_that_has_failed() -> None:
    rows = file_items(b'amount,target,justification\n1,"a\nb",c\n1,a\n2,a,b\n')
    assert [row.line for row in rows] == [2, 4, 5]
    assert rows[1].values == ["1", "a"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**HEAD},
        {**HEAD, "items": "x"},
        {**HEAD, "items": {}},
        {**HEAD, "items": payments(1), "more": 1},
        {**HEAD, "items": payments(1), "policy": "\x01"},
        {**HEAD, "items": payments(1), "currency": "ngn"},
        {**HEAD, "items": payments(1), "title": "x" * 161},
        {**HEAD, "items": payments(1), "dry_run": "maybe"},
        {**HEAD, "items": []},
        [],
        "x",
        7,
        None,
    ],
)
def test_a_body_that_is_none_is_refused(caller: Caller, body: Any) -> None:
    answer = caller._client.post(URL, json.dumps(body), content_type="application/json")
    assert answer.status_code == 422, answer.content
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("body", [b"{", b"", b"NaN", b'{"items": [NaN]}', b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_400(caller: Caller, body: bytes) -> None:
    answer = caller._client.post(URL, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


def test_nul_bytes_are_refused_and_huge_numbers_fail_their_item(caller: Caller) -> None:
    body = json.dumps({**HEAD, "items": [payment(target="a\x00b")]})
    answer = caller._client.post(URL, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_text")
    body = json.dumps({**HEAD, "items": payments(1)})[:-2] + ', {"amount": 1e300}]}'
    assert caller._client.post(URL, body, content_type="application/json").status_code == 201
    assert BatchItem.objects.get(number=2).error_code == "item_invalid"
    # A number that is infinite for most readers makes the whole body unreadable.
    body = body.replace("1e300", "1e999")
    answer = caller._client.post(URL, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


def test_twenty_thousand_fit_in_and_one_more_does_not(caller: Caller) -> None:
    items = [
        payment(n, justification="Cash for food in the months of need.") for n in range(20_000)
    ]
    body = json.dumps({**HEAD, "items": items, "dry_run": True})
    assert len(body) > 2 * 1024 * 1024
    answer = caller._client.post(URL, body, content_type="application/json")
    assert (answer.status_code, answer.json()["sound"]) == (200, 20_000)
    body = json.dumps({**HEAD, "items": [*items, payment()], "dry_run": True})
    answer = caller._client.post(URL, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_items")


def test_more_than_the_room_is_413(caller: Caller, settings: Any) -> None:
    settings.BATCH_MAX_BYTES = 3 * 1024 * 1024
    body = b" " * (3 * 1024 * 1024 + 1)
    answer = caller._client.post(URL, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    answer = upload(caller, body)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_the_server_lets_a_large_batch_in_and_nothing_else_of_that_size() -> None:
    async def taking(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    application = limited(taking, most=10, roomier=[BATCHES])

    async def status(path: str, kind: bytes) -> int:
        answers: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"x" * 1000}

        async def send(message: dict[str, Any]) -> None:
            answers.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [(b"content-type", kind)],
        }
        await application(scope, receive, send)
        return int(answers[0]["status"])

    assert await status(URL, b"application/json") == 200
    assert await status(URL, b"multipart/form-data; boundary=x") == 200
    assert await status("/interventions/batches/new/", b"multipart/form-data; boundary=x") == 200
    assert await status(URL, b"text/plain") == 413
    assert await status(f"{URL}/{uuid4()}/cancel", b"application/json") == 413
    assert await status("/api/v1/interventions", b"application/json") == 413


def test_it_says_how_far_it_is(world: World, caller: Caller) -> None:
    batch = asked(world, [*payments(3), payment(amount="x")])
    opened(batch)
    items = prepared(batch, 2).items
    world.finish(Intervention.objects.get(pk=items[0].intervention_id))
    told = caller.get(f"{URL}/{batch.pk}").json()
    assert told["status"] == "running"
    counts = {k: told[k] for k in ("total", "waiting", "running", "done", "failed", "cancelled")}
    assert counts == {
        "total": 4, "waiting": 1, "running": 1, "done": 1, "failed": 1, "cancelled": 0,
    }  # fmt: skip
    assert (told["amount"], told["approval"]) == ("300.00", None)
    listed = caller.get(URL).json()["items"]
    assert listed[0]["done"] == 1
    assert caller.get(URL, status="completed").json()["items"] == []


def test_the_list_of_the_api_takes_the_filters_of_the_page(world: World, caller: Caller) -> None:
    batch = asked(world)
    colleague = Caller(world.people["auditor"])
    assert [one["id"] for one in caller.get(URL, mine=True).json()["items"]] == [str(batch.pk)]
    assert len(colleague.get(URL).json()["items"]) == 1
    assert colleague.get(URL, mine=True).json()["items"] == []


def test_items_are_paged_and_say_why_they_failed(world: World, caller: Caller) -> None:
    batch = asked(world, [payment(1), payment(amount="x"), payment(3)])
    url = f"{URL}/{batch.pk}/items"
    first = caller.get(url, limit=2).json()
    assert [item["number"] for item in first["items"]] == [1, 2]
    assert first["items"][1]["error"]["code"] == "amount_invalid"
    assert first["items"][1]["raw"]["amount"] == "x"
    second = caller.get(url, limit=2, cursor=first["next"]).json()
    assert ([item["number"] for item in second["items"]], second["next"]) == ([3], None)
    failed = caller.get(url, status="failed").json()["items"]
    assert [item["number"] for item in failed] == [2]
    assert caller.get(url, cursor="x").json()["code"] == "bad_cursor"
    assert caller.get(url, status="nonsense").status_code == 422


def test_pause_resume_cancel(world: World, caller: Caller) -> None:
    batch = asked(world)
    url = f"{URL}/{batch.pk}"
    early = caller.post(f"{url}/pause")
    assert (early.status_code, early.json()["code"]) == (409, "not_running")
    opened(batch)
    assert caller.post(f"{url}/pause", {"reason": "Wait."}).json()["status"] == "paused"
    assert caller.post(f"{url}/resume").json()["status"] == "running"
    assert caller.post(f"{url}/cancel").json()["status"] == "cancelled"
    assert caller.post(f"{url}/resume").json()["code"] == "already_settled"
    assert caller.post(f"{url}/cancel", {"more": 1}).status_code == 422


def test_who_may_not_see_a_batch_finds_none(world: World) -> None:
    batch = asked(world)
    stranger = Caller(User.objects.create(username="stranger"))
    for address in (f"{URL}/{batch.pk}", f"{URL}/{batch.pk}/items", f"{URL}/{uuid4()}"):
        assert stranger.get(address).status_code == 404
    for verb in ("pause", "resume", "cancel"):
        assert stranger.post(f"{URL}/{batch.pk}/{verb}").status_code == 404
    assert stranger.get(URL).json()["items"] == []
    assert stranger.post(URL, {**HEAD, "items": payments(1)}).status_code == 403
    auditor = Caller(world.people["auditor"])
    assert auditor.get(f"{URL}/{batch.pk}").status_code == 200
    assert auditor.post(f"{URL}/{batch.pk}/cancel").status_code == 403
    reads = Caller(world.requester, "interventions:read")
    assert reads.post(URL, {**HEAD, "items": payments(1)}).status_code == 403
    assert Client().get(URL).status_code == 401


def test_the_list_asks_no_more_with_more_batches(world: World, caller: Caller) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as found:
            assert caller.get(URL).status_code == 200
        return len(found)

    asked(world)
    queries()
    one = queries()
    for _ in range(4):
        asked(world)
    assert queries() == one


# --- pages ---------------------------------------------------------------------------------------
def form(**changes: Any) -> dict[str, Any]:
    return {
        "policy": "relief",
        "budget": "main",
        "title": "",
        "text": CSV,
        "idempotency_key": "page-1",
        "check": "1",
    } | changes


def test_checking_shows_errors_by_line_and_stores_nothing(world: World) -> None:
    client = client_of(world, "requester")
    page = client.post(reverse("batch_new"), form())
    assert page.status_code == 200
    assert "2 of 3 payments can be made" in text(page)
    assert "Line 3" in text(page)
    assert "begins at once" in text(page)
    assert not InterventionBatch.objects.exists()
    file = SimpleUploadedFile("x.csv", CSV.encode())
    page = client.post(reverse("batch_new"), form(text="", file=file))
    assert "100.50,Chika,Food" in text(page)  # to be corrected and sent without the file


def test_sending_asks_once_however_often_it_is_sent(world: World) -> None:
    client = client_of(world, "requester")
    sent = form(send="1")
    del sent["check"]
    for _ in range(2):
        page = client.post(reverse("batch_new"), sent, follow=True)
        assert page.status_code == 200
    batch = InterventionBatch.objects.get()
    assert page.redirect_chain == [(reverse("batch", args=[batch.pk]), 302)]
    assert "Nothing new" in text(page)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"text": ""}, 422),
        ({"text": "amount\n1"}, 422),
        ({"policy": "none"}, 422),
        ({"text": "x\x00"}, 422),
        ({"title": "t" * 161}, 422),
        ({"idempotency_key": ""}, 422),
        ({"text": "amount,target,justification\n0,a,b\n", "send": "1"}, 422),
    ],
)
def test_a_form_that_is_not_sound_is_shown_again(world: World, changes: Any, status: int) -> None:
    page = client_of(world, "requester").post(reverse("batch_new"), form(**changes))
    assert page.status_code == status
    assert 'role="alert"' in text(page)


def test_only_who_may_ask_gets_the_form_and_csrf_is_asked_for(world: World) -> None:
    assert client_of(world, "auditor").get(reverse("batch_new")).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(world.requester)
    assert strict.post(reverse("batch_new"), form()).status_code == 403
    batch = asked(world)
    address = reverse("batch_act", args=[batch.pk, "cancel"])
    assert strict.post(address).status_code == 403
    assert client_of(world, "requester").get(address).status_code == 405


def test_the_page_shows_how_far_it_is_and_filters(world: World) -> None:
    batch = asked(world, [*payments(60), payment(amount="=1+1", target="=cmd")])
    opened(batch)
    items = prepared(batch, 1).items
    world.finish(Intervention.objects.get(pk=items[0].intervention_id))
    client = client_of(world, "requester")
    address = reverse("batch", args=[batch.pk])
    page = text(client.get(address))
    assert "2 of 61 ended" in page
    assert "after=50" in page
    assert "Household 51" in text(client.get(address, {"after": "50"}))
    failed = text(client.get(address, {"show": "failed"}))
    assert "An amount is above zero" in failed
    assert "<bdi>=cmd</bdi>" in failed, "whom it names, as it came"
    assert "<bdi>=1+1</bdi>" in failed
    assert "Household 7" not in failed
    for query in ({"show": "\x00"}, {"after": "x"}, {"after": "9" * 30}, {"show": "none"}):
        assert client.get(address, query).status_code == 200
    live = client.get(reverse("batch_live", args=[batch.pk]))
    assert live.status_code == 200
    assert 'id="batch-progress"' in text(live)


@pytest.mark.parametrize(
    ("item", "named", "amount"),
    [
        ({"amount": "x" * 300, "target": "<b>A</b>", "justification": "J"}, "<b>A</b>", "x" * 200),
        ({"amount": True, "target": ["a"], "justification": "J"}, "", ""),
        ({"amount": 1.5e300, "target": "\x00", "justification": "J"}, "", ""),
        ("no item", "", ""),
        (payment(target="Known"), "Known", ""),
    ],
    ids=["texts", "odd", "unstorable", "text", "sound"],
)
def test_an_item_is_named_as_it_came(world: World, item: Any, named: str, amount: str) -> None:
    batch = asked(world, [payment(), item])
    row = batch.items.get(number=2)
    assert (row.named_target, row.named_amount) == (named, amount)
    page = text(client_of(world, "requester").get(reverse("batch", args=[batch.pk])))
    assert "Nobody is named" in page or named


def test_a_batch_that_waits_says_for_what(world: World) -> None:
    batch = asked(world, payments(2, amount="9000"))
    client = client_of(world, "requester")
    for address in (reverse("batches"), reverse("batch", args=[batch.pk])):
        assert "waiting for approval" in text(client.get(address))
    assert "2 payments" not in text(client.get(reverse("batches"), {"status": "paused"}))


def test_what_failed_can_be_downloaded_and_no_spreadsheet_runs_it(world: World) -> None:
    batch = asked(world, [payment(), payment(amount="x", target="=cmd()"), ["odd"]])
    answer = client_of(world, "requester").get(reverse("batch_failed_csv", args=[batch.pk]))
    assert "attachment" in answer["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert rows[1][:3] == ["2", "x", "'=cmd()"]
    assert rows[1][5] == "amount_invalid"
    assert (rows[2][0], rows[2][2], rows[2][5]) == ("3", '["odd"]', "item_invalid")


def test_what_was_too_long_to_be_kept_is_in_the_file_as_far_as_it_was_kept(world: World) -> None:
    long = {"amount": "x", "target": "Amina", "justification": "y" * 9000}
    batch = asked(world, [payment(), long, payment(target="a\x00b")])
    answer = client_of(world, "requester").get(reverse("batch_failed_csv", args=[batch.pk]))
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert [row[0] for row in rows[1:]] == ["2", "3"]
    assert rows[1][2].startswith('{"amount":"x","justification":"yyy')
    assert "a\\\\u0000b" in rows[2][2]


def test_acting_on_the_page(world: World) -> None:
    batch = asked(world)
    opened(batch)
    client = client_of(world, "requester")
    for verb, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        page = client.post(reverse("batch_act", args=[batch.pk, verb]), {"reason": "So."})
        assert page.status_code == 302
        batch.refresh_from_db()
        assert batch.status == status
    late = client.post(reverse("batch_act", args=[batch.pk, "pause"]), follow=True)
    assert "Nothing was changed" in text(late)
    assert client.post(reverse("batch_act", args=[batch.pk, "explode"])).status_code == 404
    long = client.post(
        reverse("batch_act", args=[batch.pk, "pause"]), {"reason": "x" * 2001}, follow=True
    )
    assert "too long" in text(long)


def test_who_may_not_see_a_batch_finds_no_page(world: World) -> None:
    batch = asked(world)
    client = Client()
    client.force_login(User.objects.create(username="stranger"))
    for name in ("batch", "batch_live", "batch_failed_csv"):
        assert client.get(reverse(name, args=[batch.pk])).status_code == 404
    assert client.post(reverse("batch_act", args=[batch.pk, "cancel"])).status_code == 404
    assert "Household" not in text(client.get(reverse("batches")))
    reviewer = client_of(world, "reviewer")
    assert reviewer.get(reverse("batch", args=[batch.pk])).status_code == 200
    assert "Cancel the batch" not in text(reviewer.get(reverse("batch", args=[batch.pk])))


def test_the_list_and_its_fragment(world: World) -> None:
    asked(world, title="June")
    client = client_of(world, "reviewer")
    assert "June" in text(client.get(reverse("batches")))
    assert "June" in text(client.get(reverse("batches_live")))
    assert "June" not in text(client.get(reverse("batches"), {"status": "completed"}))
    assert client.get(reverse("batches"), {"status": "\x00", "cursor": "x"}).status_code == 200


def test_a_signer_reads_the_first_payments_and_finds_all_of_them(world: World) -> None:
    batch = asked(world, payments(50, amount="5000.00"))
    opened(batch)
    request = request_of(batch)
    page = text(client_of(world, "reviewer").get(reverse("request", args=[request.pk])))
    words, _, sealed = page.partition('id="seal"')
    assert "Household 20" in words
    assert "Household 21" not in words
    # The exact text under the seal has every one.
    assert "Household 50" in sealed
    assert "and 30 more, all of them signed" in page
    assert reverse("batch", args=[batch.pk]) in page
    assert "Its payments are carried out one after the other" in page
    api = Caller(world.people["reviewer"]).get(f"/api/v1/approvals/{request.pk}").json()
    assert len(api["payload"]["items"]) == 50


def test_an_intervention_of_a_batch_leads_to_it(world: World) -> None:
    batch = asked(world)
    opened(batch)
    item = prepared(batch, 1).items[0]
    page = client_of(world, "requester").get(reverse("intervention", args=[item.intervention_id]))
    assert reverse("batch", args=[batch.pk]) in text(page)


# --- admin ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
def test_the_admins_verbs_ask_first_and_then_do_it(world: World, verb: str) -> None:
    batch = asked(world)
    opened(batch)
    if verb == "resume":
        batches.batch_pause(**acting(world, batch))
    operator = world.people["operator"]
    operator.is_staff = True
    operator.save()
    client = client_of(world, "operator")
    address = reverse("admin:interventions_interventionbatch_changelist")
    chosen = {"action": verb, "_selected_action": [str(batch.pk)]}
    before = InterventionBatch.objects.get().status
    assert client.post(address, chosen).status_code == 200
    assert InterventionBatch.objects.get().status == before
    done = client.post(address, {**chosen, "confirmed": "yes", "reason": "Because."})
    assert done.status_code == 200
    expected = {"pause": "paused", "resume": "running", "cancel": "cancelled"}[verb]
    assert InterventionBatch.objects.get().status == expected
    change = reverse("admin:interventions_interventionbatch_change", args=[batch.pk])
    assert "3 waiting" in text(client.get(change)) or verb == "cancel"
    items = reverse("admin:interventions_batchitem_changelist")
    assert client.get(items, {"q": str(batch.pk)}).status_code == 200
