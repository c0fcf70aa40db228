"""The cards of interventions on the home page: what failed lately, and budgets that run low."""

from decimal import Decimal

import pytest
from django.test import Client

from apps.interventions.models import Budget
from apps.interventions.services.outcomes import intervention_settle
from tests.interventions.conftest import World


@pytest.fixture
def operator(world: World) -> Client:
    client = Client()
    client.force_login(world.people["auditor"])
    return client


def home(client: Client) -> str:
    return client.get("/").content.decode()


def test_a_card_of_rows_says_that_there_is_none_or_is_not_there(operator: Client) -> None:
    page = home(operator)
    assert "Nothing failed in the last seven days." in page
    assert "Little is left" not in page
    # An open page puts the card there when there is one.
    assert 'id="home-budgets" data-merge="replace"' in page


def test_what_failed_stands_there_with_its_reason(world: World, operator: Client) -> None:
    intervention = world.ask()
    intervention_settle(
        intervention_id=intervention.pk, status="failed", code="budget_exceeded", detail="x"
    )
    card = home(operator).partition('id="home-failed"')[2].partition("</section>")[0]
    assert f'href="/interventions/{intervention.pk}/">{intervention.target}</a>' in card
    assert "budget exceeded" in card
    assert "NGN\u00a05,000.00" in card
    assert 'href="/interventions/?status=failed"' in card


def test_a_budget_that_runs_low_stands_there_with_what_is_free(
    world: World, operator: Client
) -> None:
    Budget.objects.filter(code="main").update(spent=0, reserved=0, total=Decimal(100))
    Budget.objects.filter(code="main").update(reserved=Decimal(95), alert_percent=10)
    card = home(operator).partition('id="home-budgets"')[2].partition("</section>")[0]
    assert "Little is left" in card
    assert "less than 10 % is free" in card
    assert "NGN\u00a05.00" in card
    assert 'href="/budgets/?state=low"' in card
