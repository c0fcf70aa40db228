"""Outcomes told apart: counts, money per currency, success, time; bounded, and each their own."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.common import outcomes
from apps.common.errors import Invalid
from apps.common.windows import Counted, Window, window_of
from apps.console.templatetags.ui import duration
from apps.interventions.models import Budget, Intervention, Outcome, Policy
from apps.interventions.services import policies
from apps.interventions.services.analytics import OUTCOMES, By
from tests.interventions.conftest import World
from tests.interventions.test_api import Caller
from tests.plans import plan_by_index

URL = "/api/v1/interventions/outcomes"
FIRST, LAST = date(2026, 3, 1), date(2026, 3, 31)


class Past:
    """Interventions that have ended, as rows: what the services would have left behind."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = 0

    def end(
        self,
        status: str,
        day: int = 10,
        *,
        seconds: float = 10.0,
        amount: str = "100.00",
        at: datetime | None = None,
        code: str = "",
        policy: str = "relief",
        budget: str = "main",
        currency: str = "NGN",
        region: str = "",
        by: User | None = None,
    ) -> Outcome:
        self.number += 1
        at = at or datetime(2026, 3, day, 12, tzinfo=UTC)
        intervention = Intervention.objects.create(
            policy=Policy.objects.get(code=policy),
            budget=Budget.objects.get(code=budget),
            amount=Decimal(amount),
            currency=currency,
            target=f"Target {self.number}",
            justification="x",
            region=region,
            requested_by=by or self.world.requester,
            request_digest="",
            status=status,
            workflow_id=f"past-{self.number}",
            error_code=code,
            created_at=at - timedelta(seconds=seconds),
            settled_at=at,
        )
        return Outcome.objects.create(
            intervention=intervention,
            status=status,
            amount=Decimal(amount) if status == "executed" else Decimal(0),
            seconds=seconds,
            at=at,
        )


@pytest.fixture
def past(world: World) -> Past:
    return Past(world)


@pytest.fixture
def auditor(world: World) -> User:
    return world.people["auditor"]


def told(user: User, by: By = By.POLICY, first: date = FIRST, last: date = LAST) -> Any:
    return OUTCOMES.of(user=user, window=Window(first, last), by=by)


def drawn_for(user: User, first: date = FIRST, last: date = LAST) -> list[Counted]:
    return OUTCOMES.bars(user=user, window=Window(first, last))


# --- figures --------------------------------------------------------------------------------------
def test_what_ended_is_counted_by_how_it_ended(past: Past, auditor: User) -> None:
    for status, number in (("executed", 3), ("failed", 1), ("rejected", 2), ("cancelled", 1)):
        for _ in range(number):
            past.end(status, code="budget_exceeded" if status == "failed" else "")
    total = told(auditor).total
    assert total.count == 7
    assert total.ends == {"executed": 3, "failed": 1, "rejected": 2, "expired": 0, "cancelled": 1}
    assert total.success_rate == 0.75
    assert total.paid == {"NGN": Decimal("300.00")}


def test_half_and_95_of_100_took_no_longer(past: Past, auditor: User) -> None:
    for number in range(1, 22):
        past.end("executed", seconds=float(number))
    total = told(auditor).total
    assert (total.median_seconds, total.p95_seconds) == (11.0, 20.0)


def test_of_nothing_there_is_no_rate_and_no_time(world: World, auditor: User) -> None:
    found = told(auditor)
    assert (found.total.count, found.total.success_rate) == (0, None)
    assert (found.total.median_seconds, found.total.p95_seconds) == (None, None)
    assert (found.total.paid, found.groups, found.failures, found.more) == ({}, [], [], False)


def test_currencies_are_never_added_together(past: Past, auditor: User) -> None:
    policies.policy_put(
        code="chuvas",
        name="Chuvas",
        currency="BRL",
        reversible=True,
        max_amount=None,
        by=None,
        via="command",
    )
    past.end("executed", amount="100.00")
    past.end("executed", amount="7.50", policy="chuvas", currency="BRL")
    past.end("failed", amount="9.99", policy="chuvas", currency="BRL")
    found = told(auditor, By.DAY)
    both = {"BRL": Decimal("7.50"), "NGN": Decimal("100.00")}
    assert found.total.paid == both
    assert [group.paid for group in found.groups] == [both]
    by_policy = {group.key: group.paid for group in told(auditor, By.POLICY).groups}
    assert by_policy == {
        "chuvas": {"BRL": Decimal("7.50")},
        "relief": {"NGN": Decimal("100.00")},
    }


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        (By.POLICY, {"relief": 3, "grant": 1}),
        (By.BUDGET, {"main": 3, "second": 1}),
        (By.REGION, {"NG-KO": 2, "": 2}),
        (By.STATUS, {"executed": 3, "failed": 1}),
        (By.DAY, {"2026-03-01": 1, "2026-03-10": 2, "2026-03-31": 1}),
        (By.MONTH, {"2026-03": 4}),
    ],
)
def test_they_are_told_apart_by_what_one_asks_for(
    past: Past, auditor: User, by: By, keys: dict[str, int]
) -> None:
    past.world.budget("second", "10.00")
    past.end("executed", 1, region="NG-KO")
    past.end("executed", 10, region="NG-KO")
    past.end("failed", 10, code="x")
    past.end("executed", 31, policy="grant", budget="second")
    found = told(auditor, by)
    assert {group.key: group.count for group in found.groups} == keys
    assert sum(group.ends["executed"] for group in found.groups) == 3
    if by in (By.DAY, By.MONTH):
        assert [group.key for group in found.groups] == sorted(keys)


def test_versions_of_a_policy_are_one_group(past: Past, auditor: User) -> None:
    past.end("executed")
    Policy.objects.filter(code="relief").update(active=False)
    old = Policy.objects.get(code="relief")
    newer = Policy.objects.create(code="relief", version=2, name="Relief", currency="NGN")
    later = past.end("executed", policy="grant")
    Intervention.objects.filter(pk=later.intervention_id).update(policy=newer)
    assert old.pk != newer.pk
    assert [(group.key, group.count) for group in told(auditor).groups] == [("relief", 2)]


def test_failures_are_told_by_code_the_most_frequent_first(past: Past, auditor: User) -> None:
    for number in range(12):
        past.end("failed", code=f"code_{number:02}")
    past.end("failed", code="code_07")
    past.end("rejected", code="rejected")
    found = told(auditor).failures
    assert found[0] == ("code_07", 2)
    assert len(found) == outcomes.MOST_FAILURES
    assert [code for code, _ in found[1:4]] == ["code_00", "code_01", "code_02"]


def test_beyond_a_hundred_groups_the_total_still_counts_all(
    past: Past, auditor: User, monkeypatch: Any
) -> None:
    monkeypatch.setattr(outcomes, "MOST_GROUPS", 3)
    for letter in "ABCDE":
        past.end("executed", region=f"N{letter}")
    past.end("executed", region="NE")
    found = told(auditor, By.REGION)
    assert [(group.key, group.count) for group in found.groups] == [
        ("NE", 2),
        ("NA", 1),
        ("NB", 1),
    ]
    assert found.more
    assert found.total.count == 6


# --- the window -----------------------------------------------------------------------------------
def test_the_first_and_the_last_day_are_part_of_the_window(past: Past, auditor: User) -> None:
    begin, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    moment = timedelta(microseconds=1)
    for at in (begin - moment, begin, end - moment, end):
        past.end("executed", at=at)
    assert told(auditor).total.count == 2
    assert [bar.count for bar in drawn_for(auditor)] == [
        1,
        *[0] * 29,
        1,
    ]


def test_a_long_window_is_drawn_by_month(past: Past, auditor: User) -> None:
    past.end("executed", 1)
    past.end("failed", 31)
    drawn = drawn_for(auditor, date(2025, 12, 15), date(2026, 4, 2))
    assert [bar.begins for bar in drawn] == [
        date(2025, 12, 1),
        *(date(2026, month, 1) for month in (1, 2, 3, 4)),
    ]
    assert [(bar.count, bar.marked) for bar in drawn] == [(0, 0), (0, 0), (0, 0), (2, 1), (0, 0)]


def test_days_are_those_of_the_sites_time_zone(past: Past, auditor: User, settings: Any) -> None:
    past.end("executed", at=datetime(2026, 3, 9, 23, 30, tzinfo=UTC))
    assert [group.key for group in told(auditor, By.DAY).groups] == ["2026-03-09"]
    settings.TIME_ZONE = "Africa/Lagos"
    assert [group.key for group in told(auditor, By.DAY).groups] == ["2026-03-10"]
    assert told(auditor, first=date(2026, 3, 10), last=date(2026, 3, 10)).total.count == 1


def test_without_days_the_window_is_the_last_thirty() -> None:
    as_of = datetime(2026, 3, 31, 12, tzinfo=UTC)
    assert window_of(first=None, last=None, as_of=as_of) == (date(2026, 3, 2), date(2026, 3, 31))
    assert window_of(first=date(2026, 3, 5), last=None, as_of=as_of)[1] == date(2026, 3, 31)
    assert window_of(first=None, last=FIRST, as_of=as_of) == (date(2026, 1, 31), FIRST)
    year = (date(2025, 1, 1), date(2026, 1, 1))
    assert window_of(first=year[0], last=year[1], as_of=as_of) == year


@pytest.mark.parametrize(
    ("first", "last", "code"),
    [
        (date(2026, 3, 2), date(2026, 3, 1), "window_invalid"),
        (date(2025, 1, 1), date(2026, 1, 2), "window_too_long"),
        (date(2025, 1, 1), None, "window_too_long"),
        (date.min, None, "window_invalid"),
        (None, date.min, "window_invalid"),
        (None, date.max, "window_invalid"),
        (date(9999, 12, 1), date.max, "window_invalid"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(first: Any, last: Any, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        window_of(first=first, last=last, as_of=datetime(2026, 3, 31, tzinfo=UTC))
    assert refused.value.code == code


def test_the_window_is_found_by_its_index(past: Past) -> None:
    rows = OUTCOMES._within(past.world.people["auditor"], Window(FIRST, LAST))
    (index,) = Outcome._meta.indexes
    plan = plan_by_index(rows, index.name)
    assert "at" in plan.partition("Index Cond")[2]


# --- who sees what --------------------------------------------------------------------------------
def test_who_may_not_see_all_sees_their_own(past: Past, auditor: User) -> None:
    past.end("executed")
    past.end("executed", by=past.world.people["reviewer"])
    assert told(auditor).total.count == 2
    assert told(past.world.requester).total.count == 1
    assert told(past.world.people["admin"]).total.count == 2
    assert [bar.count for bar in drawn_for(past.world.requester)][9] == 1


def test_the_number_of_questions_does_not_grow_with_the_groups(
    past: Past, auditor: User, django_assert_num_queries: Any
) -> None:
    past.end("executed")
    for by in By:
        told(auditor, by)
    for letter in "ABCDEFGH":
        past.end("executed", region=f"N{letter}")
    with django_assert_num_queries(5):
        told(auditor, By.REGION)


# --- the API --------------------------------------------------------------------------------------
def test_the_api_answers_with_decimals_as_text_and_days(past: Past) -> None:
    past.end("executed", region="NG-KO", seconds=2.5)
    past.end("failed", code="budget_exceeded", seconds=2.5)
    caller = Caller(past.world.people["reviewer"])
    answer = caller.get(URL, **{"from": "2026-03-01", "to": "2026-03-31", "by": "region"})
    assert answer.status_code == 200
    document = answer.json()
    assert (document["from"], document["to"], document["by"]) == (
        "2026-03-01",
        "2026-03-31",
        "region",
    )
    assert document["total"] == {
        "count": 2,
        "executed": 1,
        "failed": 1,
        "rejected": 0,
        "expired": 0,
        "cancelled": 0,
        "paid": {"NGN": "100.00"},
        "success_rate": 0.5,
        "median_seconds": 2.5,
        "p95_seconds": 2.5,
    }
    assert [group["key"] for group in document["groups"]] == ["", "NG-KO"]
    assert document["failures"] == [{"code": "budget_exceeded", "count": 1}]
    assert document["more"] is False


def test_a_saga_that_ended_is_an_outcome_of_today(world: World) -> None:
    world.finish(world.ask(region="NG-KO"))
    document = Caller(world.requester).get(URL).json()
    assert document["to"] == timezone.now().date().isoformat()
    assert document["total"]["paid"] == {"NGN": "5000.00"}
    assert [group["key"] for group in document["groups"]] == ["relief"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"from": "2026-03-02", "to": "2026-03-01"}, "window_invalid"),
        ({"from": "2020-01-01", "to": "2026-03-01"}, "window_too_long"),
        ({"from": "0001-01-01"}, "window_invalid"),
        ({"to": "9999-12-31"}, "window_invalid"),
        ({"from": "yesterday"}, "validation_error"),
        ({"from": "2026-03-01\x00"}, "validation_error"),
        ({"to": "10000-01-01"}, "validation_error"),
        ({"to": "9" * 5000}, "validation_error"),
        ({"by": "person"}, "validation_error"),
        ({"by": "policy\x00"}, "validation_error"),
    ],
)
def test_what_nobody_can_mean_is_a_422(world: World, query: dict[str, str], code: str) -> None:
    answer = Caller(world.requester).get(URL, **query)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_a_key_without_the_scope_and_a_stranger_learn_nothing(past: Past) -> None:
    past.end("executed")
    refused = Caller(past.world.requester, "budgets:read").get(URL)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert Client().get(URL).status_code == 401
    stranger = User.objects.create_user(username="nobody")
    window = {"from": "2026-03-01", "to": "2026-03-31"}
    assert Caller(stranger).get(URL, **window).json()["total"]["count"] == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (0.0, "0 ms"),
        (0.85, "850 ms"),
        (12.34, "12.3 s"),
        (210, "3.5 min"),
        (7200, "2 h"),
        (86400 * 4, "4 d"),
    ],
)
def test_time_is_told_in_the_unit_that_fits(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words.replace(" ", "\u00a0")


# --- the page -------------------------------------------------------------------------------------
@pytest.fixture
def browser(world: World) -> Client:
    client = Client()
    client.force_login(world.people["reviewer"])
    return client


def test_the_page_tells_the_figures_and_draws_them(past: Past, browser: Client) -> None:
    past.end("executed", 1, region="NG-KO", seconds=30)
    past.end("failed", 2, code="budget_exceeded", seconds=30)
    page = browser.get("/interventions/outcomes/?from=2026-03-01&to=2026-03-31&by=region")
    assert page.status_code == 200
    text = page.content.decode()
    assert "1 Mar 2026 to 31 Mar 2026" in text
    assert text.count('class="bar-done"') == 31
    assert "2 Mar 2026: 1 ended, 1 failed" in text
    assert "NG-KO" in text and "none named" in text
    assert "NGN\u00a0100.00" in text and "50\u00a0%" in text and "30\u00a0s" in text
    assert "Budget exceeded" in text


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-03-02&to=2026-03-01",
        "from=2000-01-01&to=2026-03-01",
        "from=0001-01-01",
        "to=9999-12-31",
        "from=x",
        "from=%00",
        "by=person",
        "by=%00",
        "to=" + "9" * 5000,
    ],
)
def test_filters_that_make_no_sense_are_said_and_the_page_stands(
    browser: Client, query: str
) -> None:
    page = browser.get(f"/interventions/outcomes/?{query}")
    assert page.status_code == 422
    assert "The filters are not valid." in page.content.decode()


def test_an_empty_window_says_what_to_do(browser: Client) -> None:
    text = browser.get("/interventions/outcomes/").content.decode()
    assert "Nothing ended on these days" in text
    assert '<svg class="chart"' not in text


def test_the_page_wants_a_session_and_shows_each_their_own(past: Past) -> None:
    past.end("executed")
    past.end("executed", by=past.world.people["reviewer"])
    client = Client()
    assert client.get("/interventions/outcomes/").status_code == 302
    somebody = User.objects.create_user(username="somebody")
    somebody.groups.add(Group.objects.get(name="requester"))
    client.force_login(somebody)
    text = client.get("/interventions/outcomes/?from=2026-03-01&to=2026-03-31").content.decode()
    assert "of what you asked for" in text
    assert "Nothing ended on these days" in text
    client.force_login(past.world.requester)
    text = client.get("/interventions/outcomes/?from=2026-03-01&to=2026-03-31").content.decode()
    assert "NGN\u00a0100.00" in text
