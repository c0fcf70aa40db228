"""Transfers: moved once by the signature that approves them, never overdrawn, never half."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pgtrigger
import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_decide, rule_put
from apps.approvals.services.clock import clock_next
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from apps.interventions.contracts import TRANSFER_KIND
from apps.interventions.models import Budget, BudgetEntry, BudgetTransfer
from apps.interventions.services import budgets, transfers
from apps.interventions.services.transfers import SIGNED
from apps.notifications.models import Notification
from tests.interventions.conftest import World
from tests.interventions.proof import budget_proof


def wanted(world: World, **changes: Any) -> dict[str, Any]:
    return {
        "source": "main",
        "destination": "spare",
        "amount": Decimal("1000.00"),
        "reason": "The north needs it more.",
        "by": world.requester,
        "via": "api",
        "as_of": timezone.now(),
        **changes,
    }


def asked(world: World, **changes: Any) -> BudgetTransfer:
    transfer, created = transfers.transfer_request(**wanted(world, **changes))
    assert created
    return transfer


def decide(
    world: World, transfer: BudgetTransfer, verdict: str = "approve", by: str = "senior"
) -> ApprovalRequest:
    request = transfers.transfer_approval(transfer)
    assert request is not None
    return request_decide(
        request_id=request.pk,
        by=world.people[by],
        verdict=verdict,
        reason="Both offices agree.",
        payload_hash=request.payloads.get().hash,
        via="api",
        as_of=timezone.now(),
    )


def totals(*codes: str) -> list[Decimal]:
    found = dict(Budget.objects.values_list("code", "total"))
    return [found[code] for code in codes]


@pytest.fixture
def spare(world: World) -> Budget:
    return world.budget("spare", "500.00")


@pytest.fixture
def shared_spare(shared_world: World) -> Budget:
    return shared_world.budget("spare", "500.00")


def proofs_hold() -> bool:
    return all(budget_proof(budget).holds for budget in Budget.objects.all())


def test_asking_opens_a_request_that_names_all_that_is_signed(world: World, spare: Budget) -> None:
    transfer = asked(world)
    request = transfers.transfer_approval(transfer)
    assert request is not None
    assert (request.kind, request.scope, request.status) == (TRANSFER_KIND, "main", "open")
    assert request.tier_group == "senior reviewer"
    assert request.payloads.get().payload == {
        "transfer": str(transfer.pk),
        "source": "main",
        "destination": "spare",
        "amount": "1000.00",
        "currency": "NGN",
        "reason": "The north needs it more.",
        "requested_by": world.requester.audit_id,
    }
    assert totals("main", "spare") == [Decimal("10000000.00"), Decimal("500.00")]


def test_the_approval_moves_the_money_with_two_lines(world: World, spare: Budget) -> None:
    transfer = asked(world)
    decide(world, transfer)
    transfer.refresh_from_db()
    assert (transfer.status, transfer.error_code) == ("done", "")
    assert transfer.settled_at is not None
    assert totals("main", "spare") == [Decimal("9999000.00"), Decimal("1500.00")]
    lines = BudgetEntry.objects.filter(transfer=transfer).order_by("id")
    assert [(line.budget.code, line.kind, line.amount) for line in lines] == [
        ("main", "transfer_out", Decimal("1000.00")),
        ("spare", "transfer_in", Decimal("1000.00")),
    ]
    assert proofs_hold()
    assert AuditEntry.objects.filter(action="budget.transfer_done").count() == 1


@pytest.mark.parametrize("end", ["reject", "cancel", "expire"])
def test_other_ends_move_nothing(world: World, spare: Budget, end: str) -> None:
    if end == "expire":
        with transaction.atomic():
            tiers = [{"group": "senior reviewer", "quorum": 1}]
            bands = [{"above": None, "tiers": tiers, "expires_hours": 1}]
            rule_put(kind=TRANSFER_KIND, scope="main", currency="NGN", bands=bands, by=None)
    transfer = asked(world)
    if end == "reject":
        decide(world, transfer, "reject")
    elif end == "cancel":
        transfers.transfer_cancel(
            transfer_id=transfer.pk, by=world.requester, via="api", as_of=timezone.now()
        )
    else:
        _expire(transfer)
    transfer.refresh_from_db()
    status = {"reject": "rejected", "cancel": "cancelled", "expire": "expired"}[end]
    assert (transfer.status, transfer.error_code) == (status, status)
    request = transfers.transfer_approval(transfer)
    assert request is not None
    assert request.status == status
    assert not BudgetEntry.objects.exclude(transfer=None).exists()
    assert proofs_hold()


def _expire(transfer: BudgetTransfer) -> None:
    from apps.approvals.services.clock_events import request_tick

    request = transfers.transfer_approval(transfer)
    assert request is not None
    assert clock_next(request) is not None
    request_tick(request_id=request.pk, as_of=timezone.now() + timedelta(hours=2))


def test_what_the_source_no_longer_covers_fails_and_the_decision_stands(
    world: World, spare: Budget
) -> None:
    transfer = asked(world, source="spare", destination="main", amount=Decimal("400.00"))
    world.reserve(world.ask(budget="spare", amount=Decimal("100.01")))
    request = decide(world, transfer)
    assert request.status == "approved"
    transfer.refresh_from_db()
    assert (transfer.status, transfer.error_code) == ("failed", "budget_exceeded")
    assert "399.99" in transfer.error_detail
    assert not BudgetEntry.objects.exclude(transfer=None).exists()
    assert proofs_hold()
    (told,) = Notification.objects.filter(kind="budget.transfer_failed")
    assert told.recipient == world.requester


def test_a_row_that_is_not_what_was_signed_moves_nothing(world: World, spare: Budget) -> None:
    transfer = asked(world)
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        BudgetTransfer.objects.update(amount=Decimal("999999.00"))
    # By whoever may switch the trigger off.
    with pgtrigger.ignore("interventions.BudgetTransfer:transfer_as_signed"):
        BudgetTransfer.objects.update(amount=Decimal("999999.00"))
    decide(world, transfer)
    transfer.refresh_from_db()
    assert (transfer.status, transfer.error_code) == ("failed", "not_as_signed")
    assert totals("main", "spare") == [Decimal("10000000.00"), Decimal("500.00")]


def test_a_destination_that_is_full_fails_and_the_source_keeps_its_money(
    world: World, spare: Budget
) -> None:
    transfer = asked(world)
    # Below what its column holds, by less than the transfer.
    most = Decimal(10) ** 15 - 1
    for number in range(9):
        budgets.budget_allocate(
            code="spare", amount=most, key=f"fill {number}", by=None, via="command"
        )
    rest = Decimal(10) ** 16 - Budget.objects.get(code="spare").total - Decimal("500.00")
    budgets.budget_allocate(code="spare", amount=rest, key="rest", by=None, via="command")
    decide(world, transfer)
    transfer.refresh_from_db()
    assert (transfer.status, transfer.error_code) == ("failed", "budget_full")
    assert totals("main") == [Decimal("10000000.00")]
    assert proofs_hold()


def test_the_same_key_is_the_same_transfer(world: World, spare: Budget) -> None:
    first = asked(world, idempotency_key="k-1")
    again, created = transfers.transfer_request(**wanted(world, idempotency_key="k-1"))
    assert (again.pk, created) == (first.pk, False)
    assert ApprovalRequest.objects.filter(kind=TRANSFER_KIND).count() == 1
    with pytest.raises(Conflict) as refused:
        transfers.transfer_request(
            **wanted(world, idempotency_key="k-1", amount=Decimal("1000.01"))
        )
    assert refused.value.code == "idempotency_key_reused"


def test_eight_at_once_with_one_key_ask_once(
    shared_world: World, shared_spare: Budget, side_by_side: Any
) -> None:
    body = wanted(shared_world, idempotency_key="k-1")
    found = side_by_side(lambda _: transfers.transfer_request(**body), 8)
    assert sorted(created for _, created in found) == [False] * 7 + [True]
    assert len({transfer.pk for transfer, _ in found}) == 1
    assert ApprovalRequest.objects.filter(kind=TRANSFER_KIND).count() == 1


def test_settled_again_changes_nothing(world: World, spare: Budget) -> None:
    transfer = asked(world)
    request = decide(world, transfer)
    with transaction.atomic():
        SIGNED.settled(request=request, by=world.people["senior"], via="api", as_of=timezone.now())
    assert BudgetEntry.objects.filter(transfer=transfer).count() == 2
    assert proofs_hold()


def test_crossing_transfers_at_once_neither_deadlock_nor_overdraw(
    shared_world: World, side_by_side: Any
) -> None:
    world = shared_world
    world.budget("left", "1000.00")
    world.budget("right", "1000.00")
    ways = [("left", "right"), ("right", "left")]
    made = [
        asked(world, source=ways[n % 2][0], destination=ways[n % 2][1], amount=Decimal("300.00"))
        for n in range(12)
    ]
    outcomes = side_by_side(lambda number: decide(world, made[number]), 12)
    assert [str(one) for one in outcomes if isinstance(one, Exception)] == []
    statuses = set(BudgetTransfer.objects.values_list("status", flat=True))
    assert statuses <= {"done", "failed"}
    assert sum(totals("left", "right")) == Decimal("2000.00")
    assert proofs_hold()


def test_of_six_at_once_out_of_a_budget_for_two_exactly_two_move(
    shared_world: World, shared_spare: Budget, side_by_side: Any
) -> None:
    world = shared_world
    made = [
        asked(world, source="spare", destination="main", amount=Decimal("200.00")) for _ in range(6)
    ]
    side_by_side(lambda number: decide(world, made[number]), 6)
    statuses = sorted(BudgetTransfer.objects.values_list("status", flat=True))
    assert statuses == ["done"] * 2 + ["failed"] * 4
    assert totals("spare") == [Decimal("100.00")]
    assert proofs_hold()


def test_reservations_and_a_transfer_at_once_take_no_more_than_there_is(
    shared_world: World, shared_spare: Budget, side_by_side: Any
) -> None:
    world = shared_world
    transfer = asked(world, source="spare", destination="main", amount=Decimal("400.00"))
    others = [world.ask(budget="spare", amount=Decimal("60.00")) for _ in range(5)]
    for one in others:
        world.open(one)
        world.validate(one)

    def run(number: int) -> Any:
        if number == 5:
            return decide(world, transfer)
        return budgets.budget_reserve(intervention_id=others[number].pk)

    outcomes = side_by_side(run, 6)
    refused = [one for one in outcomes if isinstance(one, Exception)]
    assert {getattr(one, "code", repr(one)) for one in refused} <= {"budget_exceeded"}
    assert proofs_hold()
    budget = Budget.objects.get(code="spare")
    assert budget.available >= 0


def test_cancelling_and_approving_at_once_end_it_one_way(
    shared_world: World, shared_spare: Budget, side_by_side: Any
) -> None:
    world = shared_world
    for _ in range(4):
        transfer = asked(world, amount=Decimal("1.00"))

        def run(number: int, transfer: BudgetTransfer = transfer) -> Any:
            if number:
                return decide(world, transfer)
            return transfers.transfer_cancel(
                transfer_id=transfer.pk, by=world.requester, via="api", as_of=timezone.now()
            )

        outcomes = side_by_side(run, 2)
        transfer.refresh_from_db()
        request = transfers.transfer_approval(transfer)
        assert request is not None
        lines = BudgetEntry.objects.filter(transfer=transfer).count()
        assert (transfer.status, request.status, lines) in {
            ("done", "approved", 2),
            ("cancelled", "cancelled", 0),
        }
        codes = [one.code for one in outcomes if isinstance(one, DomainError)]
        assert len(codes) == 1
    assert proofs_hold()


def test_who_asked_cannot_sign_it(world: World, spare: Budget) -> None:
    from django.contrib.auth.models import Group

    world.requester.groups.add(Group.objects.get(name="senior reviewer"))
    world.people["requester"] = User.objects.get(pk=world.requester.pk)
    with pytest.raises(NotAllowed) as refused:
        decide(world, asked(world), by="requester")
    assert refused.value.code == "requester_cannot_sign"
    with pytest.raises(NotAllowed):
        decide(world, asked(world), by="reviewer")


def test_a_rule_that_asks_for_nothing_leaves_the_senior_signature(
    world: World, spare: Budget
) -> None:
    with transaction.atomic():
        rule_put(kind=TRANSFER_KIND, scope="main", currency="NGN", bands=[], by=None)
    request = transfers.transfer_approval(asked(world))
    assert request is not None
    assert (request.status, request.tier_group) == ("open", "senior reviewer")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": Decimal("0")}, "amount_invalid"),
        ({"amount": Decimal("-1")}, "amount_invalid"),
        ({"amount": Decimal("NaN")}, "amount_invalid"),
        ({"amount": Decimal("1e999999")}, "amount_invalid"),
        ({"amount": Decimal("0.001")}, "amount_invalid"),
        ({"amount": "12"}, "amount_invalid"),
        ({"amount": Decimal("10000000.01")}, "budget_exceeded"),
        ({"reason": ""}, "reason_invalid"),
        ({"reason": "a\x00b"}, "reason_invalid"),
        ({"reason": "x" * 1_000_000}, "reason_invalid"),
        ({"reason": "a\u202eb"}, "invisible_characters"),
        ({"reason": None}, "reason_invalid"),
        ({"source": "spare", "destination": "spare"}, "same_budget"),
        ({"destination": "nowhere"}, "budget_not_found"),
        ({"source": "NOT A CODE"}, "code_invalid"),
        ({"source": "main\x00"}, "code_invalid"),
        ({"destination": "reais"}, "currency_mismatch"),
        ({"idempotency_key": "k\x00"}, "idempotency_key_invalid"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_audited(
    world: World, spare: Budget, changes: dict[str, Any], code: str
) -> None:
    budgets.budget_open(code="reais", name="Reais", currency="BRL", by=None, via="command")
    with pytest.raises(DomainError) as refused:
        transfers.transfer_request(**wanted(world, **changes))
    assert refused.value.code == code
    assert not BudgetTransfer.objects.exists()
    entry = AuditEntry.objects.get(action="budget.transfer_request")
    assert (entry.outcome, entry.code) == ("refused", code)


def test_only_who_may_asks_and_only_who_asked_takes_it_back(world: World, spare: Budget) -> None:
    with pytest.raises(NotAllowed):
        transfers.transfer_request(**wanted(world, by=world.people["reviewer"]))
    transfer = asked(world)
    cancel = {"transfer_id": transfer.pk, "via": "api", "as_of": timezone.now()}
    with pytest.raises(NotAllowed):
        transfers.transfer_cancel(by=world.people["auditor"], **cancel)
    stranger = User.objects.create(username="stranger")
    with pytest.raises(NotFound):
        transfers.transfer_cancel(by=stranger, **cancel)
    with pytest.raises(NotFound):
        transfers.transfer_cancel(**(cancel | {"transfer_id": "no id", "by": world.requester}))
    transfers.transfer_cancel(by=world.requester, **cancel)
    with pytest.raises(Conflict) as refused:
        transfers.transfer_cancel(by=world.requester, **cancel)
    assert (refused.value.code, refused.value.extra) == ("already_settled", {"status": "cancelled"})
    with pytest.raises(Invalid):
        transfers.transfer_cancel(by=world.requester, reason="a\x00b", **cancel)


def test_the_database_keeps_an_end_and_a_line_its_cause(world: World, spare: Budget) -> None:
    transfer = asked(world)
    decide(world, transfer)
    with pytest.raises(DatabaseError), transaction.atomic():
        BudgetTransfer.objects.update(status="cancelled")
    with pytest.raises(DatabaseError), transaction.atomic():
        BudgetEntry.objects.create(budget=spare, kind="transfer_in", amount=1, key="from nowhere")


def test_the_request_shows_both_budgets_and_what_it_would_do(world: World, spare: Budget) -> None:
    from apps.approvals import kinds

    transfer = asked(world)
    request = transfers.transfer_approval(transfer)
    assert request is not None
    kind = kinds.get(TRANSFER_KIND)
    shown = {fact.label: fact.value for fact in kind.facts(request)}
    assert shown["Free in the source"] == "NGN 10,000,000.00 in main"
    assert shown["Free in the destination"] == "NGN 500.00 in spare"
    assert kind.simulate is not None
    assert kind.simulate(request, world.people["reviewer"]).tone == "good"
    Budget.objects.filter(code="main").update(total=Decimal("999.99"))
    assert kind.simulate(request, world.people["reviewer"]).tone == "bad"
    tones = {fact.label: fact.tone for fact in kind.facts(request)}
    assert tones["Free in the source"] == "bad"
