"""What is signed, on a request's page: whole, in words, sealed, and apart from what is live."""

import hashlib
import json
import re
from decimal import Decimal
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors import current_payload
from apps.approvals.views import signed
from apps.interventions.services.attention import ATTENTION
from apps.interventions.services.transfers import transfer_approval
from tests.approvals.world import edit, fresh, opened, person, rule
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions import batch_world, test_transfers
from tests.interventions.conftest import World

PRIVATE = re.compile(r"user:\d+|(?<![\d,.])\d+\.\d\d(?!\d)")


def of_an_intervention(world: World) -> ApprovalRequest:
    return ask_to_sign(world, amount="600000.00")[1]


def of_one_that_cannot_be_undone(world: World) -> ApprovalRequest:
    intervention = world.ask(amount=Decimal("25000.00"), policy="grant")
    world.open(intervention)
    return ApprovalRequest.objects.get(subject_id=str(intervention.pk))


def of_one_that_needs_attention(world: World) -> ApprovalRequest:
    intervention = world.ask()
    ATTENTION.open(intervention.pk, code="receipt_unknown", detail="The bank did not answer.")
    return ApprovalRequest.objects.get(subject_id=str(intervention.pk))


def of_a_batch(world: World) -> ApprovalRequest:
    batch = batch_world.asked(world, [batch_world.payment(n, amount="9000.00") for n in range(25)])
    batch_world.opened(batch)
    return ApprovalRequest.objects.get(subject_id=str(batch.pk))


def of_a_transfer(world: World) -> ApprovalRequest:
    world.budget("spare", "500.00")
    request = transfer_approval(test_transfers.asked(world))
    assert request is not None
    return request


KINDS = {
    "intervention": of_an_intervention,
    "final": of_one_that_cannot_be_undone,
    "attention": of_one_that_needs_attention,
    "batch": of_a_batch,
    "transfer": of_a_transfer,
}


def panel(page: str, part: str, end: str = "</section>") -> str:
    return page[page.index(f'id="{part}"') :].partition(end)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_that_is_signed_is_on_the_page_in_words(
    kind: str, world: World, as_person: AsPerson
) -> None:
    approval = KINDS[kind](world)
    page = unescape(as_person("senior").get(f"/requests/{approval.pk}/").content.decode())
    shown = panel(page, "request-asked").partition('id="seal"')[0]
    fields = " ".join(re.findall(r'data-signed="([^"]*)"', shown)).split()
    payload = current_payload(fresh(approval)).payload
    assert sorted(fields) == sorted(payload)
    words = re.sub(r"<[^>]*>", " ", shown)
    assert PRIVATE.findall(words.replace("NGN\u00a0", "NGN")) == []
    assert world.requester.username not in words
    if "requested_by" in payload:
        assert str(world.requester) in words
    if "policy" in payload:
        assert f"({payload['policy']}, version {payload['policy_version']})" in words


def test_what_is_true_just_now_stands_apart(world: World, as_person: AsPerson) -> None:
    _, approval = ask_to_sign(world)
    page = as_person("reviewer").get(f"/requests/{approval.pk}/").content.decode()
    asked, now = panel(page, "request-asked"), panel(page, "request-now")
    for live in ("Free now", "Free after it", "Others waiting for a signature", "Status"):
        assert live in now and live not in asked
    for once in ("Makoko Health Post", "NGN\u00a025,000.00", str(world.requester)):
        assert once in asked
    assert "Paid to" not in now


def test_the_text_that_is_signed_can_be_verified_with_any_tool(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    seal = current_payload(fresh(approval)).hash
    client = as_person("reviewer")
    answer = client.get(f"/requests/{approval.pk}/signed.json")
    assert hashlib.sha256(answer.content).hexdigest() == seal
    assert answer["Content-Disposition"] == (f'attachment; filename="signed-{approval.pk}-v1.json"')
    assert json.loads(answer.content)["payload"]["target"] == "Makoko Health Post"
    page = client.get(f"/requests/{approval.pk}/").content.decode()
    found = re.search(r'<pre[^>]* id="signed-document"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert found and unescape(found[1]).encode() == answer.content
    assert f"<code>{seal[:12]}</code>" in panel(page, "seal", "</summary>")
    assert "The seal does not fit." not in page


def test_a_text_too_long_for_the_page_is_offered_as_a_file(
    world: World, as_person: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed, "MOST_SHOWN", 10)
    _, approval = ask_to_sign(world)
    page = as_person("reviewer").get(f"/requests/{approval.pk}/").content.decode()
    assert "signed-document" not in page.replace("signed-document-copied", "")
    assert f"/requests/{approval.pk}/signed.json" in page


def test_what_was_changed_behind_the_seal_is_told(
    world: World, as_person: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, approval = ask_to_sign(world)
    monkeypatch.setattr(signed, "hash_of", lambda document: "0" * 64)
    page = as_person("reviewer").get(f"/requests/{approval.pk}/").content.decode()
    assert "The seal does not fit." in page
    assert "Sealed:" not in page


@pytest.mark.django_db
def test_the_seal_of_an_edited_request_fits_and_a_kind_without_words_hides_nothing() -> None:
    rule()
    requester = person("requester")
    request = opened(requester, payload={"amount": "2000.00", "target": "Ngozi", "extra": [1, 2]})
    edit(request, requester)
    client = Client()
    client.force_login(requester)
    page = unescape(client.get(f"/requests/{request.pk}/").content.decode())
    shown = panel(page, "request-asked")
    assert "The seal does not fit." not in page
    assert sorted(re.findall(r'data-signed="([^"]*)"', shown)) == ["amount", "extra", "target"]
    assert "[1,2]" in shown


# --- the decision at the foot of a phone's window -------------------------------------------------
def bar(client: Client, approval: ApprovalRequest) -> str:
    page = client.get(f"/requests/{approval.pk}/").content.decode()
    return unescape(panel(page, "decide-bar", "</nav>"))


def test_the_bar_offers_the_decision_or_says_why_not(world: World, as_person: AsPerson) -> None:
    _, approval = ask_to_sign(world)
    may = bar(as_person("reviewer"), approval)
    assert '"?verdict=approve#decide"' in may and '"?verdict=reject#decide"' in may
    may_not = bar(as_person("requester"), approval)
    assert "Nobody signs what they asked for." in may_not
    assert "verdict" not in may_not
    current = current_payload(fresh(approval)).hash
    live = as_person("reviewer").get(f"/requests/{approval.pk}/live/?seen={'0' * 64}")
    changed = unescape(panel(live.content.decode(), "decide-bar", "</nav>"))
    assert current and "What is asked has changed." in changed and "verdict" not in changed
    approval.__class__.objects.filter(pk=approval.pk).update(
        status="cancelled", settled_at=timezone.now()
    )
    page = as_person("reviewer").get(f"/requests/{approval.pk}/").content.decode()
    assert '<div id="decide-bar" data-merge="replace" hidden>' in page


def test_the_bar_of_a_link_from_an_email_keeps_where_it_came_from(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    page = as_person("reviewer").get(f"/requests/{approval.pk}/?from=email").content.decode()
    assert 'href="?verdict=approve&amp;from=email#decide"' in page
