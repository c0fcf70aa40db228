"""Batches in the database: asked for, signed once, worked through, stopped; twice and at once."""

import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import InternalError, NotSupportedError, ProgrammingError
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest, PayloadVersion
from apps.approvals.rules import rule_put
from apps.audit.models import AuditEntry
from apps.common.canonical_json import digest
from apps.common.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from apps.engine import process, runs, subjects
from apps.engine.models import EngineCommand, WorkflowRun
from apps.interventions.models import (
    BatchItem,
    BudgetEntry,
    Intervention,
    InterventionBatch,
)
from apps.interventions.services import (
    attention,
    batches_input,
    batches_running,
    batches_signing,
    policies,
    recovery,
    requests,
)
from apps.interventions.services.batches import batch_cancel, batch_pause, batch_resume, batch_try
from apps.interventions.services.batches_rows import BATCH, RUN, progress_of
from apps.interventions.services.commands import INTERVENTION
from apps.interventions.services.outcomes import (
    feature_update,
    intervention_settle,
    outcome_record,
    stakeholders_notify,
)
from apps.notifications.models import Notification
from tests.interventions.batch_world import (
    acting,
    asked,
    codes,
    finished,
    opened,
    payment,
    payments,
    prepared,
    request_of,
    statuses,
)
from tests.interventions.conftest import World
from tests.interventions.proof import budget_proof

SideBySide = Callable[..., list[Any]]


def refused(call: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(DomainError) as raised:
        call(*args, **kwargs)
    return raised.value.code


def subject() -> Any:
    return subjects.get("intervention-batch")


def of_items(batch: InterventionBatch) -> list[Intervention]:
    return list(batch.interventions.select_related("policy", "budget").order_by("target"))


# --- what comes in -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("item", "code"),
    [
        (payment(amount="0"), "amount_invalid"),
        (payment(amount="-5"), "amount_invalid"),
        (payment(amount="1.001"), "amount_invalid"),
        (payment(amount="1e3"), "amount_invalid"),
        (payment(amount="NaN"), "amount_invalid"),
        (payment(amount=math.nan), "amount_invalid"),
        (payment(amount=math.inf), "amount_invalid"),
        (payment(amount=10**400), "amount_invalid"),
        (payment(amount="9" * 1_000_000), "amount_invalid"),
        (payment(amount=True), "amount_invalid"),
        (payment(amount=None), "amount_invalid"),
        (payment(amount=["1"]), "amount_invalid"),
        (payment(amount="1000000.01"), "amount_above_limit"),
        (payment(target=""), "target_invalid"),
        (payment(target=7), "target_invalid"),
        (payment(target="x" * 201), "target_invalid"),
        (payment(target="a\x00b"), "target_invalid"),
        (payment(target="a\u200bb"), "invisible_characters"),
        (payment(target="\ud800"), "target_invalid"),
        (payment(justification="y" * 1_000_000), "justification_invalid"),
        (payment(region="Lagos"), "region_invalid"),
        (payment(region=5), "region_invalid"),
        (payment(more=1), "item_invalid"),
        ({"amount": "1"}, "item_invalid"),
        ("nothing", "item_invalid"),
        (None, "item_invalid"),
        ([[[]]], "item_invalid"),
    ],
)
def test_an_item_that_is_not_sound_has_failed_at_once_and_fails_no_other(
    world: World, item: Any, code: str
) -> None:
    batch = asked(world, [payment(1), item, payment(3)])
    assert statuses(batch) == ["waiting", "failed", "waiting"]
    assert codes(batch) == ["", code, ""]
    wrong = batch.items.get(number=2)
    assert wrong.error_detail and wrong.settled_at
    assert len(str(wrong.raw)) < 10_000
    assert (batch.amount, batch.total) == (Decimal("200.00"), 3)


@pytest.mark.parametrize("amount", ["100", 100, 100.0, "100.00", " 100.0 ", Decimal(100)])
def test_an_amount_is_a_number_or_a_text(world: World, amount: Any) -> None:
    assert asked(world, [payment(amount=amount)]).amount == Decimal("100.00")


def test_a_tenth_is_a_tenth(world: World) -> None:
    assert asked(world, [payment(amount=0.1), payment(amount=0.2)]).amount == Decimal("0.30")


def test_what_was_wrong_is_kept_as_it_came(world: World) -> None:
    batch = asked(world, [payment(), payment(amount="ten")])
    assert batch.items.get(number=2).raw == payment(amount="ten")
    assert batch.items.get(number=1).raw is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"items": []}, "no_items"),
        ({"items": [payment(amount="0")] * 2}, "no_valid_items"),
        ({"items": payments(1) * 20_001}, "too_many_items"),
        ({"items": [payment(amount="999999.00")], "policy": "none"}, "policy_not_found"),
        ({"budget": "none"}, "budget_not_found"),
        ({"budget": "\x00"}, "code_invalid"),
        ({"currency": "USD"}, "currency_mismatch"),
        ({"title": "a\x00"}, "title_invalid"),
        ({"title": "t" * 161}, "title_invalid"),
        ({"idempotency_key": "k" * 121}, "idempotency_key_invalid"),
    ],
)
def test_what_is_wrong_with_the_whole_is_refused_audited_and_leaves_nothing(
    world: World, changes: dict[str, Any], code: str
) -> None:
    assert refused(asked, world, **changes) == code
    entry = AuditEntry.objects.get(action="intervention-batch.request")
    assert (entry.outcome, entry.code) == ("refused", code)
    assert not InterventionBatch.objects.exists()
    assert not BatchItem.objects.exists()


def test_who_may_not_ask_for_an_intervention_asks_for_no_batch(world: World) -> None:
    assert refused(asked, world, by=world.people["auditor"]) == "permission_denied"


def test_trying_stores_nothing_and_says_what_it_would_come_to(world: World) -> None:
    wanted = {
        "policy": "relief",
        "budget": "main",
        "currency": "NGN",
        "by": world.requester,
        "via": "api",
        "as_of": timezone.now(),
    }
    items = [*payments(150, amount="100"), *[payment(amount="x")] * 120]
    trial = batch_try(items=items, **wanted)
    assert (trial.total, trial.sound, trial.amount) == (270, 150, Decimal("15000.00"))
    assert len(trial.errors) == 100
    assert (trial.errors[0].number, trial.errors[0].code) == (151, "amount_invalid")
    assert "one signature by reviewer" in trial.signatures
    assert trial.covered
    small = batch_try(items=payments(2), **wanted)
    assert small.signatures == ""
    world.budget("small", "100.00")
    assert not batch_try(items=payments(2), **(wanted | {"budget": "small"})).covered
    assert batch_try(items=[payment(amount=0)], **wanted).sound == 0
    assert not InterventionBatch.objects.exists()
    assert not EngineCommand.objects.exists()


# --- twice, and at once --------------------------------------------------------------------------
def test_the_same_key_and_body_is_the_same_batch(world: World) -> None:
    first = asked(world, [payment(), payment(amount="x")], idempotency_key="k")
    again = asked(world, [payment(), payment(amount="x")], idempotency_key="k")
    assert again == first
    assert EngineCommand.objects.filter(kind="start").count() == 1
    with pytest.raises(Conflict) as raised:
        asked(world, [payment(), payment(amount="y")], idempotency_key="k")
    assert raised.value.code == "idempotency_key_reused"


def test_a_repeat_is_answered_whatever_the_policy_says_by_now(world: World) -> None:
    first = asked(world, 2, idempotency_key="k")
    policies.policy_switch_off(code="relief", by=None, via="command")
    assert asked(world, 2, idempotency_key="k") == first
    assert refused(asked, world, 2) == "policy_inactive"


def test_the_same_key_at_once_makes_one_batch(
    shared_world: World, side_by_side: SideBySide
) -> None:
    batches = side_by_side(lambda _: asked(shared_world, 20, idempotency_key="k"), 4)
    assert len({batch.pk for batch in batches}) == 1
    assert BatchItem.objects.count() == 20
    assert EngineCommand.objects.count() == 1


# --- the signature --------------------------------------------------------------------------------
LARGE = payments(3, amount="5000.00")  # NGN 15,000.00 need one signature, 5,000.00 none


def test_it_is_signed_once_on_its_total_with_every_payment_listed(world: World) -> None:
    batch = asked(world, [*LARGE, payment(amount="x")])
    facts = opened(batch)
    request = request_of(batch)
    assert facts.status == "pending"
    assert facts.request_id == str(request.pk)
    assert (request.kind, request.amount) == ("intervention.batch", Decimal("15000.00"))
    assert request.rule is not None and request.rule.kind == "intervention"
    payload = request.payloads.get().payload
    assert payload["items"] == [
        [number, "5000.00", f"Household {number}", "Cash for food.", ""] for number in (1, 2, 3)
    ]
    assert payload["count"] == 3
    assert payload["items_digest"] == batch.items_digest == digest(payload["items"])
    opened(batch)
    assert ApprovalRequest.objects.count() == 1
    assert prepared(batch).items == ()

    world.decide(batch)  # type: ignore[arg-type]
    batch.refresh_from_db()
    assert batch.status == "running" and batch.started_at
    for item in prepared(batch).items:
        intervention = Intervention.objects.get(pk=item.intervention_id)
        assert intervention.status == "approved"
        world.validate(intervention)
    assert ApprovalRequest.objects.count() == 1


def test_the_rule_counts_the_total_and_no_item_by_itself(world: World) -> None:
    """Each is below the limit of the rule; together they are two tiers above it."""
    batch = asked(world, payments(101, amount="9999.00"))
    opened(batch)
    assert [tier["group"] for tier in request_of(batch).tiers] == ["reviewer", "senior reviewer"]


def test_where_no_signature_is_wanted_it_runs_at_once(world: World) -> None:
    batch = asked(world, 3)
    assert opened(batch).status == "running"
    assert not ApprovalRequest.objects.exists()
    world.validate(Intervention.objects.get(pk=prepared(batch).items[0].intervention_id))


def test_who_asked_for_it_cannot_sign_it(world: World) -> None:
    batch = asked(world, LARGE)
    opened(batch)
    with pytest.raises(NotAllowed):
        world.decide(batch, by="requester")  # type: ignore[arg-type]


def test_a_rejection_ends_it_and_nothing_is_begun(world: World) -> None:
    batch = asked(world, LARGE)
    opened(batch)
    world.decide(batch, "reject")  # type: ignore[arg-type]
    batch.refresh_from_db()
    assert (batch.status, batch.error_code) == ("rejected", "rejected")
    assert batch.error_detail == "Checked the papers."
    assert statuses(batch) == ["cancelled"] * 3
    assert prepared(batch).items == ()
    assert not Intervention.objects.exists()


def test_no_rule_can_be_put_for_batches_themselves(world: World) -> None:
    with pytest.raises(Invalid) as raised, transaction.atomic():
        rule_put(kind="intervention.batch", scope="relief", currency="NGN", bands=[], by=None)
    assert raised.value.code == "judged_by_another_kind"


def test_an_item_of_a_batch_that_is_not_signed_is_not_executed(world: World) -> None:
    batch = asked(world, LARGE)
    opened(batch)
    item = batch.items.get(number=1)
    intervention = world.ask(amount=item.amount, target=item.target)
    Intervention.objects.filter(pk=intervention.pk).update(
        batch=batch, justification=item.justification, status="approved"
    )
    BatchItem.objects.filter(pk=item.pk).update(intervention=intervention, status="running")
    assert refused(world.validate, intervention) == "approval_required"
    world.decide(batch)  # type: ignore[arg-type]
    world.validate(intervention)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": Decimal("5000.01")},
        {"target": "Somebody else"},
        {"justification": "Another reason."},
        {"region": "NG"},
        {"batch_item": None},
    ],
)
def test_what_differs_from_its_item_is_not_executed(world: World, changes: Any) -> None:
    batch = asked(world, LARGE)
    opened(batch)
    world.decide(batch)  # type: ignore[arg-type]
    pk = prepared(batch).items[0].intervention_id
    if "batch_item" in changes:
        BatchItem.objects.filter(intervention=pk).update(intervention=None)
    else:
        Intervention.objects.filter(pk=pk).update(**changes)
    assert refused(world.validate, Intervention.objects.get(pk=pk)) == "approval_required"


def test_a_rule_that_wants_a_signature_meanwhile_stops_what_had_none(world: World) -> None:
    batch = asked(world, 3)
    opened(batch)
    item = prepared(batch).items[0]
    strict = [{"above": None, "tiers": [{"group": "reviewer", "quorum": 1}]}]
    with transaction.atomic():
        rule_put(kind="intervention", scope="relief", currency="NGN", bands=strict, by=None)
    intervention = Intervention.objects.get(pk=item.intervention_id)
    assert refused(world.validate, intervention) == "approval_required"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE interventions_interventionbatch SET items_digest = 'x'",
        "UPDATE interventions_interventionbatch SET amount = 1",
        "UPDATE interventions_batchitem SET amount = 1",
        "UPDATE interventions_batchitem SET target = 'me'",
        "DELETE FROM interventions_batchitem",
    ],
)
def test_what_is_signed_cannot_be_changed_by_raw_sql(world: World, statement: str) -> None:
    asked(world)
    refusals = (InternalError, ProgrammingError, NotSupportedError)
    with pytest.raises(refusals), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_when_nobody_signs_in_time_it_ends(world: World) -> None:
    batch = asked(world, LARGE)
    expires_at = opened(batch).expires_at
    assert batches_signing.SIGNED_BATCH.expire(batch.pk, as_of=timezone.now()).status == "pending"
    for _ in range(2):
        facts = batches_signing.SIGNED_BATCH.expire(batch.pk, as_of=expires_at)
        assert (facts.status, facts.code) == ("rejected", "expired")
    assert request_of(batch).status == "expired"
    assert Notification.objects.filter(kind="intervention.batch_rejected").count() == 1


def test_signing_and_cancelling_at_once_leave_one_outcome(
    shared_world: World, side_by_side: SideBySide
) -> None:
    for _ in range(4):
        batch = asked(shared_world, LARGE)
        opened(batch)

        def act(number: int, batch: InterventionBatch = batch) -> Any:
            if number:
                return batch_cancel(**acting(shared_world, batch))
            return shared_world.decide(batch)  # type: ignore[arg-type]

        outcomes = side_by_side(act, 2)
        batch.refresh_from_db()
        assert batch.status == "cancelled"
        assert statuses(batch) == ["cancelled"] * 3
        assert not any(isinstance(one, Exception) and not isinstance(one, DomainError)
                       for one in outcomes), outcomes  # fmt: skip


# --- working through it ---------------------------------------------------------------------------
def test_items_are_made_ready_in_order_and_nobody_gets_one_twice(world: World) -> None:
    batch = asked(world, [payment(1), payment(amount="x"), payment(3), payment(4)])
    opened(batch)
    first = prepared(batch, 2)
    assert [item.number for item in first.items] == [1, 3]
    assert statuses(batch) == ["running", "failed", "running", "waiting"]
    # Asked again by somebody who does not know of them: the same two.
    assert prepared(batch, 2).items == first.items
    assert [item.number for item in prepared(batch, 3, known=(1, 3)).items] == [4]
    assert [item.number for item in prepared(batch, 3, known=(3, 4)).items] == [1]
    assert Intervention.objects.count() == 3
    entries = AuditEntry.objects.filter(action="intervention.requested")
    assert entries.count() == 3


def test_items_made_ready_at_once_have_one_intervention_each(
    shared_world: World, side_by_side: SideBySide
) -> None:
    batch = asked(shared_world, 12)
    opened(batch)
    answers = side_by_side(lambda _: prepared(batch, 8), 4)
    assert {tuple(i.number for i in answer.items) for answer in answers} == {tuple(range(1, 9))}
    assert Intervention.objects.count() == 8
    assert statuses(batch) == ["running"] * 8 + ["waiting"] * 4


def test_a_death_while_items_are_made_ready_leaves_none_begun(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    batch = asked(world, 3)
    opened(batch)
    create, made = Intervention.objects.create, []

    def die_at_the_second(**fields: Any) -> Intervention:
        made.append(fields["target"])
        if len(made) == 2:
            raise Killed
        return create(**fields)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Intervention.objects, "create", die_at_the_second)
        prepared(batch)
    assert (statuses(batch), Intervention.objects.count()) == (["waiting"] * 3, 0)
    assert [item.number for item in prepared(batch).items] == [1, 2, 3]
    assert Intervention.objects.count() == 3


def test_an_item_that_may_not_begin_has_failed_and_fails_no_other(world: World) -> None:
    batch = asked(world, 3)
    opened(batch)

    def begin(_: InterventionBatch, item: BatchItem) -> dict[str, Any]:
        if item.number == 2:
            raise Conflict("Somebody else is at it.", code="already_replaying")
        return {}

    with transaction.atomic():
        _, items = runs.begin_next(
            RUN,
            batch.pk,
            workflow_id=batch.workflow_id,
            limit=3,
            known=(),
            begin=begin,
            as_of=timezone.now(),
        )
    assert [item.number for item in items] == [1, 3]
    assert statuses(batch) == ["running", "failed", "running"]
    assert codes(batch) == ["", "already_replaying", ""]


def test_items_that_may_not_begin_do_not_keep_those_behind_them_waiting(world: World) -> None:
    batch = asked(world, 7)
    opened(batch)

    def begin(_: InterventionBatch, item: BatchItem) -> dict[str, Any]:
        if item.number < 5:
            raise Conflict("Somebody else is at it.", code="already_replaying")
        return {}

    with transaction.atomic():
        _, items = runs.begin_next(
            RUN,
            batch.pk,
            workflow_id=batch.workflow_id,
            limit=2,
            known=(),
            begin=begin,
            as_of=timezone.now(),
        )
    # None would say that nothing waits: the run looks again when all that is under way has ended.
    assert [item.number for item in items] == [5, 6]
    assert statuses(batch) == ["failed"] * 4 + ["running"] * 2 + ["waiting"]


def test_another_workflow_has_no_business_with_it(world: World) -> None:
    batch = asked(world)
    assert refused(opened, batch, workflow_id="other") == "not_its_workflow"
    opened(batch)
    assert refused(prepared, batch, workflow_id="other") == "not_its_workflow"
    assert refused(prepared, InterventionBatch(pk=None, workflow_id="x")) == "not_found"


def test_an_item_says_how_its_intervention_ended(world: World) -> None:
    world.budget("small", "250.00")
    batch = asked(world, 3, budget="small")
    opened(batch)
    one, two, three = [
        Intervention.objects.get(pk=item.intervention_id) for item in prepared(batch).items
    ]
    world.finish(one)
    requests.intervention_cancel(
        intervention_id=two.pk, by=world.requester, via="api", as_of=timezone.now()
    )
    intervention_settle(
        intervention_id=three.pk, status="failed", code="budget_exceeded", detail="Too little."
    )
    assert statuses(batch) == ["done", "cancelled", "failed"]
    assert codes(batch) == ["", "cancelled", "budget_exceeded"]
    assert finished(batch).status == "completed"
    # One message for the batch, none for each of its payments.
    kinds = list(Notification.objects.values_list("kind", flat=True))
    assert kinds == ["intervention.batch_completed"]
    # Nobody waits for a signature of an item: nobody is woken.
    assert not EngineCommand.objects.filter(kind="signal").exists()


def test_it_is_completed_once_and_only_when_nothing_is_left(
    shared_world: World, side_by_side: SideBySide
) -> None:
    batch = asked(shared_world, 2)
    opened(batch)
    items = prepared(batch, 1).items
    assert finished(batch).status == "running"
    shared_world.finish(Intervention.objects.get(pk=items[0].intervention_id))
    assert finished(batch).status == "running"
    items = prepared(batch).items
    shared_world.finish(Intervention.objects.get(pk=items[0].intervention_id))
    answers = side_by_side(lambda _: finished(batch), 4)
    assert {answer.status for answer in answers} == {"completed"}
    entries = AuditEntry.objects.filter(action="intervention-batch.completed")
    assert entries.count() == 1


def test_an_item_that_does_not_end_is_told_and_corrected_when_it_ends(world: World) -> None:
    batch = asked(world, 2)
    opened(batch)
    one, two = [Intervention.objects.get(pk=item.intervention_id) for item in prepared(batch).items]
    world.execute(one)
    attention.attention_open(one.pk, code="execution_unknown", detail="?")
    for intervention in (one, two, one):
        batches_running.item_note(intervention_id=intervention.pk, as_of=timezone.now())
    assert codes(batch) == ["needs_attention", "unsettled"]
    attention.attention_open(two.pk, code="approved_not_executed", detail="?")
    assert codes(batch) == ["needs_attention", "needs_attention"]
    assert finished(batch).status == "completed"
    feature_update(intervention_id=one.pk)
    stakeholders_notify(intervention_id=one.pk)
    outcome_record(intervention_id=one.pk)
    world.finish(two)
    assert statuses(batch) == ["done", "done"]
    assert codes(batch) == ["", ""]
    assert progress_of(batch).done == 2
    batches_running.item_note(intervention_id=one.pk, as_of=timezone.now())
    assert statuses(batch) == ["done", "done"]


# --- pause, resume, cancel ------------------------------------------------------------------------
def test_paused_it_begins_nothing_and_resumed_it_goes_on(world: World) -> None:
    batch = asked(world, 3)
    assert refused(batch_pause, **acting(world, batch)) == "not_running"
    opened(batch)
    prepared(batch, 1)
    for _ in range(2):
        assert batch_pause(**acting(world, batch)).status == "paused"
    assert prepared(batch).items == ()
    assert finished(batch).status == "paused"
    for _ in range(2):
        assert batch_resume(**acting(world, batch)).status == "running"
    assert [item.number for item in prepared(batch, known=(1,)).items] == [2, 3]
    assert EngineCommand.objects.filter(name="batch_changed").count() == 2
    actions = AuditEntry.objects.filter(subject_id=str(batch.pk)).order_by("id")
    assert list(actions.values_list("action", flat=True))[-2:] == [
        "intervention-batch.paused",
        "intervention-batch.resumed",
    ]


def test_cancelled_what_waits_is_never_begun_and_what_runs_ends(world: World) -> None:
    batch = asked(world, 3)
    opened(batch)
    item = prepared(batch, 1).items[0]
    for _ in range(2):
        cancelled = batch_cancel(**acting(world, batch, reason="Flooded."))
        assert (cancelled.status, cancelled.error_detail) == ("cancelled", "Flooded.")
    assert statuses(batch) == ["running", "cancelled", "cancelled"]
    assert prepared(batch).items == ()
    world.finish(Intervention.objects.get(pk=item.intervention_id))
    assert statuses(batch) == ["done", "cancelled", "cancelled"]
    for verb in (batch_pause, batch_resume):
        assert refused(verb, **acting(world, batch)) == "already_settled"


def test_cancelled_before_it_is_signed_its_request_is_closed(world: World) -> None:
    batch = asked(world, LARGE)
    opened(batch)
    batch_cancel(**acting(world, batch))
    assert request_of(batch).status == "cancelled"
    assert statuses(batch) == ["cancelled"] * 3
    assert opened(batch).status == "cancelled"


def test_a_completed_one_is_not_cancelled(world: World) -> None:
    batch = asked(world, 1)
    opened(batch)
    world.finish(Intervention.objects.get(pk=prepared(batch).items[0].intervention_id))
    finished(batch)
    assert refused(batch_cancel, **acting(world, batch)) == "already_settled"


VERBS = [batch_pause, batch_resume, batch_cancel]


@pytest.mark.parametrize("verb", VERBS)
def test_who_may_not_see_it_finds_nothing_and_who_may_only_see_it_is_refused(
    world: World, verb: Any
) -> None:
    batch = asked(world)
    opened(batch)
    stranger = User.objects.create(username="stranger")
    assert refused(verb, **acting(world, batch, by=stranger)) == "not_found"
    assert refused(verb, **acting(world, batch, by=world.people["auditor"])) == "permission_denied"
    assert refused(verb, **acting(world, batch, identifier="\x00")) == "not_found"
    assert refused(verb, **acting(world, batch, reason="\x00")) == "reason_invalid"
    batch_pause(**acting(world, batch, by=world.people["operator"]))


def test_pausing_and_making_ready_at_once_never_begin_a_paused_batch(
    shared_world: World, side_by_side: SideBySide
) -> None:
    for _ in range(4):
        batch = asked(shared_world, 6)
        opened(batch)

        def act(number: int, batch: InterventionBatch = batch) -> Any:
            if number:
                return batch_pause(**acting(shared_world, batch)).status
            return prepared(batch, 3)

        answer, paused = side_by_side(act, 2)
        assert paused == "paused"
        assert len(answer.items) in {0, 3}
        assert statuses(batch).count("running") == len(answer.items)


def test_cancelling_twice_at_once_ends_it_once(
    shared_world: World, side_by_side: SideBySide
) -> None:
    batch = asked(shared_world, 6)
    opened(batch)
    side_by_side(lambda _: batch_cancel(**acting(shared_world, batch)), 4)
    entries = AuditEntry.objects.filter(action="intervention-batch.cancelled", outcome="done")
    assert entries.count() == 1


# --- the engine ----------------------------------------------------------------------------------
def seen(batch: InterventionBatch, status: str) -> WorkflowRun:
    return WorkflowRun.objects.create(
        workflow_id=batch.workflow_id,
        run_id=f"{status}-{batch.version}",
        workflow_type="BatchInterventionWorkflow",
        status=status,
        confirmed=True,
        subject_type="intervention-batch",
        subject_id=str(batch.pk),
    )


def test_a_workflow_that_was_ended_before_the_signature_cancels_it(world: World) -> None:
    batch = asked(world, LARGE)
    opened(batch)
    subject().on_closed(str(batch.pk), seen(batch, "terminated"))
    batch.refresh_from_db()
    assert (batch.status, batch.error_code) == ("cancelled", "workflow_closed")
    assert request_of(batch).status == "cancelled"


def test_a_workflow_that_was_ended_later_pauses_it_and_resuming_starts_another(
    world: World,
) -> None:
    batch = asked(world)
    opened(batch)
    prepared(batch, 1)
    run = seen(batch, "terminated")
    for _ in range(2):
        subject().on_closed(str(batch.pk), run)
    batch.refresh_from_db()
    assert (batch.status, batch.error_code) == ("paused", "workflow_closed")
    batch = batch_resume(**acting(world, batch))
    assert batch.workflow_id.endswith("-2")
    assert EngineCommand.objects.filter(kind="start").count() == 2
    # The old one's end is heard late, and it is not its any more.
    subject().on_closed(str(batch.pk), run)
    batch.refresh_from_db()
    assert (batch.status, batch.error_code) == ("running", "")
    assert [item.number for item in prepared(batch).items] == [1, 2, 3]
    assert subject().subjects_of([batch.workflow_id]) == {batch.workflow_id: str(batch.pk)}


def old(batch: InterventionBatch) -> None:
    past = timezone.now() - timedelta(hours=1)
    InterventionBatch.objects.filter(pk=batch.pk).update(created_at=past)
    Intervention.objects.filter(batch=batch).update(created_at=past)
    EngineCommand.objects.update(state="sent", settled_at=past)


def test_one_that_the_engine_lost_is_restarted_once(
    shared_world: World, side_by_side: SideBySide
) -> None:
    batch = asked(shared_world)
    opened(batch)
    prepared(batch, 1)
    assert process.stranded(BATCH) == []
    old(batch)
    seen(batch, "lost")
    assert process.stranded(BATCH) == [str(batch.pk)]
    # Its items are its own, as long as it runs.
    assert process.stranded(INTERVENTION) == []
    side_by_side(lambda _: subject().restart(str(batch.pk)), 3)
    assert EngineCommand.objects.filter(kind="start").count() == 2
    assert process.stranded(BATCH) == []


def begun_item(batch: InterventionBatch) -> Intervention:
    """An item whose saga has taken its first step: it reserved the amount."""
    return Intervention.objects.get(pk=prepared(batch, 1).items[0].intervention_id)


def test_an_item_that_has_begun_is_restarted_by_itself_when_its_batch_does_not_run(
    world: World,
) -> None:
    batch = asked(world)
    opened(batch)
    item = begun_item(batch)
    policies.policy_validate(
        intervention_id=item.pk,
        workflow_id=item.execution_workflow_id,
        as_of=timezone.now(),
    )
    batch_pause(**acting(world, batch))
    old(batch)
    assert process.stranded(INTERVENTION) == [str(item.pk)]
    recovery.intervention_restart(item.pk)
    command = EngineCommand.objects.get(workflow_id=f"intervention-{item.pk}-execution")
    assert command.workflow_type == "ExecuteInterventionWorkflow"


def test_an_item_that_has_not_begun_waits_as_long_as_its_batch_is_paused(world: World) -> None:
    batch = asked(world)
    opened(batch)
    item = begun_item(batch)
    # Its batch's workflow was ended from outside before it could start the saga.
    subject().on_closed(str(batch.pk), seen(batch, "terminated"))
    old(batch)
    assert process.stranded(INTERVENTION) == []
    # The reconciler may have listed it before the pause.
    recovery.intervention_restart(item.pk)
    assert not EngineCommand.objects.filter(workflow_id=item.execution_workflow_id).exists()
    batch.refresh_from_db()
    batch = batch_resume(**acting(world, batch))
    assert str(item.pk) in [ready.intervention_id for ready in prepared(batch).items]


def test_an_item_that_has_not_begun_ends_with_a_batch_that_was_cancelled(world: World) -> None:
    batch = asked(world)
    opened(batch)
    item = begun_item(batch)
    subject().on_closed(str(batch.pk), seen(batch, "terminated"))
    batch.refresh_from_db()
    batch_cancel(**acting(world, batch))
    old(batch)
    assert process.stranded(INTERVENTION) == [str(item.pk)]
    for _ in range(2):
        recovery.intervention_restart(item.pk)
    item.refresh_from_db()
    assert (item.status, item.error_code) == ("cancelled", "batch_cancelled")
    assert statuses(batch) == ["cancelled"] * 3
    assert not EngineCommand.objects.filter(workflow_id=item.execution_workflow_id).exists()
    assert process.stranded(INTERVENTION) == []


def test_ids_that_are_no_batch_are_nobodys() -> None:
    assert subject().subjects_of(["intervention-batch-nonsense", "intervention-0", ""]) == {}


def test_a_payment_is_reserved_and_spent_once_each(world: World) -> None:
    batch = asked(world, 3)
    opened(batch)
    for item in prepared(batch).items:
        world.finish(Intervention.objects.get(pk=item.intervention_id))
    lines = BudgetEntry.objects.exclude(kind="allocate").order_by("id")
    assert [line.kind for line in lines] == ["reserve", "commit"] * 3
    assert budget_proof(batch.budget).holds


def test_what_of_twenty_thousand_is_signed_fits_and_is_listed(world: World) -> None:
    batch = asked(world, payments(batches_input.MOST_ITEMS))
    opened(batch)
    version = PayloadVersion.objects.get()
    assert len(version.payload["items"]) == batches_input.MOST_ITEMS
    with pytest.raises(NotFound):
        batches_signing.SIGNED_BATCH.read("x")
    entries = AuditEntry.objects.filter(subject_id=str(batch.pk))
    assert max(len(str(entry.body)) for entry in entries) < 2000
