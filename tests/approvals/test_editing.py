from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.approvals import kinds, selectors
from apps.approvals.kinds import TierRule
from apps.approvals.models import ApprovalRequest, PayloadVersion
from apps.approvals.services import editing
from apps.audit.models import AuditEntry
from apps.engine.models import EngineCommand
from tests.approvals.test_api import Api
from tests.approvals.world import (
    KIND,
    decide,
    domain,
    edit,
    fresh,
    opened,
    permit,
    person,
    refusal,
    refused,
    rule,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def requester(db):
    rule()
    return person("requester")


@pytest.fixture
def reviewer(requester):
    return person("reviewer", "first")


@pytest.fixture
def editor(requester):
    return permit(person("editor", "first"), "edit_approvalrequest")


def test_an_edit_makes_a_version_voids_the_signatures_and_bars_the_editor(
    requester, reviewer, editor
):
    request = opened(requester, "60000.00")
    decide(request, reviewer)
    before = selectors.current_payload(fresh(request))
    edited = edit(request, editor, changes={"target": "Amina Bello"})
    payload = selectors.current_payload(edited)
    assert (payload.number, payload.edited_by) == (2, editor)
    assert payload.payload == {**before.payload, "target": "Amina Bello"}
    assert payload.hash != before.hash
    assert (edited.title, edited.status, edited.tier_number) == (
        "NGN 60000.00 to Amina Bello",
        "open",
        1,
    )
    assert "Amina Bello" in edited.search_text
    assert [tier.signed for tier in selectors.tiers(edited)] == [0, 0]
    assert refusal(edited, editor).code == "editor_cannot_sign"
    decide(edited, reviewer)  # who signed the version before reads it and signs again
    entry = AuditEntry.objects.get(action="approval.edited")
    assert entry.body["difference"] == [
        {"field": "target", "was": "Ngozi Okafor", "now": "Amina Bello"}
    ]
    assert entry.body["reason"] == "the name was wrong"


def test_the_waiting_workflow_is_told(requester, editor):
    request = edit(opened(requester), editor)
    command = EngineCommand.objects.get(key=f"approval:{request.pk}:edited:2")
    assert (command.name, command.workflow_id) == ("request_settled", request.workflow_id)
    edit(request, editor, changes={"target": "Bola Ade"})
    assert EngineCommand.objects.filter(key=f"approval:{request.pk}:edited:3").count() == 1


def test_the_rule_is_looked_up_again(requester, editor):
    request = opened(requester, "2000.00")
    assert (len(request.tiers), request.expires_at) == (1, None)
    raised = edit(request, requester, changes={"amount": "60000.00"})
    assert (len(raised.tiers), raised.tier_group) == (2, "first")
    assert raised.band["above"] == "50000.00"
    assert raised.expires_at is not None
    lowered = edit(raised, requester, changes={"amount": "3000.00"})
    assert (len(lowered.tiers), lowered.expires_at) == (1, None)


def test_an_edit_never_makes_signatures_unnecessary(requester, reviewer):
    request = opened(requester, "2000.00")
    small = edit(request, requester, changes={"amount": "10.00"})
    assert (small.status, small.tiers, small.rule) == ("open", request.tiers, request.rule)
    assert decide(small, reviewer).status == "approved"


def test_a_rule_of_another_day_applies_from_the_edit_on(requester, reviewer):
    request = opened(requester)
    rule([{"above": None, "tiers": [{"group": "second", "quorum": 1}]}])
    assert fresh(request).tier_group == "first"
    edited = edit(request, requester)
    assert edited.tier_group == "second"
    assert refusal(edited, reviewer).code == "not_in_group"


def test_escalation_and_claim_end_with_it(requester, reviewer, editor):
    request = opened(requester)
    ApprovalRequest.objects.filter(pk=request.pk).update(
        escalated_group="second",
        escalated_to=reviewer,
        escalated_at=timezone.now(),
        claimed_by=reviewer,
        claimed_until=timezone.now() + timedelta(minutes=5),
    )
    edited = edit(request, editor)
    assert (edited.escalated_group, edited.escalated_to, edited.escalated_at) == ("", None, None)
    assert (edited.claimed_by, edited.claimed_until) == (None, None)


def test_the_same_edit_twice_is_made_once(requester):
    request = opened(requester)
    edit(request, requester)
    error = refused(lambda: edit(request, requester), action="approval.edit", by=requester)
    assert error.code == "payload_changed"
    assert error.extra["difference"] == [
        {"field": "target", "was": "Ngozi Okafor", "now": "Amina Bello"}
    ]
    assert PayloadVersion.objects.filter(request=request).count() == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"changes": {}}, "nothing_changed"),
        ({"changes": {"target": "Ngozi Okafor"}}, "nothing_changed"),
        ({"changes": {"requested_by": "me"}}, "not_editable"),
        ({"changes": {"\x00": "x"}}, "not_editable"),
        ({"changes": {"target": "a\x00b"}}, "changes_invalid"),
        ({"changes": {"target": "\ud800"}}, "changes_invalid"),
        ({"changes": {"target": "x" * 20_001}}, "changes_invalid"),
        ({"changes": {"target": 7}}, "changes_invalid"),
        ({"changes": ["target"]}, "changes_invalid"),
        ({"changes": {"target": "nobody"}}, "target_invalid"),
        ({"changes": {"amount": "-5"}}, "amount_invalid"),
        ({"reason": " "}, "reason_required"),
        ({"reason": "x" * 2001}, "reason_too_long"),
        ({"reason": "a\x00b"}, "invalid_text"),
        ({"payload_hash": "0" * 64}, "payload_changed"),
        ({"payload_hash": "\x00"}, "payload_changed"),
        ({"request_id": "nonsense"}, "not_found"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(requester, changes, code):
    request = opened(requester)
    error = refused(
        lambda: edit(request, requester, **changes), action="approval.edit", by=requester
    )
    assert error.code == code
    again = fresh(request)
    assert (again.version, again.payload_number) == (request.version, 1)


def test_only_the_requester_and_who_has_the_permission_edit(requester, reviewer):
    request = opened(requester)
    root = person("root", is_superuser=True)
    error = refused(lambda: edit(request, reviewer), action="approval.edit", by=reviewer)
    assert (error.status, error.code) == (403, "permission_denied")
    stranger = person("stranger")
    error = refused(lambda: edit(request, stranger), action="approval.edit", by=stranger)
    assert error.code == "not_found"
    edited = edit(request, root)  # has every permission, and is out like anybody
    root.groups.set(reviewer.groups.all())
    assert refusal(edited, root).code == "editor_cannot_sign"


def test_what_has_ended_is_not_edited(requester, reviewer):
    request = opened(requester)
    decide(request, reviewer)
    error = refused(lambda: edit(request, requester), action="approval.edit", by=requester)
    assert error.code == "already_decided"
    assert domain.edited == []


def test_the_api_edits_and_says_what_can_be_edited(requester, reviewer, editor):
    request = opened(requester)
    assert Api(reviewer).get(f"/{request.pk}").json()["editable"] == []
    api = Api(editor, "approvals:read", "approvals:write")
    seen = api.get(f"/{request.pk}").json()
    assert [field["name"] for field in seen["editable"]] == ["amount", "target"]
    body = {
        "changes": {"amount": "2500.00"},
        "payload_hash": seen["payload_hash"],
        "reason": "the invoice says so",
    }
    assert Api(editor, "approvals:decide").post(f"/{request.pk}/edit", body).status_code == 403
    edited = api.post(f"/{request.pk}/edit", body)
    assert (edited.status_code, edited.json()["payload_number"]) == (200, 2)
    assert (edited.json()["amount"], edited.json()["can_sign"]) == ("2500.00", "editor_cannot_sign")
    late = api.post(f"/{request.pk}/edit", body)
    assert (late.status_code, late.json()["code"]) == (409, "payload_changed")
    assert late.json()["difference"] == [{"field": "amount", "was": "2000.00", "now": "2500.00"}]


def test_the_page_edits_and_shows_what_was_changed(requester, reviewer):
    request = opened(requester)
    client = Client()
    client.force_login(requester)
    address = f"/requests/{request.pk}/edit/"
    page = client.get(address).content.decode()
    assert 'value="2000.00"' in page and 'value="Ngozi Okafor"' in page
    form = {
        "amount": "2000.00",
        "target": "Amina Bello",
        "edit_reason": "the name was wrong",
        "payload_hash": selectors.current_payload(request).hash,
    }
    assert client.post(address, {**form, "edit_reason": ""}).status_code == 422
    nothing = client.post(address, {**form, "target": "Ngozi Okafor"})
    assert (nothing.status_code, b"nothing_changed" in nothing.content) == (422, True)
    assert client.post(address, form).status_code == 302
    stale = client.post(address, {**form, "target": "Bola Ade"})
    assert (stale.status_code, b"payload_changed" in stale.content) == (409, True)
    page = client.get(f"/requests/{request.pk}/").content.decode()
    assert "What was changed" in page and "Amina Bello" in page
    other = Client()
    other.force_login(reviewer)
    assert other.get(address).status_code == 404


def test_the_request_page_shows_the_difference_to_who_decides_on_what_they_no_longer_see(
    requester, reviewer
):
    request = opened(requester)
    seen = selectors.current_payload(request).hash
    edit(request, requester)
    client = Client()
    client.force_login(reviewer)
    form = {"verdict": "approve", "reason": "in order", "payload_hash": seen}
    answer = client.post(f"/requests/{request.pk}/", form)
    assert answer.status_code == 409
    page = answer.content.decode()
    refusal_note = page[page.index('data-code="payload_changed"') : page.index("columns-side")]
    assert "Ngozi Okafor</del>" in refusal_note and "Amina Bello</ins>" in refusal_note
    live = client.get(f"/requests/{request.pk}/live/", {"seen": seen}).content.decode()
    notice = live[live.index("has changed while you had it open") :]
    assert "Amina Bello</ins>" in notice


# --- rules that somebody puts meanwhile -----------------------------------------------------------
FRIENDLY = [{"above": None, "tiers": [{"group": "friends", "quorum": 1}]}]
GAP = [{"above": "900000.00", "tiers": [{"group": "first", "quorum": 1}]}]


@pytest.mark.parametrize("bands", [FRIENDLY, GAP], ids=["friends", "gap"])
def test_who_asks_does_not_choose_the_rule_by_putting_one_and_editing(requester, editor, bands):
    request = opened(requester, "60000.00")
    rule(bands, by=requester)
    # Neither their own edit nor somebody else's brings it in.
    for by in (requester, editor):
        edited = edit(fresh(request), by, changes={"target": f"for {by}"})
        assert (edited.rule, edited.tiers, edited.band) == (
            request.rule,
            request.tiers,
            request.band,
        )
    # The version that stood judges the new amount.
    lowered = edit(fresh(request), requester, changes={"amount": "3000.00"})
    assert (lowered.rule, len(lowered.tiers), lowered.tier_group) == (request.rule, 1, "first")


def test_who_edits_does_not_choose_the_rule_by_putting_one(requester, editor):
    request = opened(requester)
    rule(FRIENDLY, by=editor)
    assert edit(request, editor).tiers == request.tiers
    # An earlier editor's does not come in by the next one's edit.
    assert edit(fresh(request), requester, changes={"target": "x"}).tiers == request.tiers


def test_a_rule_that_somebody_else_puts_meanwhile_applies_even_after_theirs(requester):
    request = opened(requester)
    rule(FRIENDLY, by=requester)
    rule([{"above": None, "tiers": [{"group": "second"}]}], by=person("keeper"))
    assert edit(request, requester).tier_group == "second"


def test_an_edit_into_a_gap_keeps_what_was_asked_for_and_never_the_kinds_default(
    requester, monkeypatch
):
    kind = kinds.get(KIND)
    default = replace(kind, default_tiers=(TierRule("friends"),))
    monkeypatch.setitem(kinds._kinds._values, KIND, default)
    request = opened(requester, "60000.00")
    edited = edit(request, requester, changes={"amount": "10.00"})
    assert (edited.rule, edited.tiers, edited.band) == (request.rule, request.tiers, request.band)
    # Not either when the rule that frees them is their own from before.
    rule(GAP, by=requester)
    own = opened(requester, "950000.00")
    assert edit(own, requester, changes={"amount": "10.00"}).tiers == own.tiers


# --- how often, how long --------------------------------------------------------------------------
def test_nothing_is_edited_for_ever(requester, reviewer, monkeypatch):
    monkeypatch.setattr(editing, "MOST_VERSIONS", 3)
    request = opened(requester)
    for number in (1, 2):
        edit(fresh(request), requester, changes={"target": f"person {number}"})
    error = refused(lambda: edit(fresh(request), requester), action="approval.edit", by=requester)
    assert (error.status, error.code) == (409, "too_many_edits")
    assert PayloadVersion.objects.filter(request=request).count() == 3
    assert decide(fresh(request), reviewer).status == "approved"


def test_editing_does_not_postpone_the_expiry(requester):
    begun = timezone.now() - timedelta(hours=23)
    request = opened(requester, "60000.00", as_of=begun)
    assert request.expires_at == begun + timedelta(hours=24)
    assert edit(request, requester).expires_at == request.expires_at
    raised = edit(fresh(request), requester, changes={"amount": "70000.00"})
    assert raised.expires_at == request.expires_at


def test_a_band_that_begins_with_an_edit_gives_time_to_sign_and_none_gives_more(requester):
    now = timezone.now()
    old = opened(requester, as_of=now - timedelta(days=3))
    raised = edit(old, requester, changes={"amount": "60000.00"}, as_of=now)
    assert raised.expires_at == now + timedelta(hours=24)
    # From a longer time to a shorter one that is over: no later than it was.
    late = opened(requester, "60000.00", as_of=now - timedelta(hours=20))
    rule([{"above": None, "tiers": [{"group": "first"}], "expires_hours": 10}])
    assert edit(late, requester, as_of=now).expires_at == late.expires_at


def test_what_is_changed_has_no_character_that_nobody_sees(requester):
    request = opened(requester)
    error = refused(
        lambda: edit(request, requester, changes={"target": "Amina\u200b Bello"}),
        action="approval.edit",
        by=requester,
    )
    assert error.code == "invisible_characters"
