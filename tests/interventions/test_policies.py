"""What a policy lets anybody ask for: amounts, days, regions, and the limit of one target."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.approvals import kinds
from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_edit
from apps.audit.models import AuditEntry
from apps.common.canonical_json import digest
from apps.common.dates import day_words
from apps.common.errors import Conflict, DomainError, NotAllowed
from apps.common.windows import site_day
from apps.interventions.models import BudgetEntry, Intervention, Policy
from apps.interventions.services import budgets, policies
from apps.interventions.services.approval import approval_payload
from tests.interventions.conftest import World
from tests.interventions.proof import budget_proof


def in_days(days: int) -> date:
    """The site's day, so many days from now. A test that midnight interrupts must hold too."""
    return site_day(timezone.now()) + timedelta(days)


def put(code: str = "relief", **changes: Any) -> Policy:
    """The world's policy with what is different."""
    wanted: dict[str, Any] = {
        "name": "Relief",
        "currency": "NGN",
        "reversible": True,
        "max_amount": Decimal("1000000.00"),
    }
    return policies.policy_put(code=code, by=None, via="command", **(wanted | changes))


def refused_code(call: Any) -> str:
    with pytest.raises(DomainError) as refused:
        call()
    return refused.value.code


# --- versions -------------------------------------------------------------------------------------
def test_a_change_makes_a_version_and_the_same_again_does_not(world: World) -> None:
    first = put(
        min_amount=Decimal("100"),
        target_limit=Decimal("5000"),
        target_days=30,
        valid_from=date(2026, 1, 1),
        valid_until=date(2099, 12, 31),
        regions=["NG-KO", "NG-BE", "NG-KO"],
    )
    assert first.version == 2
    assert first.regions == ["NG-BE", "NG-KO"]
    again = put(
        min_amount=Decimal("100.00"),
        target_limit=Decimal("5000.00"),
        target_days=30,
        valid_from=date(2026, 1, 1),
        valid_until=date(2099, 12, 31),
        regions=["NG-BE", "NG-KO"],
    )
    assert again.pk == first.pk
    assert put().version == 3
    assert Policy.objects.filter(code="relief", active=True).get().version == 3
    bodies = AuditEntry.objects.filter(action="policy.put", outcome="done", subject_id="relief")
    assert bodies.count() == 3


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"min_amount": Decimal("2"), "max_amount": Decimal("1")}, "limits_out_of_order"),
        ({"min_amount": Decimal("0")}, "amount_invalid"),
        ({"min_amount": Decimal("NaN")}, "amount_invalid"),
        ({"max_amount": Decimal(10) ** 15}, "amount_invalid"),
        (
            {"valid_from": date(2026, 2, 2), "valid_until": date(2026, 2, 1)},
            "days_out_of_order",
        ),
        ({"target_limit": Decimal("1")}, "target_limit_invalid"),
        ({"target_days": 1}, "target_limit_invalid"),
        ({"target_limit": Decimal("0"), "target_days": 1}, "target_limit_invalid"),
        ({"target_limit": Decimal("Infinity"), "target_days": 1}, "target_limit_invalid"),
        ({"target_limit": Decimal("1"), "target_days": 0}, "target_limit_invalid"),
        ({"target_limit": Decimal("1"), "target_days": 3661}, "target_limit_invalid"),
        ({"target_limit": Decimal("1"), "target_days": True}, "target_limit_invalid"),
        (
            {"target_limit": Decimal("1"), "target_days": 1, "min_amount": Decimal("2")},
            "target_limit_invalid",
        ),
        ({"regions": ["ng"]}, "region_invalid"),
        ({"regions": ["NG-KOGI"]}, "region_invalid"),
        ({"regions": ["NG\x00"]}, "region_invalid"),
        ({"regions": "NG"}, "region_invalid"),
        ({"regions": [7]}, "region_invalid"),
        ({"regions": None}, "region_invalid"),
        ({"regions": [f"NG-{n}" for n in range(301)]}, "region_invalid"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    world: World, changes: dict[str, Any], code: str
) -> None:
    assert refused_code(lambda: put(**changes)) == code
    assert Policy.objects.get(code="relief").version == 1
    assert AuditEntry.objects.filter(action="policy.put", outcome="refused", code=code).exists()


def test_the_table_itself_refuses_limits_and_days_out_of_order(world: World) -> None:
    rows = Policy.objects.filter(code="relief")
    for wrong in (
        {"min_amount": Decimal("1000001")},
        {"valid_from": date(2026, 2, 2), "valid_until": date(2026, 2, 1)},
        {"target_limit": Decimal("5")},
        {"target_days": 3},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(**wrong)


def test_two_different_versions_put_at_once_are_two_versions(
    shared_world: World, side_by_side: Any
) -> None:
    put_by = side_by_side(lambda n: put(min_amount=Decimal(n + 1)).version, 6)
    assert sorted(put_by) == [2, 3, 4, 5, 6, 7]
    assert Policy.objects.filter(code="relief", active=True).count() == 1


# --- switching off --------------------------------------------------------------------------------
def test_switched_off_nobody_asks_and_nothing_that_waits_is_executed(world: World) -> None:
    waiting = world.ask()
    world.open(waiting)
    off = policies.policy_switch_off(
        code="relief", by=world.people["admin"], via="admin", reason="The programme has ended."
    )
    assert (off.version, off.active) == (1, False)
    assert refused_code(world.ask) == "policy_inactive"
    assert refused_code(lambda: world.validate(waiting)) == "policy_inactive"
    entry = AuditEntry.objects.get(action="policy.switch_off", outcome="done")
    assert entry.actor_id == world.people["admin"].audit_id
    assert put().version == 2
    world.ask()


def test_switching_off_twice_or_what_is_not_there_is_refused(world: World) -> None:
    def off(**changes: Any) -> Policy:
        return policies.policy_switch_off(
            **({"code": "relief", "by": None, "via": "command"} | changes)
        )

    off()
    assert refused_code(off) == "policy_inactive"
    assert refused_code(lambda: off(code="nothing")) == "policy_not_found"
    assert refused_code(lambda: off(code="a\x00b")) == "code_invalid"
    assert refused_code(lambda: off(code="grant", reason="a\x00b")) == "reason_invalid"
    assert Policy.objects.get(code="grant").active


def test_of_five_that_switch_off_at_once_one_does(shared_world: World, side_by_side: Any) -> None:
    outcomes = side_by_side(
        lambda _: policies.policy_switch_off(code="relief", by=None, via="command").active, 5
    )
    codes = sorted(getattr(one, "code", "") for one in outcomes)
    assert codes == ["", *["policy_inactive"] * 4]
    assert AuditEntry.objects.filter(action="policy.switch_off", outcome="done").count() == 1


# --- amounts and days -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("amount", "code"), [("99.99", "amount_below_limit"), ("100.00", ""), ("1000000.01", "above")]
)
def test_an_amount_stays_between_the_limits(world: World, amount: str, code: str) -> None:
    put(min_amount=Decimal("100"))
    if code:
        found = refused_code(lambda: world.ask(amount=Decimal(amount)))
        assert found == ("amount_above_limit" if code == "above" else code)
        assert not Intervention.objects.exists()
    else:
        assert world.ask(amount=Decimal(amount)).amount == Decimal(amount)


@pytest.mark.parametrize(
    ("bound", "days", "code"),
    [("valid_from", 2, "policy_not_yet_valid"), ("valid_until", -1, "policy_expired")],
)
def test_before_its_first_and_after_its_last_day_nobody_asks(
    world: World, bound: str, days: int, code: str
) -> None:
    day = in_days(days)
    put(**{bound: day})
    with pytest.raises(Conflict) as refused:
        world.ask()
    assert (refused.value.code, refused.value.extra) == (code, {"day": day.isoformat()})


def test_the_first_and_the_last_day_count_as_a_whole(world: World) -> None:
    put(valid_from=date(2026, 3, 1), valid_until=date(2026, 3, 1))
    for hour, minute in ((0, 0), (23, 59)):
        assert world.ask(as_of=datetime(2026, 3, 1, hour, minute, tzinfo=UTC))
    early = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    late = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
    assert refused_code(lambda: world.ask(as_of=early)) == "policy_not_yet_valid"
    assert refused_code(lambda: world.ask(as_of=late)) == "policy_expired"


def test_days_are_those_of_the_sites_time_zone(settings: Any) -> None:
    at = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    assert site_day(at) == date(2026, 3, 1)
    settings.TIME_ZONE = "Africa/Lagos"
    assert site_day(at) == date(2026, 3, 2)


def test_the_saga_checks_the_terms_again_when_it_begins(world: World) -> None:
    put(valid_until=in_days(1))
    intervention = world.ask()
    world.open(intervention)
    with pytest.raises(Conflict) as refused:
        policies.policy_validate(
            intervention_id=intervention.pk,
            workflow_id=intervention.execution_workflow_id,
            as_of=timezone.now() + timedelta(days=2),
        )
    assert refused.value.code == "policy_expired"
    step = intervention.steps.get(name="validate_policy")
    assert (step.status, step.detail.split(":")[0]) == ("failed", "policy_expired")
    world.validate(intervention)


def test_what_was_asked_under_an_older_version_is_judged_by_that_version(world: World) -> None:
    intervention = world.ask()
    world.open(intervention)
    put(min_amount=Decimal("6000"), regions=["NG"], valid_from=in_days(30))
    assert refused_code(world.ask) == "amount_below_limit"
    world.finish(intervention)
    intervention.refresh_from_db()
    assert intervention.status == "executed"


# --- regions --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("regions", "region", "code"),
    [
        ([], "", ""),
        ([], "BR-SP", ""),
        (["NG"], "NG", ""),
        (["NG"], "NG-KO", ""),
        (["NG-KO"], "NG-KO", ""),
        (["NG"], "", "region_required"),
        (["NG-KO"], "NG", "region_not_covered"),
        (["NG-KO"], "NG-BE", "region_not_covered"),
        (["BR", "NG-KO"], "NG-BE", "region_not_covered"),
        ([], "ng-ko", "region_invalid"),
        ([], "N", "region_invalid"),
        ([], "NG-KO\n", "region_invalid"),
        ([], "NG-\x00", "region_invalid"),
        ([], "N" * 1_000_000, "region_invalid"),
        ([], 7, "region_invalid"),
    ],
)
def test_a_country_covers_its_parts(
    world: World, regions: list[str], region: Any, code: str
) -> None:
    put(regions=regions)
    if code:
        assert refused_code(lambda: world.ask(region=region)) == code
    else:
        assert world.ask(region=region).region == region


def test_the_region_is_part_of_what_is_signed_only_where_one_was_named(world: World) -> None:
    plain = world.ask()
    assert "region" not in approval_payload(plain)
    named = world.ask(region="NG-KO")
    assert approval_payload(named)["region"] == "NG-KO"


def test_a_repeat_of_what_was_asked_before_there_were_regions_is_known(world: World) -> None:
    old = world.ask(idempotency_key="k-1")
    body = {
        name: world.body()[name]
        for name in ("policy", "budget", "amount", "currency", "target", "justification")
    }
    assert old.request_digest == digest(body)
    assert refused_code(lambda: world.ask(idempotency_key="k-1", region="NG")) == (
        "idempotency_key_reused"
    )


def test_what_is_signed_is_what_is_executed_the_region_too(world: World) -> None:
    intervention = world.ask(amount=Decimal("20000"), region="NG-KO")
    world.open(intervention)
    world.decide(intervention)
    Intervention.objects.filter(pk=intervention.pk).update(region="NG-BE")
    with pytest.raises(NotAllowed) as refused:
        world.validate(intervention)
    assert refused.value.code == "approval_required"
    Intervention.objects.filter(pk=intervention.pk).update(region="NG-KO")
    world.validate(intervention)


# --- the limit of one target ----------------------------------------------------------------------
def limited(limit: str = "12000", days: int = 30) -> Policy:
    return put(target_limit=Decimal(limit), target_days=days)


def test_a_target_gets_no_more_than_its_limit_within_the_days(world: World) -> None:
    limited()
    for _ in range(2):
        world.reserve(world.ask())
    with pytest.raises(Conflict) as refused:
        world.ask()
    assert refused.value.code == "target_limit_exceeded"
    assert refused.value.extra == {"limit": "12000.00", "days": 30, "available": "2000.00"}
    world.ask(amount=Decimal("2000.00"))
    world.ask(target="Another cooperative")
    world.ask(policy="grant")


@pytest.mark.parametrize(
    "alike", ["Jose\u0301 Coop", "Jos\u00e9  Coop", "Jos\u00e9\u00a0Coop", "Jos\u00e9\u2003Coop"]
)
def test_a_target_is_one_however_its_name_is_typed(world: World, alike: str) -> None:
    limited()
    for name in ("Jos\u00e9 Coop", alike):
        world.reserve(world.ask(target=name))
    with pytest.raises(Conflict) as refused:
        world.ask(target=alike)
    assert refused.value.code == "target_limit_exceeded"
    assert {one.target for one in Intervention.objects.all()} == {"Jos\u00e9 Coop"}


def test_what_waits_takes_no_room_and_the_reservation_decides(world: World) -> None:
    limited()
    asked = [world.ask() for _ in range(3)]
    for intervention in asked[:2]:
        world.reserve(intervention)
    assert refused_code(lambda: world.reserve(asked[2])) == "target_limit_exceeded"
    assert not BudgetEntry.objects.filter(intervention=asked[2]).exists()
    step = asked[2].steps.get(name="reserve_budget")
    assert (step.status, step.detail.split(":")[0]) == ("failed", "target_limit_exceeded")
    assert budget_proof(asked[0].budget).holds


def test_what_is_given_back_makes_room_and_what_is_spent_does_not(world: World) -> None:
    limited("10000")
    spent, released, late = (world.ask() for _ in range(3))
    world.finish(spent)
    world.reserve(released)
    world.open(late)
    world.validate(late)
    reserve = lambda: budgets.budget_reserve(intervention_id=late.pk)  # noqa: E731
    assert refused_code(reserve) == "target_limit_exceeded"
    budgets.budget_release(intervention_id=released.pk)
    reserve()


def test_payments_before_the_days_do_not_count(world: World) -> None:
    limited("5000", days=7)
    world.reserve(world.ask())
    week = timedelta(days=7)
    assert refused_code(world.ask) == "target_limit_exceeded"
    assert refused_code(lambda: world.ask(as_of=timezone.now() + week - timedelta(minutes=1))) == (
        "target_limit_exceeded"
    )
    world.ask(as_of=timezone.now() + week + timedelta(minutes=1))


def test_what_was_reserved_under_another_version_counts(world: World) -> None:
    world.reserve(world.ask())
    limited("9999.99")
    assert refused_code(world.ask) == "target_limit_exceeded"


def test_of_eight_at_once_for_one_target_only_as_many_reserve_as_the_limit_covers(
    shared_world: World, side_by_side: Any
) -> None:
    world = shared_world
    limited("15000")
    asked = [world.ask() for _ in range(8)]
    for intervention in asked:
        world.open(intervention)
        world.validate(intervention)
    outcomes = side_by_side(
        lambda number: budgets.budget_reserve(intervention_id=asked[number].pk), 8
    )
    codes = sorted(getattr(one, "code", "") for one in outcomes)
    assert codes == [*[""] * 3, *["target_limit_exceeded"] * 5]
    assert BudgetEntry.objects.filter(kind="reserve").count() == 3
    assert budget_proof(asked[0].budget).holds


def test_one_intervention_reserved_eight_times_at_once_takes_its_room_once(
    shared_world: World, side_by_side: Any
) -> None:
    limited("5000")
    intervention = shared_world.ask()
    shared_world.open(intervention)
    shared_world.validate(intervention)
    outcomes = side_by_side(lambda _: budgets.budget_reserve(intervention_id=intervention.pk), 8)
    assert outcomes == [None] * 8
    assert BudgetEntry.objects.filter(kind="reserve").count() == 1


# --- editing and simulating what waits ------------------------------------------------------------
def test_an_edit_keeps_to_the_limits_as_well(world: World) -> None:
    put(min_amount=Decimal("100"), target_limit=Decimal("30000"), target_days=30)
    intervention = world.ask(amount=Decimal("20000"))
    world.open(intervention)
    request = ApprovalRequest.objects.get(subject_id=str(intervention.pk))

    def edit(**changes: str) -> Any:
        return request_edit(
            request_id=request.pk,
            changes=changes,
            by=world.requester,
            payload_hash=request.payloads.get(number=request.payload_number).hash,
            reason="A better figure.",
            via="page",
            as_of=timezone.now(),
        )

    assert refused_code(lambda: edit(amount="99.99")) == "amount_below_limit"
    for unreadable in (
        "\u0662\u0665\u0660\u0660\u0660",
        "25_000",
        "25e3",
        "nan",
        "1e999999999",
        "",
    ):
        assert refused_code(lambda: edit(amount=unreadable)) == "amount_invalid"  # noqa: B023
    assert refused_code(lambda: edit(amount="30000.01")) == "target_limit_exceeded"
    world.finish(world.ask(target="Clinic", amount=Decimal("10000.00")))
    assert refused_code(lambda: edit(target="Clinic", amount="25000")) == "target_limit_exceeded"
    intervention.refresh_from_db()
    assert (intervention.amount, intervention.target) == (
        Decimal("20000.00"),
        "Village cooperative",
    )
    edit(amount="25000")


def test_the_simulation_says_what_the_policy_would_refuse(world: World) -> None:
    put(target_limit=Decimal("30000"), target_days=30, valid_until=in_days(1))
    intervention = world.ask(amount=Decimal("20000"))
    world.open(intervention)
    request = ApprovalRequest.objects.get(subject_id=str(intervention.pk))
    simulate = kinds.get("intervention").simulate
    assert simulate is not None
    assert simulate(request, world.people["reviewer"]).tone == "good"
    for _ in range(3):
        world.reserve(world.ask())
    said = simulate(request, world.people["reviewer"])
    assert said.tone == "bad"
    assert "allows one target NGN 30,000.00 within 30 days" in said.outcome
    over = in_days(-1)
    Policy.objects.filter(code="relief").update(valid_until=over)
    said = simulate(request, world.people["reviewer"])
    assert f"was valid until {day_words(over)}" in said.outcome
