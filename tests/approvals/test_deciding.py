from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.approvals import selectors, services
from apps.approvals.models import ApprovalRequest, Signature
from apps.approvals.services import clock, rows
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict
from apps.engine.models import EngineCommand, WorkflowRun
from tests.approvals.world import (
    decide,
    domain,
    edit,
    fresh,
    opened,
    permit,
    person,
    refusal,
    rule,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def requester(db):
    rule()
    return person("requester")


@pytest.fixture
def reviewer(requester):
    return person("reviewer", "first", first_name="Ngozi", last_name="Okafor")


def settled_signals() -> int:
    """To the workflow that waits; the request's clock has messages of its own."""
    return EngineCommand.objects.filter(name="request_settled").count()


def test_an_approval_settles_everything_together(requester, reviewer):
    request = opened(requester)
    decided = decide(request, reviewer)
    assert (decided.status, decided.settled_by, decided.version) == ("approved", reviewer, 2)
    assert decided.settled_reason == "the papers are in order"
    assert domain.settled == [(str(request.pk), "approved")]
    signature = Signature.objects.get()
    assert (signature.actor, signature.authority, signature.tier) == (reviewer, reviewer, 1)
    command = EngineCommand.objects.get()
    assert (command.key, command.kind, command.name, command.workflow_id, command.task_queue) == (
        f"approval:{request.pk}:settled",
        "signal",
        "request_settled",
        request.workflow_id,
        "test-queue",
    )
    entry = AuditEntry.objects.get(action="approval.approved")
    assert (entry.actor_id, entry.via, entry.subject_id) == (
        reviewer.audit_id,
        "api",
        str(request.pk),
    )
    assert entry.body["payload_hash"] == signature.payload.hash


def test_one_rejection_rejects_even_where_two_approvals_are_needed(requester, reviewer):
    request = opened(requester, "60000.00")
    assert decide(request, reviewer, "reject").status == "rejected"
    assert domain.settled == [(str(request.pk), "rejected")]
    assert AuditEntry.objects.filter(action="approval.rejected").count() == 1
    assert settled_signals() == 1


def test_tiers_are_signed_in_order_and_each_needs_its_quorum(requester, reviewer):
    request = opened(requester, "60000.00")
    second, third = person("second", "first"), person("third", "first", "second")
    senior = person("senior", "second")

    assert refusal(request, senior).code == "not_in_group"
    assert decide(request, reviewer).status == "open"
    assert selectors.who_signs_next(fresh(request)) == "one more signature by first (tier 1 of 2)"
    assert refusal(request, reviewer).code == "already_signed"
    assert decide(request, second).status == "open"
    assert fresh(request).tier_group == "second"
    assert refusal(request, second).code == "already_signed"
    assert not domain.settled and not settled_signals()
    assert AuditEntry.objects.filter(action="approval.signed").count() == 2

    assert decide(request, third).status == "approved"
    assert [t.state for t in selectors.tiers(fresh(request))] == ["done", "done"]
    assert refusal(request, senior).code == "already_decided"


def test_a_request_without_a_workflow_signals_nobody(requester, reviewer):
    assert decide(opened(requester, workflow_id=""), reviewer).status == "approved"
    assert not EngineCommand.objects.exists()


def test_too_late_is_told_who_decided_and_when(requester, reviewer):
    request = opened(requester)
    decided = decide(request, reviewer)
    error = refusal(request, person("late", "first"))
    assert (error.status, error.code) == (409, "already_decided")
    assert error.extra == {
        "status": "approved",
        "request_status": "approved",
        "decided_by": "Ngozi Okafor",
        "decided_at": decided.settled_at.isoformat(),
    }
    assert refusal(request, reviewer).code == "already_decided"
    assert Signature.objects.count() == 1


def test_a_decision_on_another_payload_than_the_current_is_refused_with_the_current(
    requester, reviewer
):
    request = opened(requester)
    error = refusal(request, reviewer, payload_hash="0" * 64)
    assert (error.status, error.code) == (409, "payload_changed")
    assert error.extra["payload_hash"] == selectors.current_payload(request).hash


def test_a_request_whose_workflow_has_ended_cannot_be_decided(requester, reviewer):
    request = opened(requester)
    WorkflowRun.objects.create(
        workflow_id=request.workflow_id,
        run_id="r",
        workflow_type="T",
        status="terminated",
        closed_at=timezone.now(),
    )
    error = refusal(request, reviewer)
    assert (error.status, error.code) == (409, "workflow_closed")


def test_after_the_time_to_sign_a_signature_is_refused(requester, reviewer):
    request = opened(requester, "60000.00", as_of=timezone.now() - timedelta(hours=25))
    assert refusal(request, reviewer).code == "expired"


def test_a_decision_cannot_lie_in_the_future_but_clocks_may_differ_a_little(requester, reviewer):
    request = opened(requester)
    late = refusal(request, reviewer, as_of=timezone.now() + timedelta(minutes=1))
    assert (late.status, late.code) == (422, "as_of_in_future")
    decide(request, reviewer, as_of=timezone.now() + timedelta(seconds=2))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"verdict": "maybe"}, "bad_verdict"),
        ({"verdict": "APPROVE"}, "bad_verdict"),
        ({"reason": " \n "}, "reason_required"),
        ({"reason": "x" * 2001}, "reason_too_long"),
        ({"reason": "a\x00b"}, "invalid_text"),
        ({"reason": "\ud800"}, "invalid_text"),
        ({"request_id": "nonsense\x00"}, "not_found"),
        ({"request_id": "0190a0a0-0000-7000-8000-000000000000"}, "not_found"),
    ],
)
def test_input_that_cannot_be_meant_is_refused_with_a_code(requester, reviewer, changes, code):
    error = refusal(opened(requester), reviewer, **changes)
    assert error.code == code
    assert error.status in {404, 422}


def test_a_rule_may_let_people_sign_without_a_reason(requester, reviewer):
    rule([{"above": None, "tiers": [{"group": "first"}], "reason_required": False}])
    assert decide(opened(requester), reviewer, reason="").status == "approved"


def test_an_error_of_the_domain_undoes_the_decision(requester, reviewer):
    request = opened(requester)
    domain.fails_with = Conflict("The budget is closed.", code="budget_closed")
    assert refusal(request, reviewer).code == "budget_closed"
    assert fresh(request).status == "open"
    assert not Signature.objects.exists() and not EngineCommand.objects.exists()
    domain.fails_with = None
    assert decide(request, reviewer).status == "approved"


def test_an_escalation_lets_its_group_and_the_senior_sign_the_tier_and_no_other(
    requester, reviewer
):
    rule([{"above": None, "tiers": [{"group": "first", "quorum": 2}, {"group": "second"}]}])
    helper, senior = person("helper", "helpers"), person("senior", "helpers2")
    request = opened(requester)
    assert refusal(request, helper).code == refusal(request, senior).code == "not_in_group"
    request.escalated_group, request.escalated_to = "helpers", senior
    request.escalated_at = timezone.now()
    request.save()
    request = fresh(request)
    assert (
        selectors.who_signs_next(request)
        == "2 signatures by first, helpers or senior (tier 1 of 2)"
    )
    assert ApprovalRequest.objects.mine(helper).get() == request
    assert ApprovalRequest.objects.mine(senior).get() == request
    assert ApprovalRequest.objects.mine_counted(senior, most=9) == 1
    assert ApprovalRequest.objects.mine_counted(helper, most=9) == 1
    assert set(selectors.signers(request)) == {reviewer, helper, senior}
    decide(request, helper)
    decided = decide(request, senior)
    assert (decided.tier_group, decided.escalated_group, decided.escalated_to) == (
        "second",
        "",
        None,
    )
    assert refusal(request, person("late helper", "helpers")).code == "not_in_group"


def test_who_is_escalated_to_still_needs_the_permission(requester, reviewer):
    request = opened(requester)
    senior = permit(person("senior"), "view_approvalrequest")
    request.escalated_to = senior
    request.save()
    assert refusal(fresh(request), senior).code == "permission_denied"
    assert senior not in selectors.signers(fresh(request))


def test_a_decision_on_an_older_version_is_refused_with_the_difference(requester, reviewer):
    request = opened(requester)
    edit(request, requester)
    error = refusal(request, reviewer)
    assert error.code == "payload_changed"
    assert error.extra["difference"] == [
        {"field": "target", "was": "Ngozi Okafor", "now": "Amina Bello"}
    ]
    assert error.extra["payload_hash"] == selectors.current_payload(fresh(request)).hash
    assert "difference" not in refusal(request, reviewer, payload_hash="0" * 64).extra


def test_a_signature_is_for_the_tier_that_was_seen_and_for_no_later_one(requester, reviewer):
    rule([{"above": None, "tiers": [{"group": "first"}, {"group": "second"}]}])
    both = person("both", "first", "second")
    request = opened(requester)
    decide(request, reviewer, tier=1)
    error = refusal(request, both, tier=1)
    assert (error.status, error.code, error.extra) == (409, "tier_changed", {"tier": 2})
    assert fresh(request).status == "open"
    # The same form sent twice is told that it counts already.
    assert refusal(request, reviewer, tier=1).code == "already_signed"
    assert decide(request, both, tier=2).status == "approved"


def test_who_does_not_say_at_which_tier_signs_the_one_that_is_current(requester, reviewer):
    rule([{"above": None, "tiers": [{"group": "first"}, {"group": "second"}]}])
    request = opened(requester)
    decide(request, reviewer)
    assert decide(request, person("both", "first", "second")).status == "approved"


@pytest.mark.parametrize(
    "locked",
    [
        lambda request: rows.request_lock(request.pk),
        lambda request: clock.clock_restart(request.pk),
        lambda request: services.signals_judge(request_id=request.pk, commands=["x"]),
    ],
)
def test_the_lock_of_a_request_lets_others_point_to_it(requester, locked):
    """Comments and bulk items take a key lock: a lock against keys would deadlock with them."""
    request = opened(requester)
    with CaptureQueriesContext(connection) as captured:
        locked(request)
    locks = [query["sql"] for query in captured if " FOR " in query["sql"]]
    assert len(locks) == 1 and locks[0].endswith("FOR NO KEY UPDATE")


def test_the_lock_does_not_fetch_what_every_version_says(requester, reviewer):
    request = opened(requester)
    edit(request, requester)
    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        locked = rows.request_lock(request.pk)
        assert selectors.current_payload(locked).number == 2
    assert not [query["sql"] for query in captured if '"payload",' in query["sql"]]


@pytest.mark.parametrize("character", ["\u202e", "\u200b", "\u2060", "\ufeff", "\u2028", "\ue000"])
def test_a_reason_has_no_character_that_nobody_sees(requester, reviewer, character):
    error = refusal(opened(requester), reviewer, reason=f"in{character}order")
    assert (error.status, error.code) == (422, "invisible_characters")
    assert error.extra == {"character": f"U+{ord(character):04X}"}


def test_a_reason_may_have_the_joiners_that_scripts_need(requester, reviewer):
    reason = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0915\u094d\u200d\u0937"
    assert decide(opened(requester), reviewer, reason=reason).settled_reason == reason


def test_the_whole_of_a_long_text_is_found(requester):
    words = {"amount": "2000.00", "target": "Ngozi", "justification": "x" * 4990 + " elephants"}
    assert "elephants" in opened(requester, payload=words).search_text
