"""A list's filters mean the same on its page and in the API."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.interventions.models import Intervention
from apps.interventions.services import batches, policies, requests
from tests.interventions.conftest import World
from tests.interventions.test_api import URL, Caller
from tests.interventions.test_transfers import asked

BATCHES = "/api/v1/intervention-batches"
TRANSFERS = "/api/v1/budgets/transfers"


def listed(caller: Caller, url: str, **query: str) -> set[str]:
    answer = caller.get(url, **query)
    assert answer.status_code == 200, answer.content
    return {one["id"] for one in answer.json()["items"]}


def test_mine_is_a_filter_of_every_list_of_what_people_ask_for(world: World) -> None:
    world.budget("spare", "500.00")
    admin = Caller(world.people["admin"])
    own = world.ask(by=world.people["admin"])
    other = world.ask()
    assert listed(admin, URL) == {str(own.pk), str(other.pk)}
    assert listed(admin, URL, mine="true") == {str(own.pk)}
    transfer = asked(world)
    assert listed(admin, TRANSFERS) == {str(transfer.pk)}
    assert listed(admin, TRANSFERS, mine="true") == set()
    assert listed(Caller(world.requester), TRANSFERS, mine="true") == {str(transfer.pk)}
    item = {"amount": "10.00", "target": "Household 1", "justification": "Food."}
    batch, _ = batches.batch_request(
        policy="relief", budget="main", items=[item], by=world.requester, via="api",
        as_of=timezone.now(),
    )  # fmt: skip
    assert listed(admin, BATCHES) == {str(batch.pk)}
    assert listed(admin, BATCHES, mine="true") == set()


def test_the_state_of_a_budget_is_a_filter_of_the_api_too(world: World) -> None:
    world.budget("spare", "500.00")
    world.reserve(world.ask(budget="spare", amount=Decimal("460.00")))
    caller = Caller(world.requester)
    low = caller.get("/api/v1/budgets", state="low").json()["items"]
    assert [one["code"] for one in low] == ["spare"]
    codes = {one["code"] for one in caller.get("/api/v1/budgets", state="open").json()["items"]}
    assert codes == {"main", "spare"}
    assert caller.get("/api/v1/budgets", state="odd").status_code == 422


@pytest.mark.parametrize("query", ["status=odd", "region=atlantis", "policy=a%00b", "budget=%00"])
def test_a_filter_that_makes_no_sense_finds_nothing_on_the_page_and_is_no_error_of_the_server(
    world: World, query: str
) -> None:
    row = world.ask()
    client = Client()
    client.force_login(world.requester)
    page = client.get(f"/interventions/?{query}")
    assert page.status_code == 200
    assert f"/interventions/{row.pk}/" not in page.content.decode()
    assert "The filters do not make sense" in page.content.decode()
    answer = Caller(world.requester).get(f"{URL}?{query}")
    if answer.status_code == 200:
        assert answer.json()["items"] == []
    else:
        assert answer.status_code == 422


def test_the_currency_is_the_policys_when_none_is_named(world: World) -> None:
    body: dict[str, Any] = world.body()
    del body["currency"]
    row, created = requests.intervention_request(**body, idempotency_key="k-1")
    assert (row.currency, created) == ("NGN", True)
    # Named or not, it is the same request; also once the policy is off.
    policies.policy_switch_off(code="relief", by=None, via="command")
    for again in (body, {**body, "currency": "NGN"}):
        known, created = requests.intervention_request(**again, idempotency_key="k-1")
        assert (known.pk, created) == (row.pk, False)
    assert Intervention.objects.count() == 1
