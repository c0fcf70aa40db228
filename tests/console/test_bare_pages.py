"""Pages of what went wrong: they say what to do, and have a way back."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.test import Client

from apps.approvals.models import ApprovalRequest
from tests.interventions.conftest import World

AsPerson = Callable[[str], Client]
pytestmark = pytest.mark.django_db


def test_an_address_that_only_takes_forms_shows_a_page(world: World, as_person: AsPerson) -> None:
    client = as_person("reviewer")
    answer = client.get("/logout/")
    page = answer.content.decode()
    assert (answer.status_code, answer["Content-Type"]) == (405, "text/html; charset=utf-8")
    assert "POST" in answer["Allow"]
    assert "There is no page at this address" in page
    assert 'href="/"' in page
    assert client.get("/logout/", headers={"HX-Request": "true"}).content == b""


@pytest.mark.parametrize(
    ("sender", "back"),
    [
        ("http://testserver/delegations/?who=1", 'href="/delegations/?who=1"'),
        ("https://elsewhere.example/delegations/", ""),
        ("", ""),
    ],
)
def test_a_form_that_was_not_accepted_has_a_way_back_to_it(
    world: World, sender: str, back: str
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["reviewer"])
    page = client.post("/logout/", headers={"Referer": sender} if sender else {}).content.decode()
    assert "The form was not accepted" in page
    assert ("Open the page again</a>" in page) == bool(back)
    assert back in page
    assert "elsewhere" not in page


def test_the_admin_says_in_words_why_somebody_cannot_take_a_request_on(
    world: World, as_person: AsPerson
) -> None:
    world.open(world.ask(amount=Decimal("25000.00")))
    request = ApprovalRequest.objects.get()
    body = {"action": "claim", "_selected_action": str(request.pk)}
    page = as_person("admin").post("/admin/approvals/approvalrequest/", body).content.decode()
    assert "Will be refused: A signature by reviewer is needed now" in page
    assert "not_in_group" not in page


def test_the_admin_says_a_state_in_words(world: World, as_person: AsPerson) -> None:
    intervention = world.ask(amount=Decimal("25000.00"))
    world.open(intervention)
    body = {"action": "call_off", "_selected_action": str(intervention.pk)}
    page = as_person("admin").post("/admin/interventions/intervention/", body).content.decode()
    assert "State: waiting for approval." in page
