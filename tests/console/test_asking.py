"""Asking for an intervention, and calling one off, by the forms of the pages."""

from html import unescape
from re import search

import pytest
from django.test import Client

from apps.audit.models import AuditEntry
from apps.interventions.models import Intervention
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.conftest import World


def filled(client: Client, **changes: str) -> dict[str, str]:
    """The form as the page gave it out, filled in."""
    html = client.get("/interventions/new/").content.decode()
    key = search(r'name="idempotency_key" value="([^"]+)"', html)
    assert key
    return {
        "policy": "relief",
        "budget": "main",
        "amount": "12500.00",
        "target": "Cooperativa Boa Vista",
        "justification": "Seed money after the flood.",
        "idempotency_key": key[1],
        **changes,
    }


def test_the_same_form_sent_twice_asks_once(world: World, as_person: AsPerson) -> None:
    client = as_person("requester")
    form = filled(client)
    first = client.post("/interventions/new/", form)
    second = client.post("/interventions/new/", form, follow=True)
    assert Intervention.objects.count() == 1
    assert first.headers["Location"] == second.redirect_chain[0][0]
    assert "You had sent this form before" in second.content.decode()
    assert client.post("/interventions/new/", filled(client)).status_code == 302
    assert Intervention.objects.count() == 2


def test_the_same_form_with_another_amount_is_refused(world: World, as_person: AsPerson) -> None:
    client = as_person("requester")
    form = filled(client)
    client.post("/interventions/new/", form)
    response = client.post("/interventions/new/", {**form, "amount": "13000.00"})
    assert response.status_code == 409
    assert "Not asked." in response.content.decode()
    assert Intervention.objects.count() == 1


def test_bad_input_is_a_form_error_and_nothing_is_asked(world: World, as_person: AsPerson) -> None:
    client = as_person("requester")
    for bad in (
        {"amount": "-5"},
        {"amount": "0"},
        {"amount": "NaN"},
        {"amount": "1e400"},
        {"amount": "12.345"},
        {"target": "a\x00b"},
        {"target": ""},
        {"justification": "x" * 5001},
        {"policy": "unknown"},
        {"policy": "\x00"},
        {"budget": "unknown"},
        {"idempotency_key": "\x00"},
        {"idempotency_key": "k" * 121},
        {"amount": "2000000.00"},  # above the policy's limit
    ):
        response = client.post("/interventions/new/", filled(client, **bad))
        assert response.status_code in (409, 422), bad
        assert "Seed money" in response.content.decode() or "justification" in bad
    assert Intervention.objects.count() == 0


def test_who_may_not_ask_sees_no_button_and_no_form(world: World, as_person: AsPerson) -> None:
    client = as_person("reviewer")
    assert b"Ask for an intervention" not in client.get("/interventions/").content
    response = client.get("/interventions/new/")
    assert response.status_code == 403
    assert b"You may not do this" in response.content
    looked = AuditEntry.objects.get(outcome="refused")
    assert looked.action == "page.denied", "looking is no verb"


@pytest.mark.parametrize(
    ("address", "action"),
    [
        ("/interventions/new/", "intervention.request"),
        ("/interventions/batches/new/", "intervention-batch.request"),
        ("/budgets/transfers/new/", "budget.transfer_request"),
    ],
)
def test_a_form_of_who_may_not_ask_is_audited_as_refused(
    world: World, as_person: AsPerson, address: str, action: str
) -> None:
    client = as_person("reviewer")
    assert client.post(address, {}).status_code == 403
    entry = AuditEntry.objects.get(outcome="refused")
    assert (entry.action, entry.code, entry.via) == (action, "permission_denied", "page")
    assert entry.actor_label == str(world.people["reviewer"])


def test_the_requester_calls_it_off_with_a_reason(world: World, as_person: AsPerson) -> None:
    intervention, _ = ask_to_sign(world)
    client = as_person("requester")
    assert client.post(f"/interventions/{intervention.pk}/", {"reason": ""}).status_code == 422
    assert client.post(f"/interventions/{intervention.pk}/", {"reason": "a\x00"}).status_code == 422
    response = client.post(
        f"/interventions/{intervention.pk}/", {"reason": "Asked twice."}, follow=True
    )
    assert response.redirect_chain
    assert "Called off" in response.content.decode()
    intervention.refresh_from_db()
    assert intervention.cancel_requested_at is not None or intervention.status == "cancelled"


def test_calling_off_what_has_ended_is_refused_with_the_reason(
    world: World, as_person: AsPerson
) -> None:
    intervention = world.ask()
    world.finish(intervention)
    response = as_person("requester").post(
        f"/interventions/{intervention.pk}/", {"reason": "Too late."}
    )
    assert response.status_code == 409
    assert "Not called off." in response.content.decode()


def test_the_detail_page_shows_steps_ledger_and_what_was_undone(
    world: World, as_person: AsPerson
) -> None:
    done = world.ask()
    world.finish(done)
    html = unescape(as_person("reviewer").get(f"/interventions/{done.pk}/").content.decode())
    for words in ("Validate policy", "Reserve budget", "Record outcome", "reserve", "commit"):
        assert words in html
    waiting, approval = ask_to_sign(world)
    html = unescape(as_person("reviewer").get(f"/interventions/{waiting.pk}/").content.decode())
    assert f"/requests/{approval.pk}/" in html
    assert "No money has moved yet" in html
