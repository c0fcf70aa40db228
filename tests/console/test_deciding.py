"""The decide form: what is refused, in which words, with which status, and that it is audited."""

import re
from html import unescape

from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_cancel
from apps.audit.models import AuditEntry
from apps.engine.models import EngineCommand
from apps.interventions.models import Intervention
from tests.console.conftest import AsPerson, ask_to_sign, form_of
from tests.interventions.conftest import World


def text(response: object) -> str:
    return unescape(response.content.decode())  # type: ignore[attr-defined]


def test_a_reviewer_approves_and_the_workflow_is_signalled(
    world: World, as_person: AsPerson
) -> None:
    intervention, approval = ask_to_sign(world)
    response = as_person("reviewer").post(
        f"/requests/{approval.pk}/", form_of(approval), follow=True
    )
    assert response.redirect_chain == [(f"/requests/{approval.pk}/", 302)]
    assert "Approved. The programs take it from here" in text(response)
    assert "Ngozi Okafor" in text(response)
    approval.refresh_from_db()
    assert approval.status == "approved"
    assert EngineCommand.objects.filter(key=f"approval:{approval.pk}:settled").count() == 1
    assert Intervention.objects.get(pk=intervention.pk).status == "approved"


def test_the_first_of_two_tiers_says_who_signs_next(world: World, as_person: AsPerson) -> None:
    _, approval = ask_to_sign(world, amount="600000.00")
    response = as_person("reviewer").post(
        f"/requests/{approval.pk}/", form_of(approval), follow=True
    )
    assert "It waits for one signature by senior reviewer" in text(response)
    again = as_person("reviewer").get(f"/requests/{approval.pk}/")
    assert "You have signed this already" in text(again)


def test_the_second_reviewer_is_told_who_decided_and_when(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    sent = form_of(approval, reason="I found it in order as well.")
    as_person("reviewer").post(f"/requests/{approval.pk}/", form_of(approval))
    response = as_person("reviewer2").post(f"/requests/{approval.pk}/", sent)
    assert response.status_code == 409
    assert 'data-code="already_decided"' in text(response)
    assert "Ngozi Okafor was first: it is already approved" in text(response)
    settled_at = ApprovalRequest.objects.get(pk=approval.pk).settled_at
    assert settled_at is not None
    assert f"{settled_at:%Y-%m-%dT%H:%M:%S}" in text(response)
    assert "Your decision was not recorded" in text(response)
    assert audited(approval, "reviewer2") == ["already_decided"]


def audited(approval: ApprovalRequest, username: str) -> list[str]:
    from apps.accounts.models import User

    actor = User.objects.get(username=username).audit_id
    refused = AuditEntry.objects.filter(
        subject_id=str(approval.pk), outcome="refused", actor_id=actor
    )
    return list(refused.values_list("code", flat=True))


def test_who_may_not_sign_is_told_why_before_and_after_trying(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    expected = {
        "requester": ("requester_cannot_sign", "Nobody signs what they asked for."),
        "admin": ("not_in_group", "A signature by reviewer is needed now"),
        "auditor": ("permission_denied", "You may not sign requests."),
    }
    for name, (code, words) in expected.items():
        client = as_person(name)
        page = client.get(f"/requests/{approval.pk}/")
        assert words in text(page), name
        assert 'name="verdict"' not in text(page), name
        response = client.post(f"/requests/{approval.pk}/", form_of(approval))
        assert response.status_code == 403, name
        assert f'data-code="{code}"' in text(response), name
        assert audited(approval, name) == [code]
    approval.refresh_from_db()
    assert approval.status == "open"


def test_a_decision_on_a_payload_that_is_no_longer_current_is_refused(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    response = as_person("reviewer").post(
        f"/requests/{approval.pk}/", form_of(approval, payload_hash="0" * 64)
    )
    assert response.status_code == 409
    assert 'data-code="payload_changed"' in text(response)
    assert "Checked the papers." in text(response)


def test_the_live_page_gives_way_to_a_notice_when_the_payload_changed(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    client = as_person("reviewer")
    current = form_of(approval)["payload_hash"]
    same = text(client.get(f"/requests/{approval.pk}/live/?seen={current}"))
    assert 'name="verdict"' in same
    other = text(client.get(f"/requests/{approval.pk}/live/?seen={'0' * 64}"))
    assert 'name="verdict"' not in other
    assert "What is asked has changed while you had it open." in other


def test_a_form_without_reason_or_verdict_keeps_what_was_written(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    client = as_person("reviewer")
    no_reason = client.post(f"/requests/{approval.pk}/", form_of(approval, reason="  "))
    assert no_reason.status_code == 422
    no_verdict = client.post(f"/requests/{approval.pk}/", form_of(approval, verdict=""))
    assert no_verdict.status_code == 422
    assert "Choose one: approve or reject." in text(no_verdict)
    assert "Checked the papers." in text(no_verdict)
    for bad in (
        {"reason": "a\x00b"},
        {"verdict": "maybe"},
        {"verdict": "\x00"},
        {"payload_hash": "\x00"},
        {"reason": "x" * 2001},
    ):
        assert client.post(f"/requests/{approval.pk}/", form_of(approval, **bad)).status_code == 422
    approval.refresh_from_db()
    assert approval.status == "open"


def test_a_cancelled_request_shows_who_ended_it_and_offers_no_form(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    request_cancel(
        request_id=approval.pk,
        by=world.people["senior"],
        reason="Not wanted any more.",
        as_of=timezone.now(),
    )
    page = text(as_person("reviewer").get(f"/requests/{approval.pk}/"))
    assert "Not wanted any more." in page
    assert "Helena Duarte" in page
    assert 'name="verdict"' not in page


def test_the_verdict_in_the_address_is_only_a_suggestion(world: World, as_person: AsPerson) -> None:
    _, approval = ask_to_sign(world)
    page = text(as_person("reviewer").get(f"/requests/{approval.pk}/?verdict=reject"))
    assert 'value="reject"' in page
    assert page.count("checked") >= 1
    approval.refresh_from_db()
    assert approval.status == "open"


def test_the_key_c_finds_the_form_that_claims_and_the_one_that_releases(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    path = f"/requests/{approval.pk}/"
    reviewer = as_person("reviewer")
    claims = re.compile(rf'action="{path}(claim|release)/" data-claim>')
    assert claims.findall(reviewer.get(path).content.decode()) == ["claim"]
    reviewer.post(f"{path}claim/")
    assert claims.findall(reviewer.get(path).content.decode()) == ["release"]
    # Another one's claim is not ended by a key.
    assert claims.findall(as_person("senior").get(path).content.decode()) == []
