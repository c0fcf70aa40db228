"""Pages, API and admin of budgets and transfers: who sees what, and what survives bad input."""

import csv
import io
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.common.windows import site_day
from apps.interventions.burndown import burn_down
from apps.interventions.models import Budget, BudgetEntry, BudgetTransfer
from apps.interventions.services import budgets, transfers
from apps.web.charts import MOST_POINTS
from tests.interventions.conftest import World
from tests.interventions.test_api import Caller
from tests.interventions.test_transfers import asked, decide
from tests.plans import plan_by_index

URL = "/api/v1/budgets/transfers"
BODY: dict[str, Any] = {
    "source": "main",
    "destination": "spare",
    "amount": "1000.00",
    "reason": "The north needs it more.",
}


@pytest.fixture(autouse=True)
def _spare(world: World) -> None:
    world.budget("spare", "500.00")


def client_of(world: World, name: str) -> Client:
    client = Client()
    client.force_login(world.people[name])
    return client


def text(response: Any) -> str:
    return unescape(response.content.decode())


# --- the API -------------------------------------------------------------------------------------
def test_asking_answers_201_and_the_same_again_200(world: World) -> None:
    caller = Caller(world.requester)
    first = caller.post(URL, BODY | {"idempotency_key": "k-1"})
    assert first.status_code == 201
    row = BudgetTransfer.objects.get()
    approval = transfers.transfer_approval(row)
    assert approval is not None
    assert first.json() == {
        "id": str(row.pk),
        "status": "awaiting_approval",
        "approval": str(approval.pk),
    }
    second = caller.post(URL, BODY | {"idempotency_key": "k-1", "amount": 1000})
    assert (second.status_code, second.json()) == (200, first.json())
    third = caller.post(URL, BODY | {"idempotency_key": "k-1", "reason": "Another."})
    assert (third.status_code, third.json()["code"]) == (409, "idempotency_key_reused")


@pytest.mark.parametrize(
    "change",
    [
        *({"amount": amount} for amount in ("0", "-5", "1.001", "NaN", "Infinity", "1e15", True)),
        {"amount": None},
        {"amount": []},
        {"source": "MAIN"},
        {"source": "main\x00"},
        {"source": 5},
        {"destination": "main"},
        {"reason": ""},
        {"reason": "a\x00b"},
        {"reason": "x" * 1_000_000},
        {"reason": {"a": 1}},
        {"idempotency_key": "k" * 121},
        {"unknown": 1},
    ],
)
def test_bad_input_is_a_problem_document(world: World, change: dict[str, Any]) -> None:
    answer = Caller(world.requester).post(URL, BODY | change)
    assert answer.status_code == 422, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert not BudgetTransfer.objects.exists()


def test_who_may_not_is_told_so_and_other_peoples_are_not_there(world: World) -> None:
    assert Caller(world.people["reviewer"]).post(URL, BODY).status_code == 403
    tried = AuditEntry.objects.get(action="budget.transfer_request")
    assert (tried.outcome, tried.code, tried.via) == ("refused", "permission_denied", "api")
    assert Caller(world.requester, "budgets:read").post(URL, BODY).status_code == 403
    transfer = asked(world)
    stranger = Caller(User.objects.create(username="stranger"))
    assert stranger.get(f"{URL}/{transfer.pk}").status_code == 404
    assert stranger.post(f"{URL}/{transfer.pk}/cancel").status_code == 404
    assert stranger.get(URL).json() == {"items": [], "next": None}
    auditor = Caller(world.people["auditor"])
    assert auditor.get(f"{URL}/{transfer.pk}").status_code == 200
    assert auditor.post(f"{URL}/{transfer.pk}/cancel").status_code == 403
    assert Client().get(URL).status_code == 401


def test_a_transfer_is_read_listed_and_taken_back(world: World) -> None:
    caller = Caller(world.requester)
    transfer = asked(world)
    read = caller.get(f"{URL}/{transfer.pk}").json()
    assert (read["source"], read["destination"], read["amount"]) == ("main", "spare", "1000.00")
    assert read["error"] is None
    assert [one["id"] for one in caller.get(URL, budget="spare").json()["items"]] == [read["id"]]
    assert caller.get(URL, budget="other").json()["items"] == []
    assert caller.get(URL, status="done").json()["items"] == []
    ended = caller.post(f"{URL}/{transfer.pk}/cancel", {"reason": "No longer needed."})
    assert (ended.status_code, ended.json()["status"]) == (200, "cancelled")
    assert ended.json()["error"] == {"code": "cancelled", "detail": "No longer needed."}
    again = caller.post(f"{URL}/{transfer.pk}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "already_settled")
    assert caller.get(f"{URL}/nonsense").status_code in {404, 422}


def test_a_budget_tells_its_period_and_a_series_is_a_filter(world: World) -> None:
    budgets.budget_open(
        code="q1", name="Q1", currency="NGN", series="north", starts_on=date(2026, 1, 1),
        ends_on=date(2026, 3, 31), alert_percent=25, by=None, via="command",
    )  # fmt: skip
    caller = Caller(world.requester)
    read = caller.get("/api/v1/budgets/q1").json()
    told = {name: read[name] for name in ("series", "starts_on", "ends_on", "alert_percent", "low")}
    assert told == {
        "series": "north",
        "starts_on": "2026-01-01",
        "ends_on": "2026-03-31",
        "alert_percent": 25,
        "low": False,
    }
    listed = caller.get("/api/v1/budgets", series="north").json()["items"]
    assert [one["code"] for one in listed] == ["q1"]
    assert caller.get("/api/v1/budgets", series="a\x00b").json()["items"] == []


def test_a_page_of_transfers_asks_as_often_as_a_short_one(world: World) -> None:
    caller = Caller(world.people["auditor"])

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert caller.get(URL).status_code == 200
        return len(captured)

    asked(world)
    queries()
    few = queries()
    for _ in range(6):
        asked(world)
    assert queries() == few


# --- pages ---------------------------------------------------------------------------------------
def test_every_page_opens_for_who_may_and_not_for_others(world: World) -> None:
    transfer = asked(world)
    decide(world, asked(world))
    pages = ["/budgets/", "/budgets/main/", "/budgets/main/ledger.csv", "/budgets/main/live/"]
    pages += ["/budgets/?series=none&state=open", "/budgets/?state=low", "/budgets/?state=odd"]
    pages += ["/budgets/transfers/", "/budgets/transfers/live/", "/budgets/transfers/?mine=on"]
    pages += [f"/budgets/transfers/{transfer.pk}/", f"/budgets/transfers/{transfer.pk}/live/"]
    for name in ("requester", "senior", "auditor", "operator", "admin"):
        client = client_of(world, name)
        answers = {path: client.get(path).status_code for path in pages}
        assert {path: status for path, status in answers.items() if status != 200} == {}, name
    stranger = Client()
    stranger.force_login(User.objects.create(username="stranger"))
    assert stranger.get("/budgets/main/ledger.csv").status_code == 403
    assert stranger.get(f"/budgets/transfers/{transfer.pk}/").status_code == 404
    assert stranger.get("/budgets/transfers/new/").status_code == 403
    assert client_of(world, "reviewer").get("/budgets/transfers/new/").status_code == 403
    assert Client().get("/budgets/transfers/").status_code == 302


@pytest.mark.parametrize(
    "query", ["before=²", "before=" + "9" * 40, "before=-1", "kind=x", "kind=%00", "before=%00"]
)
def test_a_ledger_page_survives_bad_addresses(world: World, query: str) -> None:
    client = client_of(world, "auditor")
    for path in ("/budgets/main/", "/budgets/main/live/", "/budgets/main/ledger.csv"):
        assert client.get(f"{path}?{query}").status_code == 200


def test_the_form_asks_once_however_often_it_is_sent(world: World) -> None:
    client = client_of(world, "requester")
    page = text(client.get("/budgets/transfers/new/?from=main"))
    key = re.search(r'name="idempotency_key" value="([^"]+)"', page)
    assert key
    assert '<option value="main" selected>' in page
    form = BODY | {"idempotency_key": key[1]}
    first = client.post("/budgets/transfers/new/", form)
    transfer = BudgetTransfer.objects.get()
    assert first.headers["Location"] == f"/budgets/transfers/{transfer.pk}/"
    second = client.post("/budgets/transfers/new/", form, follow=True)
    assert "Nothing new" in text(second)
    assert BudgetTransfer.objects.count() == 1
    shown = text(client.get(f"/budgets/transfers/{transfer.pk}/"))
    assert "The north needs it more." in shown
    assert "Take it back" in shown
    assert "Take it back" not in text(
        client_of(world, "auditor").get(f"/budgets/transfers/{transfer.pk}/")
    )
    client.post(f"/budgets/transfers/{transfer.pk}/", {"reason": ""})
    transfer.refresh_from_db()
    assert transfer.status == "cancelled"
    late = client.post(f"/budgets/transfers/{transfer.pk}/", {"reason": ""})
    assert late.status_code == 409
    assert 'data-code="already_settled"' in text(late)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"amount": "NaN"}, 422),
        ({"amount": "1e400"}, 422),
        ({"source": "nowhere"}, 422),
        ({"destination": "main"}, 422),
        ({"reason": "a\x00b"}, 422),
        ({"reason": ""}, 422),
        ({"idempotency_key": ""}, 422),
        ({"amount": "99999999999.00"}, 409),
    ],
)
def test_the_form_keeps_what_was_written_when_it_is_refused(
    world: World, change: dict[str, str], status: int
) -> None:
    client = client_of(world, "requester")
    form = BODY | {"idempotency_key": "k"} | change
    answer = client.post("/budgets/transfers/new/", form)
    assert answer.status_code == status
    assert 'id="refusal"' in text(answer)
    assert not BudgetTransfer.objects.exists()


def test_a_form_of_another_site_is_refused(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.requester)
    assert client.post("/budgets/transfers/new/", BODY).status_code == 403
    assert not BudgetTransfer.objects.exists()


def test_little_left_is_said_on_the_list_the_page_and_the_home_page(world: World) -> None:
    world.reserve(world.ask(budget="spare", amount=Decimal("460.00")))
    client = client_of(world, "auditor")
    for path in ("/budgets/", "/budgets/spare/", "/"):
        assert "little is left" in text(client.get(path)).lower(), path
    assert "little is left" not in text(client.get("/budgets/main/")).lower()
    assert "spare" in text(client.get("/budgets/?state=low"))
    assert 'href="/budgets/main/"' not in text(client.get("/budgets/?state=low"))


def test_the_ledger_is_paged_filtered_and_linked(world: World) -> None:
    for _ in range(3):
        world.reserve(world.ask(amount=Decimal("1.00")))
    transfer = asked(world)
    decide(world, transfer)
    lines = [
        BudgetEntry(budget=Budget.objects.get(code="main"), kind="allocate", amount=1, key=f"k{n}")
        for n in range(60)
    ]
    BudgetEntry.objects.bulk_create(lines)
    client = client_of(world, "auditor")
    page = text(client.get("/budgets/main/"))
    assert page.count("The budget itself") == 50
    older = re.search(r'href="/budgets/main/\?before=(\d+)"', page)
    assert older
    rest = text(client.get(f"/budgets/main/?before={older[1]}"))
    assert rest.count("The budget itself") == 11
    assert f"/budgets/transfers/{transfer.pk}/" in rest
    assert rest.count("Village cooperative") == 3
    only = text(client.get("/budgets/main/?kind=transfer_out"))
    assert "To spare" in only
    assert "Village cooperative" not in only
    # Who may not see other people's reads that there is one, and not whose.
    hidden = text(client_of(world, "operator").get("/budgets/main/?kind=reserve"))
    assert hidden.count("Village cooperative") == 3
    clerk = User.objects.create(username="clerk")
    clerk.user_permissions.add(Permission.objects.get(codename="view_budget"))
    alone = Client()
    alone.force_login(clerk)
    assert "Village cooperative" not in text(alone.get("/budgets/main/?kind=reserve"))


def test_the_export_has_every_line_once_and_is_recorded(world: World) -> None:
    budget = Budget.objects.get(code="main")
    lines = [
        BudgetEntry(budget=budget, kind="allocate", amount=1, key=f"k{n}") for n in range(2100)
    ]
    BudgetEntry.objects.bulk_create(lines)
    client = client_of(world, "auditor")
    with CaptureQueriesContext(connection) as captured:
        answer = client.get("/budgets/main/ledger.csv")
        body = b"".join(answer.streaming_content).decode()
    assert sum("LIMIT 1000" in query["sql"] for query in captured) == 3
    rows = list(csv.DictReader(io.StringIO(body)))
    assert len(rows) == len({row["line"] for row in rows}) == 2101
    assert {row["currency"] for row in rows} == {"NGN"}
    assert answer.headers["Content-Disposition"] == 'attachment; filename="ledger-main.csv"'
    assert AuditEntry.objects.filter(action="budget.ledger_export").count() == 1
    only = client.get("/budgets/main/ledger.csv?kind=reserve")
    assert b"".join(only.streaming_content).decode().count("\n") == 1


# --- burn-down -----------------------------------------------------------------------------------
def past(budget: Budget, kind: str, amount: str, days_ago: int, world: World) -> None:
    """A line of that day; the balances follow, as the services would have left them."""
    much = Decimal(amount)
    at = timezone.now() - timedelta(days=days_ago)
    intervention = None if kind == "allocate" else world.ask(budget=budget.code, amount=much)
    BudgetEntry.objects.create(
        budget=budget, intervention=intervention, kind=kind, amount=much,
        key=f"past:{BudgetEntry.objects.count()}", at=at,
    )  # fmt: skip
    budget.refresh_from_db()
    if kind == "allocate":
        budget.total += much
    else:
        budget.reserved += much
    budget.save(update_fields=["total", "reserved"])


def test_the_burn_down_walks_back_from_today_and_says_when_it_is_used_up(world: World) -> None:
    budget = budgets.budget_open(
        code="slow", name="Slow", currency="NGN", by=None, via="command", alert_percent=0
    )
    past(budget, "allocate", "1000.00", 20, world)
    past(budget, "reserve", "100.00", 10, world)
    past(budget, "reserve", "110.00", 2, world)
    now = timezone.now()
    chart = burn_down(budget, as_of=now)
    assert chart is not None
    values = [reading.amount for reading in chart.line.readings]
    assert values == [Decimal(1000)] * 10 + [Decimal(900)] * 8 + [Decimal(790)] * 3
    assert chart.pace.amount == Decimal(10)
    assert chart.pace.used_up_on == site_day(now) + timedelta(days=79)
    assert "NGN 10.00 a day" in chart.words
    page = text(client_of(world, "auditor").get("/budgets/slow/"))
    assert f'aria-label="{chart.words}"' in page
    assert "<polyline" in page


def test_the_first_days_make_no_pace(world: World) -> None:
    budget = budgets.budget_open(code="fresh", name="Fresh", currency="NGN", by=None, via="command")
    past(budget, "allocate", "1000.00", 1, world)
    chart = burn_down(budget, as_of=timezone.now())
    assert chart is not None
    assert chart.line.drawable
    assert (chart.pace.amount, chart.pace.used_up_on, chart.line.ahead) == (Decimal(0), None, "")
    assert "too few days" in chart.words


def test_the_first_day_is_told_and_not_drawn_as_an_empty_frame(world: World) -> None:
    world.reserve(world.ask())
    chart = burn_down(Budget.objects.get(code="main"), as_of=timezone.now())
    assert chart is not None
    assert (len(chart.line.readings), chart.line.drawable) == (1, False)
    assert "first day" in chart.words
    page = text(client_of(world, "auditor").get("/budgets/main/"))
    assert chart.words in page
    assert "<polyline" not in page
    assert "figures as a table" not in page


def test_a_period_of_one_day_that_is_over_is_told_in_words(world: World) -> None:
    today = site_day(timezone.now())
    budget = budgets.budget_open(
        code="day", name="Day", currency="NGN", by=None, via="command",
        starts_on=today - timedelta(days=3), ends_on=today - timedelta(days=3),
    )  # fmt: skip
    past(budget, "allocate", "100.00", 3, world)
    chart = burn_down(budget, as_of=timezone.now())
    assert chart is not None
    assert not chart.line.drawable
    assert chart.words.endswith("NGN 100.00. The period is over.")


def test_a_long_period_is_drawn_with_few_points(world: World) -> None:
    budget = budgets.budget_open(code="old", name="Old", currency="NGN", by=None, via="command")
    past(budget, "allocate", "1000.00", 900, world)
    past(budget, "reserve", "5.00", 1, world)
    chart = burn_down(budget, as_of=timezone.now())
    assert chart is not None
    assert len(chart.line.readings) <= MOST_POINTS
    readings = chart.line.readings
    assert (readings[-1].amount, readings[0].amount) == (Decimal(995), Decimal(1000))


def test_the_burn_down_of_a_period_that_is_over_ends_with_it(world: World) -> None:
    today = site_day(timezone.now())
    budget = budgets.budget_open(
        code="past", name="Past", currency="NGN", by=None, via="command",
        starts_on=today - timedelta(days=30),
    )  # fmt: skip
    past(budget, "allocate", "100.00", 30, world)
    past(budget, "reserve", "40.00", 20, world)
    past(budget, "reserve", "10.00", 1, world)
    Budget.objects.filter(pk=budget.pk).update(ends_on=today - timedelta(days=5))
    budget.refresh_from_db()
    chart = burn_down(budget, as_of=timezone.now())
    assert chart is not None
    assert chart.line.readings[-1].day == today - timedelta(days=5)
    assert chart.line.readings[-1].amount == Decimal(60)
    assert chart.pace.used_up_on is None
    assert "The period is over." in chart.words


def test_without_a_line_or_before_its_first_day_there_is_nothing_to_draw(world: World) -> None:
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)
    empty = budgets.budget_open(code="empty", name="Empty", currency="NGN", by=None, via="command")
    assert burn_down(empty, as_of=now) is None
    later = budgets.budget_open(
        code="later", name="Later", currency="NGN", by=None, via="command",
        starts_on=date(2026, 7, 1),
    )  # fmt: skip
    assert burn_down(later, as_of=now) is None
    assert "There is no chart yet" in text(client_of(world, "auditor").get("/budgets/empty/"))


@pytest.mark.parametrize("last", [date(1, 1, 5), date(1969, 12, 31)])
def test_a_period_that_was_over_before_there_was_money_has_nothing_to_draw(
    world: World, last: date
) -> None:
    budgets.budget_open(
        code="gone", name="Gone", currency="NGN", by=None, via="admin", ends_on=last
    )
    budgets.budget_allocate(code="gone", amount=Decimal(5), key="gone", by=None, via="admin")
    page = client_of(world, "auditor").get("/budgets/gone/")
    assert page.status_code == 200
    assert "There is no chart yet" in text(page)


def test_the_sums_of_days_are_read_from_the_index(world: World) -> None:
    budget = Budget.objects.get(code="main")
    now = timezone.now()
    lines = [
        BudgetEntry(
            budget=budget, kind="allocate", amount=1, key=f"k{n}", at=now - timedelta(hours=n)
        )
        for n in range(3000)
    ]
    BudgetEntry.objects.bulk_create(lines)
    plan = plan_by_index(
        "SELECT kind, sum(amount) FROM interventions_budgetentry"
        " WHERE budget_id = %s AND at >= now() - interval '2 days' GROUP BY kind",
        "ledger_by_day",
        [budget.pk],
    )
    condition = plan.partition("Index Cond:")[2].partition("\n")[0]
    assert "budget_id = " in condition
    assert "at >= " in condition


def test_a_rare_kind_is_found_without_reading_the_ledger(world: World) -> None:
    budget = Budget.objects.get(code="main")
    lines = [
        BudgetEntry(budget=budget, kind="allocate", amount=1, key=f"k{n}") for n in range(3000)
    ]
    BudgetEntry.objects.bulk_create(lines)
    rows = BudgetEntry.objects.filter(budget=budget, kind="transfer_in").order_by("-pk")[:51]
    plan = plan_by_index(rows, "ledger_rare_kinds", ordered=True)
    assert "kind" in plan.partition("Index Cond:")[2].partition("\n")[0]


# --- the admin -----------------------------------------------------------------------------------
OPEN = {
    "code": "north-2027",
    "name": "North 2027",
    "currency": "NGN",
    "series": "north",
    "starts_on": "2027-01-01",
    "ends_on": "2027-12-31",
    "alert_percent": "15",
}


def confirmed(client: Client, path: str, form: dict[str, str]) -> Any:
    """First what will happen, then the button below it."""
    shown = client.post(path, form)
    assert shown.status_code == 200, text(shown)
    stamp = re.search(r'name="stamp" value="(\w+)"', text(shown))
    assert stamp
    return client.post(path, form | {"stamp": stamp[1], "_run": "Go"})


def test_a_budget_is_opened_after_its_page_has_said_what_will_happen(world: World) -> None:
    client = client_of(world, "admin")
    path = reverse("admin:interventions_budget_open")
    shown = client.post(path, OPEN)
    assert "It is for 1 Jan 2027 to 31 Dec 2027. It is a period of north." in text(shown)
    assert not Budget.objects.filter(code="north-2027").exists()
    assert confirmed(client, path, OPEN).status_code == 302
    budget = Budget.objects.get(code="north-2027")
    assert (budget.series, budget.ends_on, budget.alert_percent) == (
        "north",
        date(2027, 12, 31),
        15,
    )
    # Sent twice it is done; another one of that code is not.
    assert confirmed(client, path, OPEN).status_code == 302
    for change in ({"name": "Another"}, {"alert_percent": "20"}):
        taken = confirmed(client, path, OPEN | change)
        assert taken.status_code == 422
        assert "is open already" in text(taken)
    refused = confirmed(client, path, OPEN | {"code": "again"})
    assert refused.status_code == 422
    assert "has a period with some of these days" in text(refused)
    # What was shown is what is done.
    stale = client.post(path, OPEN | {"code": "other", "stamp": "0" * 64, "_run": "Go"})
    assert stale.status_code == 200
    assert not Budget.objects.filter(code="other").exists()


def test_money_is_allocated_once_however_often_the_form_is_sent(world: World) -> None:
    client = client_of(world, "admin")
    budget = Budget.objects.get(code="main")
    path = reverse("admin:interventions_budget_allocate", args=[budget.pk])
    form = {"amount": "250.00", "reason": "Second instalment.", "key": "admin-1"}
    assert "Its total becomes NGN 10,000,250.00." in text(client.post(path, form)).replace(
        "\u00a0", " "
    )
    for _ in range(2):
        assert confirmed(client, path, form).status_code == 302
    assert Budget.objects.get(code="main").total == Decimal("10000250.00")
    entry = AuditEntry.objects.get(action="budget.allocate", via="admin")
    assert entry.body["reason"] == "Second instalment."
    assert client.post(path, form | {"amount": "NaN"}).status_code == 422
    assert client.get(reverse("admin:interventions_budget_allocate", args=["x"])).status_code == 404


def test_who_may_only_look_has_no_verbs(world: World) -> None:
    user = world.people["operator"]
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client()
    client.force_login(User.objects.get(pk=user.pk))
    budget = Budget.objects.get(code="main")
    assert client.get(reverse("admin:interventions_budget_open")).status_code == 403
    path = reverse("admin:interventions_budget_allocate", args=[budget.pk])
    assert client.post(path, {"amount": "1"}).status_code == 403
    page = text(client.get(reverse("admin:interventions_budget_change", args=[budget.pk])))
    assert "Allocate money" not in page
    assert "Open a budget" not in text(client.get(reverse("admin:interventions_budget_changelist")))
