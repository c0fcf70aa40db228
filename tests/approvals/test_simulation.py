from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from apps.approvals import selectors, services
from apps.approvals.models import ApprovalRequest
from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from apps.interventions.models import Intervention
from tests.approvals.test_api import Api
from tests.approvals.world import decide, fresh, opened, person, rule
from tests.database import Image
from tests.interventions.conftest import World, world_of

pytestmark = pytest.mark.django_db


def preview(request, user):
    return selectors.simulation(fresh(request), user, as_of=timezone.now())


def test_it_says_which_rule_matched_and_who_signs_now_and_then():
    rule()
    reviewer, second = person("reviewer", "first"), person("second", "first")
    request = opened(person("requester"), "60000.00")
    seen = preview(request, reviewer)
    assert (seen.rule, seen.rule_version, seen.can_sign) == (f"{request.rule}", 1, "")
    assert seen.band.startswith("above NGN\u00a050,000.00: two signatures by first")
    assert seen.signs_now == "2 signatures by first (tier 1 of 2)"
    assert (seen.signs_after, seen.settles) == ("one more signature by first", False)
    decide(request, reviewer)
    seen = preview(request, second)
    assert seen.signs_after == "one signature by second (tier 2 of 2)"
    assert preview(request, reviewer).can_sign == "already_signed"
    decide(request, second)
    seen = preview(request, person("senior", "second"))
    assert (seen.signs_after, seen.settles) == ("", True)
    assert seen.effect is not None and seen.effect.outcome == "NGN 5.00 would be left."


def test_the_api_simulates_and_changes_nothing():
    rule()
    reviewer = person("reviewer", "first")
    request = opened(person("requester"))
    before = AuditEntry.objects.count()
    answer = Api(reviewer, "approvals:read").post(f"/{request.pk}/simulate", {})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["settles"], body["can_sign"]) == (True, "")
    assert body["effect"]["steps"] == ["reserve", "pay"]
    assert fresh(request).version == request.version
    assert AuditEntry.objects.filter(subject_id=str(request.pk)).count() == 1
    assert AuditEntry.objects.count() == before + 1  # the key that was made
    stranger = Api(person("stranger")).post(f"/{request.pk}/simulate", {})
    assert stranger.status_code == 404
    decide(request, reviewer)
    settled = Api(reviewer).post(f"/{request.pk}/simulate", {}).json()
    assert (settled["settles"], settled["effect"], settled["can_sign"]) == (
        False,
        None,
        "already_decided",
    )


# --- an intervention ----------------------------------------------------------------------------
@pytest.fixture
def world(world_image: Image, db: None) -> World:
    return world_of(world_image)


def waiting(world: World, amount: str = "25000.00"):
    intervention = world.ask(amount=Decimal(amount))
    world.open(intervention)
    return intervention, ApprovalRequest.objects.get(subject_id=str(intervention.pk))


def effect(world: World, request):
    found = preview(request, world.people["reviewer"]).effect
    assert found is not None
    return found, {fact.label: fact.value for fact in found.facts}


def test_an_intervention_shows_the_budget_after_it_and_who_competes(world: World):
    _, request = waiting(world)
    found, facts = effect(world, request)
    assert found.tone == "good"
    assert len(found.steps) == 7
    assert found.steps[2] == "reserve NGN 25,000.00 in main"
    assert facts == {
        "Free now": "NGN 10,000,000.00",
        "Free after it": "NGN 9,975,000.00",
        "Reserved for others": "none",
        "Others waiting for a signature": "none",
    }
    _other, _ = waiting(world, "30000.00")
    reserved, _ = waiting(world, "40000.00")
    world.decide(Intervention.objects.get(pk=reserved.pk))
    world.reserve(Intervention.objects.get(pk=reserved.pk))
    _, facts = effect(world, request)
    assert facts["Others waiting for a signature"] == "1 request, NGN 30,000.00"
    assert facts["Reserved for others"] == "1 reservation, NGN 40,000.00"
    assert facts["Free after it"] == "NGN 9,935,000.00"


def test_an_intervention_says_what_would_refuse_it(world: World):
    _, request = waiting(world, "25000.00")
    policy = Intervention.objects.get().policy
    type(policy).objects.filter(pk=policy.pk).update(max_amount=Decimal("100.00"))
    found, _ = effect(world, request)
    assert (found.tone, found.steps) == ("bad", ())
    assert "at most NGN 100.00" in found.outcome
    type(policy).objects.filter(pk=policy.pk).update(max_amount=None, active=False)
    assert "switched off" in effect(world, request)[0].outcome


def test_an_intervention_that_the_budget_does_not_cover_would_end_without_a_payment(world: World):
    world.budget("small", "100.00")
    intervention = world.ask(amount=Decimal("25000.00"), budget="small")
    world.open(intervention)
    found, facts = effect(world, ApprovalRequest.objects.get(subject_id=str(intervention.pk)))
    assert (found.tone, facts["Free after it"]) == ("bad", "NGN 24,900.00 too little")


def test_the_page_shows_it(world: World):
    _, request = waiting(world)
    client = Client()
    client.force_login(world.people["reviewer"])
    page = client.get(f"/requests/{request.pk}/").content.decode()
    assert "If it is approved" in page
    assert "NGN 9,975,000.00" in page
    assert "in 7 steps" in page


# --- editing an intervention --------------------------------------------------------------------
def test_an_edited_intervention_is_paid_as_it_was_signed(world: World):
    intervention, request = waiting(world)
    requester = Intervention.objects.get().requested_by
    services.request_edit(
        request_id=request.pk,
        by=requester,
        changes={"amount": "26000.5", "target": " Kano Clinic "},
        payload_hash=request.payloads.get().hash,
        reason="the invoice says so",
        via="api",
        as_of=timezone.now(),
    )
    row = Intervention.objects.get(pk=intervention.pk)
    assert (row.amount, row.target) == (Decimal("26000.50"), "Kano Clinic")
    world.decide(row)
    row.refresh_from_db()
    world.validate(row)  # the signature is for exactly what would be paid
    assert fresh(request).amount == Decimal("26000.50")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": "nonsense"}, "amount_invalid"),
        ({"amount": "1e400"}, "amount_invalid"),
        ({"amount": "NaN"}, "amount_invalid"),
        ({"amount": "0"}, "amount_invalid"),
        ({"amount": ""}, "amount_invalid"),
        ({"target": " "}, "target_invalid"),
        ({"target": "x" * 201}, "target_invalid"),
        ({"justification": "\x07"}, "justification_invalid"),
        ({"currency": "USD"}, "not_editable"),
    ],
)
def test_an_intervention_is_not_edited_into_nonsense(world: World, changes, code):
    intervention, request = waiting(world)
    try:
        services.request_edit(
            request_id=request.pk,
            by=intervention.requested_by,
            changes=changes,
            payload_hash=request.payloads.get().hash,
            reason="to see",
            via="api",
            as_of=timezone.now(),
        )
        found = None
    except DomainError as error:
        found = error.code
    assert found == code
