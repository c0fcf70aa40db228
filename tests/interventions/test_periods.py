"""Periods of a series: apart, and only spent from on their own days. Alerts: told once a fall."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.common.errors import Conflict, DomainError
from apps.common.windows import site_day
from apps.interventions.models import Budget, BudgetEntry
from apps.interventions.services import budgets
from apps.interventions.services.periods import neighbours
from apps.notifications.models import GroupNotice, Notification
from apps.notifications.services.fanout import notices_fan_out
from tests.interventions.conftest import World


def opened(code: str, **changes: Any) -> Budget:
    body: dict[str, Any] = {"name": code.title(), "currency": "NGN", "by": None, "via": "command"}
    return budgets.budget_open(code=code, **(body | changes))


def filled(code: str, amount: str, **changes: Any) -> Budget:
    opened(code, **changes)
    budgets.budget_allocate(
        code=code, amount=Decimal(amount), key=f"{code}:first", by=None, via="command"
    )
    return Budget.objects.get(code=code)


Q1 = {"series": "north", "starts_on": date(2026, 1, 1), "ends_on": date(2026, 3, 31)}


@pytest.mark.parametrize(
    ("starts_on", "ends_on"),
    [
        (date(2026, 3, 31), date(2026, 6, 30)),
        (date(2025, 1, 1), date(2026, 1, 1)),
        (date(2026, 2, 1), date(2026, 2, 1)),
        (None, date(2026, 1, 1)),
        (date(2026, 3, 31), None),
        (None, None),
    ],
)
def test_periods_of_a_series_share_no_day(
    world: World, starts_on: date | None, ends_on: date | None
) -> None:
    opened("q1", **Q1)
    with pytest.raises(Conflict) as refused:
        opened("other", series="north", starts_on=starts_on, ends_on=ends_on)
    assert refused.value.code == "period_overlaps"
    opened("elsewhere", series="south", starts_on=starts_on, ends_on=ends_on)
    opened("none", starts_on=starts_on, ends_on=ends_on)


def test_overlapping_periods_opened_at_once_leave_one(
    shared_world: World, side_by_side: Any
) -> None:
    outcomes = side_by_side(lambda number: opened(f"p-{number}", **Q1), 8)
    refused = [getattr(one, "code", repr(one)) for one in outcomes if isinstance(one, Exception)]
    assert refused == ["period_overlaps"] * 7
    assert Budget.objects.filter(series="north").count() == 1


def test_the_same_budget_opened_at_once_is_one(shared_world: World, side_by_side: Any) -> None:
    outcomes = side_by_side(lambda _: opened("same", **Q1).pk, 8)
    assert set(outcomes) == {Budget.objects.get(code="same").pk}


def test_the_database_keeps_periods_apart_without_the_service(world: World) -> None:
    opened("q1", **Q1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Budget.objects.create(code="raw", name="Raw", currency="NGN", total=0, **Q1)


def test_opening_again_is_the_same_budget_and_never_other_days(world: World) -> None:
    first = opened("q1", **Q1)
    assert opened("q1", **Q1).pk == first.pk
    with pytest.raises(Conflict) as refused:
        opened("q1", **(Q1 | {"ends_on": date(2026, 4, 30)}))
    assert refused.value.code == "period_differs"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code": "transfers"}, "code_reserved"),
        ({"code": "live"}, "code_reserved"),
        ({"code": "A b"}, "code_invalid"),
        ({"code": "x\x00"}, "code_invalid"),
        ({"code": "c" * 1_000_000}, "code_invalid"),
        ({"series": "\x00"}, "code_invalid"),
        ({"name": ""}, "name_invalid"),
        ({"currency": "ngn"}, "currency_invalid"),
        ({"alert_percent": 101}, "alert_percent_invalid"),
        ({"alert_percent": -1}, "alert_percent_invalid"),
        ({"alert_percent": 10**30}, "alert_percent_invalid"),
        ({"alert_percent": True}, "alert_percent_invalid"),
        ({"starts_on": date(2026, 2, 1), "ends_on": date(2026, 1, 1)}, "days_out_of_order"),
    ],
)
def test_what_cannot_be_a_budget_is_refused(
    world: World, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(DomainError) as refused:
        opened(**({"code": "fine"} | changes))
    assert refused.value.code == code
    assert not Budget.objects.exclude(code="main").exists()


def test_successive_periods_know_each_other(world: World) -> None:
    q1 = opened("q1", **Q1)
    q2 = opened("q2", series="north", starts_on=date(2026, 4, 1), ends_on=date(2026, 6, 30))
    q4 = opened("q4", series="north", starts_on=date(2026, 10, 1))
    q0 = opened("q0", series="north", ends_on=date(2025, 12, 31))
    assert neighbours(q0) == (None, q1)
    assert neighbours(q2) == (q1, q4)
    assert neighbours(q4) == (q2, None)
    assert neighbours(Budget.objects.get(code="main")) == (None, None)


@pytest.mark.parametrize("days", [(1, 10), (-10, -1)])
def test_outside_its_days_nothing_is_asked_of_a_budget(world: World, days: tuple[int, int]) -> None:
    today = site_day(timezone.now())
    first, last = (today + timedelta(days=number) for number in days)
    filled("other", "10000.00", starts_on=first, ends_on=last)
    with pytest.raises(Conflict) as refused:
        world.ask(budget="other")
    assert refused.value.code == "budget_not_open"
    assert refused.value.extra == {"starts_on": first.isoformat(), "ends_on": last.isoformat()}


def test_the_first_and_the_last_day_are_part_of_it(world: World) -> None:
    today = site_day(timezone.now())
    filled("today", "10000.00", starts_on=today, ends_on=today)
    world.reserve(world.ask(budget="today"))
    assert BudgetEntry.objects.filter(kind="reserve").count() == 1


def test_what_was_asked_in_time_is_not_reserved_after_the_last_day(world: World) -> None:
    today = site_day(timezone.now())
    filled("today", "10000.00", ends_on=today)
    intervention = world.ask(budget="today")
    world.open(intervention)
    world.validate(intervention)
    late = datetime.combine(today + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
    with pytest.raises(Conflict) as refused:
        budgets.budget_reserve(intervention_id=intervention.pk, as_of=late)
    assert refused.value.code == "budget_not_open"
    assert not BudgetEntry.objects.filter(kind="reserve").exists()
    budgets.budget_reserve(intervention_id=intervention.pk, as_of=late - timedelta(seconds=1))
    # What is reserved is released after its last day too, and a repeat is answered as before.
    budgets.budget_reserve(intervention_id=intervention.pk, as_of=late)
    budgets.budget_release(intervention_id=intervention.pk)


# --- little is left ------------------------------------------------------------------------------
def notices() -> list[GroupNotice]:
    return list(GroupNotice.objects.filter(kind="budget.low").order_by("pk"))


def test_the_reservation_that_crosses_the_line_tells_once(world: World) -> None:
    filled("small", "20000.00", alert_percent=50)
    for _ in range(2):
        world.reserve(world.ask(budget="small"))
        assert notices() == []
    # Exactly half is free: that is not less than half.
    crossing = world.ask(budget="small", amount=Decimal("0.01"))
    world.reserve(crossing)
    (notice,) = notices()
    assert (notice.group, notice.url) == ("operator", "/budgets/small/")
    assert "NGN 9,999.99 of 20,000.00" in notice.text
    world.reserve(world.ask(budget="small"))
    assert len(notices()) == 1
    notices_fan_out()
    told = Notification.objects.filter(kind="budget.low").values_list("recipient__username")
    assert sorted(name for (name,) in told) == ["operator", "senior"]


def test_after_it_has_recovered_the_next_fall_is_told_again(world: World) -> None:
    filled("small", "10000.00", alert_percent=60)
    first = world.ask(budget="small")
    world.reserve(first)
    budgets.budget_release(intervention_id=first.pk)
    world.reserve(world.ask(budget="small"))
    assert len(notices()) == 2


def test_a_refused_reservation_tells_nobody(world: World) -> None:
    filled("small", "4999.99", alert_percent=60)
    with pytest.raises(Conflict) as refused:
        world.reserve(world.ask(budget="small"))
    assert refused.value.code == "budget_exceeded"
    assert notices() == []


def test_zero_percent_never_tells(world: World) -> None:
    filled("small", "5000.00", alert_percent=0)
    world.reserve(world.ask(budget="small"))
    assert notices() == []
    assert not Budget.objects.get(code="small").is_low


def test_spending_what_is_reserved_is_no_fall(world: World) -> None:
    filled("small", "5000.00", alert_percent=50)
    world.finish(world.ask(budget="small"))
    assert len(notices()) == 1


def test_many_at_once_over_the_line_tell_once(shared_world: World, side_by_side: Any) -> None:
    world = shared_world
    filled("small", "100000.00", alert_percent=50)
    asked = [world.ask(budget="small") for _ in range(16)]
    for one in asked:
        world.open(one)
        world.validate(one)
    outcomes = side_by_side(
        lambda number: budgets.budget_reserve(intervention_id=asked[number].pk), 16
    )
    assert outcomes == [None] * 16
    assert len(notices()) == 1
    low = Budget.objects.low().values_list("code", flat=True)
    assert list(low) == ["small"]


def test_what_is_no_longer_low_when_its_turn_comes_is_not_told(world: World) -> None:
    filled("small", "5000.00", alert_percent=50)
    world.reserve(world.ask(budget="small"))
    budgets.budget_allocate(
        code="small", amount=Decimal("100000.00"), key="more", by=None, via="command"
    )
    notices_fan_out()
    assert not Notification.objects.filter(kind="budget.low").exists()
