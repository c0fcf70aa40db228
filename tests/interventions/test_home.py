"""Interventions on the home page: what failed by its code, what moved today, budgets that run
low."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.common.hours import LastDay
from apps.interventions import home as cards
from apps.interventions.models import Budget, Intervention
from apps.interventions.registration.shell import DOMAIN
from apps.interventions.services.outcomes import intervention_settle
from apps.web import domain_cards, failures
from tests.interventions.conftest import World
from tests.plans import plan_by_index


@pytest.fixture
def operator(world: World) -> Client:
    client = Client()
    client.force_login(world.people["auditor"])
    return client


def home(client: Client) -> str:
    return client.get("/").content.decode()


def card_of(page: str, name: str) -> str:
    return page.partition(f'id="home-{name}"')[2].partition("</section>")[0]


def fail(world: World, code: str, *, ago: timedelta = timedelta()) -> Intervention:
    intervention = world.ask()
    intervention_settle(intervention_id=intervention.pk, status="failed", code=code, detail="x")
    if ago:
        Intervention.objects.filter(pk=intervention.pk).update(settled_at=timezone.now() - ago)
    return intervention


def test_a_card_of_rows_says_that_there_is_none_or_is_not_there(operator: Client) -> None:
    page = home(operator)
    assert "Nothing failed in the last seven days." in page
    assert "Little is left" not in page
    # An open page puts the card there when there is one.
    assert 'id="home-budgets" data-merge="replace"' in page


# --- what failed ----------------------------------------------------------------------------------
def test_what_failed_stands_there_by_its_code(world: World, operator: Client) -> None:
    for ago in (timedelta(), timedelta(days=2), timedelta(days=3)):
        fail(world, "budget_exceeded", ago=ago)
    for _ in range(2):
        fail(world, "execution_rejected")
    fail(world, "too_old_to_tell", ago=timedelta(days=8))
    card = card_of(home(operator), "failed")
    rows = [row.partition("</tr>")[0] for row in card.split("<tr>")[2:]]
    assert len(rows) == 2
    assert 'href="/interventions/?status=failed&amp;error=execution_rejected"' in rows[0]
    assert "Execution rejected" in rows[0]
    assert [row.count("<td>2</td>") for row in rows] == [2, 0]
    assert "Budget exceeded" in rows[1]
    assert "<td>1</td>" in rows[1] and "<td>3</td>" in rows[1]
    assert 'href="/interventions/?status=failed"' in card
    assert '<a class="panel figure is-bad" href="#home-failed"><b>5</b>' in home(operator)


def test_the_link_of_a_code_lists_the_rows_that_are_counted(world: World, operator: Client) -> None:
    found = fail(world, "budget_exceeded")
    other = fail(world, "execution_rejected")
    page = operator.get(cards.failed_list("budget_exceeded")).content.decode()
    assert f"/interventions/{found.pk}/" in page
    assert f"/interventions/{other.pk}/" not in page


def test_a_card_has_only_so_many_codes_and_counts_the_rest(
    world: World, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "SHOWN", 2)
    for code in ("a", "b", "c", "d"):
        fail(world, code)
    card = card_of(home(operator), "failed")
    assert card.count("<tr>") == 1 + 2
    assert "2 more failed for 2 other reasons" in card


def test_only_the_newest_failures_are_counted(
    world: World, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "MOST", 2)
    for _ in range(3):
        fail(world, "budget_exceeded")
    page = home(operator)
    assert "Only the newest 2 failures are counted here." in page
    assert "<b>2+</b>" in page


def test_who_may_not_see_all_counts_their_own_failures(world: World) -> None:
    fail(world, "budget_exceeded")
    as_of = timezone.now()
    for name, number in (("auditor", 1), ("operator", 1)):
        assert len(failures.failures_card(world.people[name], as_of)["rows"]) == number
    assert failures.failures_card(world.requester, as_of)["rows"][0].day == 1
    stranger = world.people["reviewer"]
    stranger.groups.clear()
    stranger = type(stranger).objects.get(pk=stranger.pk)
    assert failures.failures_card(stranger, as_of)["rows"] == []


def test_failures_and_a_code_are_found_by_their_indexes(world: World) -> None:
    user, since = world.people["auditor"], timezone.now() - failures.WEEK
    newest = cards.failed(user).filter(settled_at__gte=since).order_by("-settled_at")
    plan_by_index(
        newest.values_list("error_code", "settled_at")[:100], "intervention_failed", ordered=True
    )
    of_code = Intervention.objects.filter(error_code="a").exclude(error_code="")
    plan_by_index(of_code.order_by("-created_at", "-id"), "intervention_error", ordered=True)


# --- the domain's card ----------------------------------------------------------------------------
def test_the_card_says_what_waits_and_what_ended_today(world: World, operator: Client) -> None:
    world.ask()
    fail(world, "budget_exceeded")
    card = card_of(home(operator), "interventions")
    assert 'href="/interventions/?status=awaiting_approval"' in card
    day = cards.site_day(timezone.now())
    outcomes = f'href="/interventions/outcomes/?from={day}&amp;to={day}"'
    assert card.count(outcomes) == 2
    assert "<b>1</b> <a " + outcomes + ">failed today</a>" in card
    assert "Interventions asked for in the last 24 hours: 2; failed: 1." in card
    assert "The same hours of the last 4 weeks had none." in card


def test_the_days_money_is_added_by_currency_up_to_a_bound(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.interventions.models import Outcome

    for amount in ("10.00", "5.50"):
        Outcome.objects.create(
            intervention=world.ask(), status="executed", amount=Decimal(amount), seconds=1
        )
    as_of, user = timezone.now(), world.people["auditor"]
    (paid,) = cards.today(user, as_of).amounts
    assert (paid.amount, paid.currency) == (Decimal("15.50"), "NGN")
    monkeypatch.setattr(cards, "MOST_TODAY", 1)
    found = cards.today(user, as_of)
    assert found.amounts == ()
    assert (found.figures[-1].count, found.figures[-1].words) == ("1+", "ended today")


def test_the_words_compare_with_what_is_usual() -> None:
    from apps.common.hours import Hour

    assert DOMAIN.series
    hour = Hour(timezone.now(), 3, 1, 4.5)
    assert domain_cards.words(DOMAIN.series, LastDay([hour, hour], 4, False)) == [
        "Interventions asked for in the last 24 hours: 6; failed: 2.",
        "Usual for these hours of the week: 9, the mean of the last 4 weeks.",
    ]
    none = Hour(timezone.now(), 0, 0, 2.0)
    assert domain_cards.words(DOMAIN.series, LastDay([none], 1, False)) == [
        "Nobody asked for an intervention in the last 24 hours.",
        "A week ago there were 2 in the same hours.",
    ]
    assert domain_cards.words(DOMAIN.series, LastDay([hour], 0, True)) == [
        "More than 10,000 in the last 24 hours; so many are not drawn."
    ]


def test_a_budget_that_runs_low_stands_there_with_what_is_free(
    world: World, operator: Client
) -> None:
    Budget.objects.filter(code="main").update(spent=0, reserved=0, total=Decimal(100))
    Budget.objects.filter(code="main").update(reserved=Decimal(95), alert_percent=10)
    card = card_of(home(operator), "budgets")
    assert "Little is left" in card
    assert "less than 10 % is free" in card
    assert "NGN\u00a05.00" in card
    assert 'href="/budgets/?state=low"' in card


def test_the_queries_of_the_page_do_not_grow_with_its_rows(
    world: World, operator: Client, django_assert_max_num_queries: Any
) -> None:
    home(operator)
    fail(world, "budget_exceeded")
    with django_assert_max_num_queries(60) as few:
        home(operator)
    for code in ("a", "b", "c", "d"):
        fail(world, code)
    with django_assert_max_num_queries(len(few.captured_queries)):
        home(operator)
