"""The ledger and its balances: never overdrawn, never reserved or settled twice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.common.errors import Conflict, DomainError, Invalid
from apps.engine import effects
from apps.interventions.models import Budget, BudgetEntry, Intervention, InterventionStep
from apps.interventions.services import budgets, execution, requests
from apps.interventions.services.outcomes import intervention_settle, outcome_record
from tests.interventions.conftest import World
from tests.interventions.proof import budget_proof
from tests.support import FULL_SIZE


def test_twenty_at_once_against_a_budget_for_twelve(shared_world: World, side_by_side: Any) -> None:
    world = shared_world
    budget = world.budget("small", "60000.00")
    asked = [world.ask(budget="small") for _ in range(20)]
    for intervention in asked:
        world.open(intervention)
        world.validate(intervention)
    outcomes = side_by_side(
        lambda number: budgets.budget_reserve(intervention_id=asked[number].pk), 20
    )
    refused = [one for one in outcomes if one is not None]
    assert [one.code for one in refused] == ["budget_exceeded"] * 8
    proof = budget_proof(budget)
    assert proof.holds
    assert (proof.reserved, proof.total) == (Decimal("60000.00"), Decimal("60000.00"))
    assert BudgetEntry.objects.filter(kind="reserve").count() == 12


def test_two_hundred_at_once_against_a_budget_for_120(shared_world: World) -> None:
    world = shared_world
    budget = world.budget("small", "600000.00")
    asked = [world.ask(budget="small") for _ in range(200)]
    for intervention in asked:
        world.open(intervention)
        world.validate(intervention)
    #: As many as there may be connections; all of them begin together.
    together = Barrier(24)

    def some(start: int) -> list[str]:
        together.wait()
        outcomes = []
        try:
            for intervention in asked[start::24]:
                try:
                    budgets.budget_reserve(intervention_id=intervention.pk)
                    outcomes.append("reserved")
                except DomainError as error:
                    outcomes.append(error.code)
        finally:
            connections.close_all()
        return outcomes

    with ThreadPoolExecutor(24) as threads:
        outcomes = [one for found in threads.map(some, range(24)) for one in found]
    assert Counter(outcomes) == {"reserved": 120, "budget_exceeded": 80}
    proof = budget_proof(budget)
    assert proof.holds
    assert (proof.reserved, proof.total) == (Decimal("600000.00"), Decimal("600000.00"))
    assert BudgetEntry.objects.filter(kind="reserve").count() == 120
    failed = InterventionStep.objects.filter(name="reserve_budget", status="failed")
    assert failed.count() == 80


def test_what_was_released_is_not_reserved_again(world: World) -> None:
    intervention = world.ask()
    world.reserve(intervention)
    budgets.budget_release(intervention_id=intervention.pk)
    with pytest.raises(Conflict) as refused:
        budgets.budget_reserve(intervention_id=intervention.pk)
    assert refused.value.code == "reservation_released"
    assert budget_proof(intervention.budget).holds


def test_a_line_that_is_there_moves_no_balance_again(world: World) -> None:
    """The unique key decides, whatever the step's row says: it may come from a restored backup."""
    intervention = world.ask()
    world.reserve(intervention)
    intervention.steps.filter(name="reserve_budget").delete()
    budgets.budget_reserve(intervention_id=intervention.pk)
    assert intervention.steps.get(name="reserve_budget").status == "done"
    assert budget_proof(intervention.budget).holds
    assert Budget.objects.get(code="main").reserved == Decimal("5000.00")


@pytest.mark.parametrize("key", ["transfer:1:out", "x:reserve", "x:release", "x\u00e9:commit"])
def test_an_allocation_takes_no_key_of_the_ledgers_own(world: World, key: str) -> None:
    with pytest.raises(Invalid) as refused:
        budgets.budget_allocate(code="main", amount=Decimal(1), key=key, by=None, via="admin")
    assert refused.value.code == "key_invalid"
    assert not BudgetEntry.objects.filter(key=key).exists()


@pytest.mark.parametrize("line", ["release", "commit"])
def test_money_stays_bound_and_it_is_said_when_the_line_that_frees_it_is_taken(
    world: World, line: str
) -> None:
    intervention = world.ask()
    world.execute(intervention) if line == "commit" else world.reserve(intervention)
    BudgetEntry.objects.create(
        budget=intervention.budget, kind="allocate", amount=1, key=f"{intervention.pk}:{line}"
    )
    with pytest.raises(Conflict) as refused:
        if line == "commit":
            outcome_record(intervention_id=intervention.pk)
        else:
            intervention_settle(
                intervention_id=intervention.pk, status="failed", code="x", detail="y"
            )
    assert refused.value.code == "key_reused"
    intervention.refresh_from_db()
    assert intervention.status == "executing"
    assert Budget.objects.get(code="main").reserved == intervention.amount


@pytest.mark.parametrize("verb", ["budget_reserve", "budget_release", "outcome_record"])
def test_eight_at_once_for_one_intervention_write_one_line(
    shared_world: World, side_by_side: Any, verb: str
) -> None:
    world = shared_world
    intervention = world.ask()
    if verb == "budget_reserve":
        world.open(intervention)
        world.validate(intervention)
    elif verb == "budget_release":
        world.reserve(intervention)
    else:
        world.execute(intervention)
    call = outcome_record if verb == "outcome_record" else getattr(budgets, verb)
    outcomes = side_by_side(lambda _: call(intervention_id=intervention.pk), 8)
    assert outcomes == [None] * 8
    kind = {"budget_reserve": "reserve", "budget_release": "release", "outcome_record": "commit"}
    assert BudgetEntry.objects.filter(intervention=intervention, kind=kind[verb]).count() == 1
    assert budget_proof(intervention.budget).holds


def test_a_refused_reservation_leaves_no_line_and_says_what_is_left(world: World) -> None:
    budget = world.budget("small", "4999.99")
    intervention = world.ask(budget="small")
    with pytest.raises(Conflict) as refused:
        world.reserve(intervention)
    assert refused.value.code == "budget_exceeded"
    assert refused.value.extra == {"available": "4999.99"}
    assert not BudgetEntry.objects.filter(intervention=intervention).exists()
    assert budget_proof(budget).holds
    step = intervention.steps.get(name="reserve_budget")
    assert (step.status, step.detail.split(":")[0]) == ("failed", "budget_exceeded")


def test_nothing_is_reserved_before_the_policy_was_validated(world: World) -> None:
    intervention = world.ask()
    with pytest.raises(Conflict) as refused:
        budgets.budget_reserve(intervention_id=intervention.pk)
    assert refused.value.code == "not_validated"


def test_money_is_not_released_while_the_executor_may_have_acted(world: World) -> None:
    intervention = world.ask()
    world.reserve(intervention)
    effects.begin(execution.EXECUTION, intervention.pk)
    with pytest.raises(Conflict) as refused:
        budgets.budget_release(intervention_id=intervention.pk)
    assert refused.value.code == "execution_stands"
    effects.finish(execution.EXECUTION, intervention.pk, "R-1")
    with pytest.raises(Conflict):
        budgets.budget_release(intervention_id=intervention.pk)


def test_money_is_not_spent_before_there_is_a_receipt(world: World) -> None:
    intervention = world.ask()
    world.reserve(intervention)
    with pytest.raises(Conflict) as refused:
        budgets.budget_commit(intervention_id=intervention.pk)
    assert refused.value.code == "not_executed"


def test_the_database_refuses_an_overdraft_and_a_changed_ledger(world: World) -> None:
    intervention = world.ask()
    world.reserve(intervention)
    with pytest.raises(IntegrityError), transaction.atomic():
        Budget.objects.update(reserved=Decimal("10000000.01"))
    with pytest.raises(DatabaseError), transaction.atomic():
        BudgetEntry.objects.filter(kind="reserve").update(amount=1)
    with pytest.raises(DatabaseError), transaction.atomic():
        BudgetEntry.objects.filter(kind="reserve").delete()
    line = BudgetEntry.objects.get(kind="reserve")
    with pytest.raises(IntegrityError), transaction.atomic():
        BudgetEntry.objects.create(
            budget=line.budget,
            intervention=intervention,
            kind="reserve",
            amount=1,
            key="another key",
        )


def test_the_database_refuses_to_change_a_terminal_status(world: World) -> None:
    intervention = world.ask()
    world.finish(intervention)
    with pytest.raises(DatabaseError), transaction.atomic():
        Intervention.objects.filter(pk=intervention.pk).update(status="failed")


def test_an_allocation_is_made_once_per_key(world: World) -> None:
    allocate = {"code": "main", "by": None, "via": "command"}
    budgets.budget_allocate(amount=Decimal(5), key="top-up", **allocate)
    budgets.budget_allocate(amount=Decimal(5), key="top-up", **allocate)
    assert Budget.objects.get(code="main").total == Decimal("10000005.00")
    with pytest.raises(Conflict) as refused:
        budgets.budget_allocate(amount=Decimal(6), key="top-up", **allocate)
    assert refused.value.code == "key_reused"


def test_eight_allocations_at_once_with_one_key_are_one(
    shared_world: World, side_by_side: Any
) -> None:
    allocate = {"code": "main", "amount": Decimal(5), "key": "top-up", "by": None, "via": "command"}
    lines = side_by_side(lambda _: budgets.budget_allocate(**allocate).pk, 8)
    assert set(lines) == {BudgetEntry.objects.get(key="top-up").pk}
    assert Budget.objects.get(code="main").total == Decimal("10000005.00")
    assert budget_proof(Budget.objects.get(code="main")).holds


def test_a_total_that_no_column_holds_is_refused(world: World) -> None:
    most = Decimal(10) ** 15 - 1
    for number in range(9):
        budgets.budget_allocate(
            code="main", amount=most, key=f"fill {number}", by=None, via="command"
        )
    with pytest.raises(Conflict) as refused:
        budgets.budget_allocate(code="main", amount=most, key="more", by=None, via="command")
    assert refused.value.code == "budget_full"
    assert budget_proof(Budget.objects.get(code="main")).holds


def test_a_wrong_balance_is_found_by_the_proof(world: World) -> None:
    world.reserve(world.ask())
    budget = Budget.objects.get(code="main")
    assert budget_proof(budget).holds
    Budget.objects.update(spent=Decimal("0.01"))
    assert not budget_proof(budget).holds


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(
            ["validate", "reserve", "begin", "finish", "refuse", "release", "commit", "undo",
             "outcome", "fail", "cancel"]
        ),
    ),
    max_size=40,
)  # fmt: skip


@settings(
    # `make large` looks longer.
    max_examples=100 if FULL_SIZE else 15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=ACTIONS)
def test_whatever_is_called_in_whatever_order_the_proof_holds(
    world: World, actions: list[tuple[int, str]]
) -> None:
    """Four interventions, a budget for two of them; refusals are part of the game."""
    code = f"tight-{uuid4().hex}"
    budget = world.budget(code, "12000.00")
    asked = [world.ask(budget=code, policy="grant" if n % 2 else "relief") for n in range(4)]
    for intervention in asked:
        world.open(intervention)
    verbs: dict[str, Any] = {
        "validate": lambda one: world.validate(one),
        "reserve": lambda one: budgets.budget_reserve(intervention_id=one.pk),
        "begin": lambda one: effects.begin(execution.EXECUTION, one.pk),
        "finish": lambda one: effects.finish(execution.EXECUTION, one.pk, "R-1"),
        "refuse": lambda one: effects.refuse(execution.EXECUTION, one.pk, "no"),
        "release": lambda one: budgets.budget_release(intervention_id=one.pk),
        "commit": lambda one: budgets.budget_commit(intervention_id=one.pk),
        "undo": lambda one: _undo(one),
        "outcome": lambda one: outcome_record(intervention_id=one.pk),
        "fail": lambda one: intervention_settle(
            intervention_id=one.pk, status="failed", code="x", detail="x"
        ),
        "cancel": lambda one: requests.intervention_cancel(
            intervention_id=one.pk, by=world.requester, via="api", as_of=timezone.now()
        ),
    }
    for number, verb in actions:
        try:
            verbs[verb](asked[number])
        except DomainError:
            pass
        assert budget_proof(budget).holds
    for intervention in Intervention.objects.filter(budget=budget):
        kinds = set(intervention.entries.values_list("kind", flat=True))
        if intervention.status == "executed":
            assert "commit" in kinds
        elif intervention.settled_at:
            assert kinds in ({"reserve", "release"}, set())


def _undo(intervention: Intervention) -> None:
    from apps.interventions.contracts import Execution

    reversal = effects.undo_begin(execution.EXECUTION, intervention.pk)
    if reversal.needed:
        state = Execution.REVERSED if reversal.row.receipt else Execution.REFUSED
        effects.undo_finish(execution.EXECUTION, intervention.pk, state)
