"""Coded reasons of verdicts: asked for at every door, kept with the signature."""

import re
from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import kinds, services
from apps.approvals.contracts import Verdict
from apps.approvals.kinds import ApprovalKind, Reason
from apps.approvals.models import ApprovalRequest, BulkDecision, Signature
from apps.approvals.services.bulk import BulkChoice, item_decide
from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from apps.engine.timeline import told
from apps.notifications.models import Notification, WebhookDelivery
from apps.notifications.services import webhook_create
from tests.approvals import coded
from tests.approvals.coded import CLAIM, REFUND, claim
from tests.approvals.test_bulk import hash_of
from tests.approvals.test_bulk_doors import form_of, signed_in, text
from tests.approvals.test_doors_api import Api
from tests.approvals.world import (
    KIND,
    decide,
    delegated,
    fresh,
    opened,
    permit,
    person,
    refusal,
    rule,
)

pytestmark = pytest.mark.django_db
HOSTILE = ["a\x00b", "x" * 1_000_000, "fraud", "\ud800", " FRAUD", None, 7, ["FRAUD"], {}]
FIELD = f"reason_code-reject-{CLAIM}"


@pytest.fixture(autouse=True)
def _nothing_settled() -> None:
    coded.settled.clear()


@pytest.fixture
def requester(db: None) -> User:
    rule()
    return person("requester")


@pytest.fixture
def reviewer(requester: User) -> User:
    return person("reviewer", "first")


def codes() -> list[tuple[str, str]]:
    return list(Signature.objects.order_by("id").values_list("verdict", "reason_code"))


# --- the decision -------------------------------------------------------------------------------
def test_it_is_kept_with_the_signature_the_trail_and_the_request_and_told(
    requester: User, reviewer: User
) -> None:
    webhook_create(url="https://example.org/", events=["*"], by=_admin(), via="api")
    request = claim(requester)
    decided = decide(request, reviewer, "reject", reason="See case 7.", reason_code="FRAUD")
    assert decided.settled_reason_code == "FRAUD"
    assert codes() == [("reject", "FRAUD")]
    assert coded.settled == [("rejected", "FRAUD", "Fraud: See case 7.")]
    entry = AuditEntry.objects.get(action="approval.rejected")
    assert entry.body is not None
    assert (entry.body["reason_code"], entry.body["reason_label"]) == ("FRAUD", "Fraud")
    (line,) = told([entry])
    assert (line.text, line.detail) == ("Rejected: Fraud", "See case 7.")
    assert Notification.objects.get(kind="approval.settled").text.endswith("Fraud: See case 7.")
    sent = WebhookDelivery.objects.get(event="approval.rejected").body
    assert '"reason_code": "FRAUD"' in sent
    assert "See case 7" not in sent


def _admin() -> User:
    return person("admin", is_superuser=True)


def test_a_verdict_with_reasons_needs_one_of_its_own(requester: User, reviewer: User) -> None:
    request = claim(requester)
    error = refusal(request, reviewer, "reject")
    assert (error.status, error.code) == (422, "reason_code_required")
    assert error.extra["reason_codes"] == ["FRAUD", "USER_REQUESTED", "OTHER"]
    # Of the other verdict.
    error = refusal(request, reviewer, reason_code="FRAUD")
    assert (error.status, error.code) == (422, "reason_code_unknown")
    assert error.extra["reason_codes"] == ["USER_REQUESTED"]
    assert decide(request, reviewer, reason_code="USER_REQUESTED").status == "approved"
    assert codes() == [("approve", "USER_REQUESTED")]


@pytest.mark.parametrize("code", HOSTILE)
@pytest.mark.parametrize("kind", [CLAIM, REFUND, KIND])
def test_what_is_no_code_is_refused_and_audited(
    requester: User, reviewer: User, kind: str, code: Any
) -> None:
    request = claim(requester, kind)
    error = refusal(request, reviewer, "reject", reason_code=code)
    assert (error.status, error.code) == (422, "reason_code_unknown")
    assert (codes(), fresh(request).status) == ([], "open")


def test_a_code_that_says_enough_is_the_reason_that_a_rule_asks_for(
    requester: User, reviewer: User
) -> None:
    request = claim(requester)
    assert request.reason_required
    assert refusal(request, reviewer, "reject", reason="", reason_code="OTHER").code == (
        "reason_required"
    )
    decided = decide(request, reviewer, "reject", reason="", reason_code="FRAUD")
    assert decided.settled_words == "Fraud"


def test_a_kind_whose_reasons_are_optional_signs_with_and_without(
    requester: User, reviewer: User
) -> None:
    assert decide(claim(requester, REFUND), reviewer, "reject").settled_reason_code == ""
    assert refusal(claim(requester, REFUND), reviewer, reason="").code == "reason_required"
    decide(claim(requester, REFUND), reviewer, "reject", reason="", reason_code="FRAUD")
    assert codes() == [("reject", ""), ("reject", "FRAUD")]
    entries = AuditEntry.objects.filter(action="approval.rejected").order_by("id")
    assert ["reason_code" in (entry.body or {}) for entry in entries] == [False, True]


def test_twice_is_once(requester: User, reviewer: User) -> None:
    request = claim(requester)
    decide(request, reviewer, "reject", reason_code="FRAUD")
    late = refusal(request, reviewer, "reject", reason_code="USER_REQUESTED")
    assert late.code == "already_decided"
    assert codes() == [("reject", "FRAUD")]
    assert fresh(request).settled_reason_code == "FRAUD"


def test_each_of_several_signatures_has_its_own(requester: User, reviewer: User) -> None:
    services.rule_put(
        kind=CLAIM,
        scope="",
        currency="NGN",
        bands=[{"above": "0.00", "tiers": [{"group": "first", "quorum": 2}]}],
        by=None,
    )
    request = claim(requester)
    signed = decide(request, reviewer, reason_code="USER_REQUESTED")
    assert (signed.status, signed.settled_reason_code) == ("open", "")
    (line,) = told([AuditEntry.objects.get(action="approval.signed")])
    assert line.text == "Signed in tier 1: The owner asked for it"
    decide(request, person("second", "first"), "reject", reason_code="FRAUD")
    assert codes() == [("approve", "USER_REQUESTED"), ("reject", "FRAUD")]


def test_the_admin_asks_as_often_for_many_signatures_as_for_one(requester: User) -> None:
    rule([{"above": "0.00", "tiers": [{"group": "first", "quorum": 9}]}])
    staff = permit(person("staff", "first", is_staff=True), "view_signature")
    client = signed_in(staff)
    request = opened(requester)
    row = reverse("admin:approvals_approvalrequest_change", args=[request.pk])

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            assert client.get(row).status_code == 200
        return len(found)

    decide(request, staff)
    queries()
    one = queries()
    for number in range(4):
        decide(request, person(f"first{number}", "first"))
    assert queries() == one


def test_it_is_asked_of_whoever_signs_for_somebody_too(requester: User, reviewer: User) -> None:
    delegate = permit(person("delegate"), "view_approvalrequest", "decide_approvalrequest")
    delegated(reviewer, delegate)
    request = claim(requester)
    assert refusal(request, delegate, "reject").code == "reason_code_required"
    decide(request, delegate, "reject", reason_code="FRAUD")
    assert Signature.objects.get().authority == reviewer
    assert codes() == [("reject", "FRAUD")]


@pytest.mark.parametrize(
    "codes", [("",), ("a b",), ("x" * 61,), ("A", "A"), ("\N{LATIN SMALL LETTER E WITH ACUTE}",)]
)
def test_a_kind_with_codes_that_cannot_be_kept_is_not_registered(codes: tuple[str, ...]) -> None:
    with pytest.raises(ImproperlyConfigured):
        kinds.register(
            ApprovalKind(
                name="test.wrong",
                title="Wrong",
                on_settled=lambda **_: None,
                facts=lambda request: [],
                subject_url=str,
                reasons=tuple(Reason(code, "Label", Verdict.REJECT) for code in codes),
            )
        )
    assert kinds.find("test.wrong") is None


def test_what_was_signed_with_a_code_that_is_gone_is_still_shown(
    requester: User, reviewer: User
) -> None:
    request = claim(requester)
    decide(request, reviewer, "reject", reason_code="FRAUD", reason="")
    ApprovalRequest.objects.filter(pk=request.pk).update(kind="test.gone")
    assert fresh(request).settled_words == "FRAUD"
    assert "FRAUD" in text(signed_in(reviewer).get(f"/requests/{request.pk}/"))


# --- the page -----------------------------------------------------------------------------------
def sent(request: ApprovalRequest, **changes: Any) -> dict[str, Any]:
    return {
        "verdict": "reject",
        "reason": "",
        "payload_hash": hash_of(request),
        "tier": "1",
        **changes,
    }


def test_the_page_offers_each_verdict_its_own_and_keeps_what_was_chosen(
    requester: User, reviewer: User
) -> None:
    request = claim(requester)
    client, place = signed_in(reviewer), f"/requests/{request.pk}/"
    page = text(client.get(place))
    assert "Grounds to approve" in page
    assert "Grounds to reject" in page
    assert "Stands for a reason in words, except Other." in page
    answer = client.post(place, sent(request))
    assert answer.status_code == 422
    assert "This decision needs one of the coded reasons." in text(answer)
    answer = client.post(place, sent(request, **{FIELD: "OTHER"}))
    assert answer.status_code == 422
    assert "This field is required." in text(answer)
    assert '<option value="OTHER" selected>' in text(answer)
    assert client.post(place, sent(request, **{FIELD: "nonsense"})).status_code == 422
    assert codes() == []
    # What was chosen for the other verdict before is not sent along.
    other = {f"reason_code-approve-{CLAIM}": "USER_REQUESTED"}
    answer = client.post(place, sent(request, **{FIELD: "FRAUD", **other}), follow=True)
    assert codes() == [("reject", "FRAUD")]
    page = text(answer)
    assert "<strong>Fraud</strong>" in page
    assert "Rejected: Fraud" in page
    assert 'class="prose">Fraud</dd>' in page


@pytest.mark.parametrize("code", ["a\x00b", "x" * 1_000_000, "fraud"])
def test_the_page_refuses_what_it_did_not_offer(requester: User, reviewer: User, code: str) -> None:
    request = claim(requester)
    answer = signed_in(reviewer).post(f"/requests/{request.pk}/", sent(request, **{FIELD: code}))
    assert answer.status_code == 422
    assert codes() == []


def test_a_kind_without_reasons_has_no_such_fields(requester: User, reviewer: User) -> None:
    page = text(signed_in(reviewer).get(f"/requests/{opened(requester).pk}/"))
    assert "Grounds to" not in page


# --- the API ------------------------------------------------------------------------------------
def test_the_api_offers_asks_and_shows_them(requester: User, reviewer: User) -> None:
    request, api = claim(requester), Api(reviewer)
    seen = api.get(f"/{request.pk}").json()
    assert seen["reasons"][1] == {
        "code": "FRAUD",
        "label": "Fraud",
        "verdict": "reject",
        "text_required": False,
        "required": True,
    }
    body = {"verdict": "reject", "payload_hash": seen["payload_hash"]}
    place = f"/{request.pk}/decide"
    status, answer = api.send(place, body)
    assert (status, answer["code"]) == (422, "reason_code_required")
    assert answer["reason_codes"] == ["FRAUD", "USER_REQUESTED", "OTHER"]
    for code, expected in (
        ("fraud", "reason_code_unknown"),
        ("a\x00", "invalid_text"),
        ("x" * 300, "validation_error"),
        (7, "validation_error"),
        ("OTHER", "reason_required"),
    ):
        status, answer = api.send(place, {**body, "reason_code": code})
        assert (status, answer["code"]) == (422, expected), code
    status, answer = api.send(place, {**body, "reason_code": "FRAUD"})
    assert (status, answer["status"], answer["settled_reason_code"]) == (200, "rejected", "FRAUD")
    (line,) = answer["signatures"]
    assert (line["reason_code"], line["reason_label"], line["reason"]) == ("FRAUD", "Fraud", "")


# --- many at once -------------------------------------------------------------------------------
def bulk(by: User, *requests: ApprovalRequest, **changes: Any) -> BulkDecision:
    arguments: dict[str, Any] = {
        "by": by,
        "verdict": "reject",
        "reason": "Closed together.",
        "items": [BulkChoice(one.pk, hash_of(one)) for one in requests],
        "key": "k",
        "via": "api",
        "as_of": timezone.now(),
        **changes,
    }
    return services.bulk_decide(**arguments)


def bulk_refusal(by: User, *requests: ApprovalRequest, **changes: Any) -> DomainError:
    before = AuditEntry.objects.filter(action="bulk.decide", outcome="refused").count()
    with pytest.raises(DomainError) as raised:
        bulk(by, *requests, **changes)
    refused = AuditEntry.objects.filter(action="bulk.decide", outcome="refused")
    assert refused.count() == before + 1
    assert not BulkDecision.objects.exists()
    return raised.value


def test_a_bulk_decision_over_several_kinds_has_a_reason_for_each(
    requester: User, reviewer: User
) -> None:
    rows = claim(requester), claim(requester, REFUND), opened(requester)
    assert bulk_refusal(reviewer, *rows).code == "reason_code_required"
    for given, code, kind in (
        ({CLAIM: "fraud"}, "reason_code_unknown", CLAIM),
        ({CLAIM: "FRAUD", KIND: "FRAUD"}, "reason_code_unknown", KIND),
        ({CLAIM: "FRAUD", "test.other": "FRAUD"}, "reason_code_unknown", None),
        ({CLAIM: ["FRAUD"]}, "reason_code_unknown", CLAIM),
        (["FRAUD"], "reason_code_unknown", None),
    ):
        error = bulk_refusal(reviewer, *rows, reason_codes=given)
        assert (error.code, error.extra.get("kind")) == (code, kind)
    error = bulk_refusal(reviewer, *rows, reason_codes={CLAIM: "OTHER"}, reason="")
    assert (error.code, error.extra["kind"]) == ("reason_required", CLAIM)

    chosen = {CLAIM: "FRAUD", REFUND: "USER_REQUESTED"}
    begun = bulk(reviewer, *rows, reason_codes=chosen)
    assert bulk(reviewer, *rows, reason_codes=chosen).pk == begun.pk
    with pytest.raises(DomainError, match="another bulk decision"):
        bulk(reviewer, *rows, reason_codes={CLAIM: "FRAUD"})
    for item in begun.items.all():
        assert item_decide(item_id=item.pk, as_of=timezone.now()) == "done"
        item_decide(item_id=item.pk, as_of=timezone.now())
    assert codes() == [("reject", "FRAUD"), ("reject", "USER_REQUESTED"), ("reject", "")]


def test_the_same_bulk_decision_again_is_answered_by_the_reasons_of_then(
    requester: User, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, kind = claim(requester), kinds.get(CLAIM)
    begun = bulk(reviewer, row, reason_codes={CLAIM: "FRAUD"})
    # A later release asks for other reasons; the program repeats what it was not answered.
    monkeypatch.setitem(kinds._kinds._values, CLAIM, replace(kind, reasons=kind.reasons[:1]))
    assert bulk(reviewer, row, reason_codes={CLAIM: "FRAUD", REFUND: ""}).pk == begun.pk
    with pytest.raises(DomainError, match="another bulk decision"):
        bulk(reviewer, row, reason_codes={CLAIM: "OTHER"})
    assert bulk(reviewer, row, reason_codes={}, key="later").pk != begun.pk


def test_the_preview_asks_for_one_of_each_kind_that_is_ticked(
    requester: User, reviewer: User
) -> None:
    one, two, plain = claim(requester), claim(requester, REFUND), opened(requester)
    client = signed_in(reviewer)
    ids = [one.pk, two.pk, plain.pk]
    page = text(client.post("/inbox/bulk/", {"ids": ids}))
    assert "Grounds to reject: Claim" in page
    assert "Grounds to reject: Refund" in page
    form = form_of(page, verdict="reject")
    answer = client.post("/inbox/bulk/run/", form)
    assert answer.status_code == 422
    assert "This decision needs one of the coded reasons." in text(answer)
    # The kinds without one ask for words.
    answer = client.post("/inbox/bulk/run/", {**form, FIELD: "FRAUD", "reason": ""})
    assert answer.status_code == 422
    assert "Say in a sentence why" in text(answer)
    assert '<option value="FRAUD" selected>' in text(answer)
    picked = [item for item in form["item"] if item.startswith(str(one.pk))]
    answer = client.post("/inbox/bulk/run/", {**form, FIELD: "FRAUD", "reason": "", "item": picked})
    assert answer.status_code == 302
    assert BulkDecision.objects.get().reason_codes == {CLAIM: "FRAUD"}


def test_the_api_decides_many_with_the_reason_of_each_kind(requester: User, reviewer: User) -> None:
    one, two, api = claim(requester), claim(requester, REFUND), Api(reviewer)
    status, seen = api.send("/bulk-preview", {"ids": [str(one.pk), str(two.pk)]})
    assert status == 200
    assert {name: len(lines) for name, lines in seen["reasons"].items()} == {CLAIM: 4, REFUND: 4}
    items = [{"id": str(x.pk), "payload_hash": hash_of(x)} for x in (one, two)]
    body = {"verdict": "reject", "reason": "Together.", "items": items}
    status, answer = api.send("/bulk-decide", body)
    assert (status, answer["code"], answer["kind"]) == (422, "reason_code_required", CLAIM)
    for wrong in ([], "FRAUD", {CLAIM: 7}, {CLAIM: None}):
        status, answer = api.send("/bulk-decide", {**body, "reason_codes": wrong})
        assert (status, answer["code"]) == (422, "validation_error")
    status, answer = api.send("/bulk-decide", {**body, "reason_codes": {CLAIM: "FRAUD"}})
    assert status == 202
    shown = api.get(f"/bulk-decisions/{answer['id']}").json()
    assert shown["reason_codes"] == {CLAIM: "FRAUD"}


# --- the admin ----------------------------------------------------------------------------------
def test_the_admin_asks_for_one_of_each_kind(requester: User) -> None:
    staff = permit(person("staff", "first", is_staff=True), "view_signature")
    client = Client()
    client.force_login(staff)
    one, two = claim(requester), claim(requester, REFUND)
    place = reverse("admin:approvals_approvalrequest_changelist")
    form: dict[str, Any] = {"action": "reject", "_selected_action": [str(one.pk), str(two.pk)]}
    page = text(client.post(place, form))
    assert "Grounds to reject: Claim" in page
    assert "Grounds to approve" not in page
    stamps = dict(re.findall(r'name="(stamp-[^"]+)" value="([^"]+)"', page))
    form |= {"confirmed": "yes", **stamps}
    answer = client.post(place, form)
    assert answer.status_code == 422
    assert "This decision needs one of the coded reasons." in text(answer)
    assert client.post(place, {**form, FIELD: "fraud"}).status_code == 422
    assert codes() == []
    client.post(place, {**form, FIELD: "FRAUD", "reason": "Case 7."})
    assert sorted(codes()) == [("reject", ""), ("reject", "FRAUD")]
    row = reverse("admin:approvals_approvalrequest_change", args=[one.pk])
    assert "Fraud" in text(client.get(row))
