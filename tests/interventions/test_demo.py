"""The demo data: names and figures that outside checks rely on, and twice is once."""

from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.approvals.services import signature_needed
from apps.engine.models import EngineCommand
from apps.interventions import services
from apps.interventions.models import Budget, BudgetEntry, Intervention, Policy


def seed() -> str:
    out = StringIO()
    call_command("seeddemo", stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_seeding_twice_is_seeding_once() -> None:
    seed()
    models: list[Any] = [Policy, Budget, BudgetEntry, Intervention, EngineCommand]
    before = [model.objects.count() for model in models]
    assert "0 of them new" in seed()
    assert [model.objects.count() for model in models] == before
    assert EngineCommand.objects.filter(kind="start", state="pending").count() == before[3]


@pytest.mark.django_db
def test_the_figures_that_outside_checks_rely_on() -> None:
    seed()
    budget = Budget.objects.get(code="demo-2026")
    assert (budget.currency, budget.total) == ("NGN", Decimal("10000000.00"))
    assert all(services.budget_proof(one).holds for one in Budget.objects.all())
    assert Policy.objects.get(code="demo-relief", active=True).reversible

    def signed(amount: str) -> bool:
        return signature_needed(
            kind="intervention", scope="demo-relief", amount=Decimal(amount), currency="NGN"
        )

    assert not signed("10000.00")
    assert signed("10000.01")
    waiting = Intervention.objects.filter(budget=budget)
    assert all(signed(str(one.amount)) for one in waiting)


@pytest.mark.django_db
def test_it_is_refused_where_demo_logins_are(settings: Any) -> None:
    settings.DEMO_LOGINS = False
    with pytest.raises(CommandError):
        seed()
