"""Adjustments: moved once by the signature that approves them, never without one."""

from decimal import Decimal
from typing import Any

import pgtrigger
import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import kinds
from apps.approvals.models import ApprovalRequest
from apps.approvals.services import rule_put
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError, NotAllowed, NotFound
from apps.notifications.models import Notification
from apps.wallets import services
from apps.wallets.contracts import ADJUSTMENT_KIND
from apps.wallets.models import Journal, JournalLine, WalletAdjustment
from apps.wallets.services import adjustments
from apps.wallets.services.adjustments import SIGNED
from apps.wallets.services.riders import wallet_freeze
from tests.wallets.conftest import World, paid


def test_asking_opens_a_request_that_names_all_that_is_signed(world: World) -> None:
    world.rider(balance="5000.00")
    adjustment = world.ask(amount=Decimal("-500.00"))
    request = adjustments.adjustment_approval(adjustment)
    assert request is not None
    assert (request.kind, request.status, request.tier_group) == (
        ADJUSTMENT_KIND,
        "open",
        "senior reviewer",
    )
    # Rules know amounts above zero.
    assert request.amount == Decimal("500.00")
    assert request.title == "Take NGN 500.00 from the wallet of Ada (ada)"
    assert request.payloads.get().payload == {
        "adjustment": str(adjustment.pk),
        "wallet": "ada",
        "amount": "-500.00",
        "currency": "NGN",
        "reason": "The card was charged twice.",
        "requested_by": world.agent.audit_id,
    }
    assert world.balance() == Decimal("5000.00")


@pytest.mark.parametrize(("amount", "after"), [("500.00", "5500.00"), ("-500.00", "4500.00")])
def test_the_approval_moves_the_money_with_one_journal(
    world: World, amount: str, after: str
) -> None:
    world.rider(balance="5000.00")
    adjustment = world.ask(amount=Decimal(amount))
    world.decide(adjustment)
    adjustment.refresh_from_db()
    assert (adjustment.status, adjustment.error_code) == ("done", "")
    assert world.balance() == Decimal(after)
    lines = JournalLine.objects.filter(journal__key=f"adjustment:{adjustment.pk}")
    assert dict(lines.values_list("account__code", "amount")) == {
        "wallet:ada": -Decimal(amount),
        "adjustment:NGN": Decimal(amount),
    }
    assert AuditEntry.objects.filter(action="wallet.adjustment_done").count() == 1


@pytest.mark.parametrize("end", ["reject", "cancel"])
def test_other_ends_move_nothing(world: World, end: str) -> None:
    world.rider()
    adjustment = world.ask()
    if end == "reject":
        world.decide(adjustment, "reject")
    else:
        adjustments.adjustment_cancel(
            adjustment_id=adjustment.pk, by=world.agent, via="api", as_of=timezone.now()
        )
    adjustment.refresh_from_db()
    status = {"reject": "rejected", "cancel": "cancelled"}[end]
    request = adjustments.adjustment_approval(adjustment)
    assert request is not None
    assert (adjustment.status, request.status) == (status, status)
    assert not Journal.objects.exists()


@pytest.mark.parametrize("why", ["insufficient_funds", "wallet_frozen"])
def test_what_the_wallet_no_longer_allows_fails_and_the_decision_stands(
    world: World, why: str
) -> None:
    world.rider(balance="600.00")
    adjustment = world.ask(amount=Decimal("-500.00"))
    if why == "wallet_frozen":
        wallet_freeze(user_id="ada", reason="Stolen.", by=world.agent, via="page")
    else:
        services.wallet_pay(**paid(amount="100.01"))
    request = world.decide(adjustment)
    assert request.status == "approved"
    adjustment.refresh_from_db()
    assert (adjustment.status, adjustment.error_code) == ("failed", why)
    assert not Journal.objects.filter(key=f"adjustment:{adjustment.pk}").exists()
    (told,) = Notification.objects.filter(kind="wallet.adjustment_failed")
    assert told.recipient == world.agent


def test_a_frozen_wallet_takes_an_adjustment(world: World) -> None:
    world.rider()
    wallet_freeze(user_id="ada", reason="Stolen.", by=world.agent, via="page")
    world.decide(world.ask())
    assert world.balance() == Decimal("500.00")


def test_a_row_that_is_not_what_was_signed_moves_nothing(world: World) -> None:
    world.rider()
    adjustment = world.ask()
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        WalletAdjustment.objects.update(amount=Decimal("999999.00"))
    # By whoever may switch the trigger off.
    with pgtrigger.ignore("wallets.WalletAdjustment:adjustment_as_signed"):
        WalletAdjustment.objects.update(amount=Decimal("999999.00"))
    world.decide(adjustment)
    adjustment.refresh_from_db()
    assert (adjustment.status, adjustment.error_code) == ("failed", "not_as_signed")
    assert world.balance() == 0


def test_the_same_key_is_the_same_adjustment(world: World) -> None:
    world.rider()
    first = world.ask(idempotency_key="k-1")
    again, created = adjustments.adjustment_request(**world.body(idempotency_key="k-1"))
    assert (again.pk, created) == (first.pk, False)
    with pytest.raises(Conflict) as refused:
        body = world.body(idempotency_key="k-1", amount=Decimal("-500.00"))
        adjustments.adjustment_request(**body)
    assert refused.value.code == "idempotency_key_reused"
    assert ApprovalRequest.objects.filter(kind=ADJUSTMENT_KIND).count() == 1


def test_eight_at_once_with_one_key_ask_once(shared_world: World, side_by_side: Any) -> None:
    shared_world.rider()
    body = shared_world.body(idempotency_key="k-1")
    found = side_by_side(lambda _: adjustments.adjustment_request(**body), 8)
    assert sorted(created for _, created in found) == [False] * 7 + [True]
    assert ApprovalRequest.objects.filter(kind=ADJUSTMENT_KIND).count() == 1


def test_settled_again_changes_nothing(world: World) -> None:
    world.rider()
    request = world.decide(world.ask())
    with transaction.atomic():
        SIGNED.settled(request=request, by=world.people["senior"], via="api", as_of=timezone.now())
    assert world.balance() == Decimal("500.00")


def test_adjustments_and_payments_at_once_take_no_more_than_there_is(
    shared_world: World, side_by_side: Any
) -> None:
    world = shared_world
    world.rider(balance="1000.00")
    made = [world.ask(amount=Decimal("-400.00")) for _ in range(3)]

    def run(number: int) -> Any:
        if number < 3:
            return world.decide(made[number]).status
        return services.wallet_pay(**paid(amount="300.00", key=f"pay:{number}"))

    outcomes = side_by_side(run, 6)
    refused = {getattr(one, "code", one) for one in outcomes if isinstance(one, Exception)}
    assert refused <= {"insufficient_funds"}
    done = WalletAdjustment.objects.filter(status="done").count()
    assert world.balance() == 1000 - 400 * done - 300 * outcomes.count(True)
    assert world.balance() >= 0
    assert set(WalletAdjustment.objects.values_list("status", flat=True)) <= {"done", "failed"}


def test_cancelling_and_approving_at_once_end_it_one_way(
    shared_world: World, side_by_side: Any
) -> None:
    world = shared_world
    world.rider()
    adjustment = world.ask()

    def run(number: int) -> Any:
        if number:
            return world.decide(adjustment)
        return adjustments.adjustment_cancel(
            adjustment_id=adjustment.pk, by=world.agent, via="api", as_of=timezone.now()
        )

    outcomes = side_by_side(run, 2)
    adjustment.refresh_from_db()
    assert (adjustment.status, world.balance()) in {
        ("done", Decimal("500.00")),
        ("cancelled", Decimal("0.00")),
    }
    assert len([one for one in outcomes if isinstance(one, DomainError)]) == 1


def test_it_is_always_signed_and_never_by_who_asked(world: World) -> None:
    world.rider()
    with transaction.atomic():
        rule_put(kind=ADJUSTMENT_KIND, scope="", currency="NGN", bands=[], by=None)
    adjustment = world.ask()
    request = adjustments.adjustment_approval(adjustment)
    assert request is not None
    assert (request.status, request.tier_group) == ("open", "senior reviewer")
    from django.contrib.auth.models import Group

    world.agent.groups.add(Group.objects.get(name="senior reviewer"))
    world.people["agent"] = User.objects.get(pk=world.agent.pk)
    for who in ("agent", "reviewer"):
        with pytest.raises(NotAllowed):
            world.decide(adjustment, by=who)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": Decimal("0")}, "amount_invalid"),
        ({"amount": Decimal("-0")}, "amount_invalid"),
        ({"amount": Decimal("NaN")}, "amount_invalid"),
        ({"amount": Decimal("-sNaN")}, "amount_invalid"),
        ({"amount": Decimal("-1e999999")}, "amount_invalid"),
        ({"amount": Decimal("-0.001")}, "amount_invalid"),
        ({"amount": "12"}, "amount_invalid"),
        ({"amount": None}, "amount_invalid"),
        ({"amount": Decimal("-5000.01")}, "insufficient_funds"),
        ({"reason": ""}, "reason_invalid"),
        ({"reason": "a\x00b"}, "reason_invalid"),
        ({"reason": "x" * 1_000_000}, "reason_invalid"),
        ({"reason": None}, "reason_invalid"),
        ({"user_id": "eve"}, "wallet_not_found"),
        ({"user_id": "a\x00"}, "user_id_invalid"),
        ({"user_id": 7}, "user_id_invalid"),
        ({"idempotency_key": "k\x00"}, "idempotency_key_invalid"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_audited(
    world: World, changes: dict[str, Any], code: str
) -> None:
    world.rider(balance="5000.00")
    with pytest.raises(DomainError) as refused:
        adjustments.adjustment_request(**world.body(**changes))
    assert refused.value.code == code
    assert not WalletAdjustment.objects.exists()
    entry = AuditEntry.objects.get(action="wallet_adjustment.request")
    assert (entry.outcome, entry.code) == ("refused", code)


def test_only_who_may_asks_and_only_who_asked_takes_it_back(world: World) -> None:
    world.rider()
    with pytest.raises(NotAllowed):
        adjustments.adjustment_request(**world.body(by=world.people["requester"]))
    adjustment = world.ask()
    cancel = {"adjustment_id": adjustment.pk, "via": "api", "as_of": timezone.now()}
    for who in ("auditor", "requester"):
        with pytest.raises(NotFound):
            adjustments.adjustment_cancel(by=world.people[who], **cancel)
    with pytest.raises(NotFound):
        adjustments.adjustment_cancel(**(cancel | {"adjustment_id": "no id", "by": world.agent}))
    adjustments.adjustment_cancel(by=world.agent, **cancel)
    with pytest.raises(Conflict) as refused:
        adjustments.adjustment_cancel(by=world.agent, **cancel)
    assert refused.value.code == "already_settled"
    with pytest.raises(DatabaseError), transaction.atomic():
        WalletAdjustment.objects.update(status="done")


def test_the_request_shows_the_wallet_and_what_it_would_do(world: World) -> None:
    world.rider(balance="5000.00")
    request = adjustments.adjustment_approval(world.ask(amount=Decimal("-500.00")))
    assert request is not None
    kind = kinds.get(ADJUSTMENT_KIND)
    shown = {fact.label: fact.value for fact in kind.facts(request)}
    assert shown["In the wallet now"] == "NGN 5,000.00"
    assert kind.simulate is not None
    simulated = kind.simulate(request, world.people["reviewer"])
    assert (simulated.tone, simulated.outcome) == (
        "good",
        "NGN 500.00 leaves the wallet of Ada at once.",
    )
    services.wallet_pay(**paid(amount="4600.00"))
    assert kind.simulate(request, world.people["reviewer"]).tone == "bad"
    tones = {fact.label: fact.tone for fact in kind.facts(request)}
    assert tones["In the wallet now"] == "bad"
