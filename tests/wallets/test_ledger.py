"""The ledger: every movement once, every journal balanced, no wallet overdrawn."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.common.errors import Conflict, DomainError, Invalid, NotFound
from apps.wallets import services
from apps.wallets.models import Account, Journal, JournalLine, Wallet
from apps.wallets.services.riders import wallet_freeze, wallet_unfreeze
from tests.support import FULL_SIZE
from tests.wallets.conftest import World, paid, prepaid_of

CARD = {"amount": Decimal("1500.00"), "currency": "NGN", "subject_type": "booking"}


def _posted(**changes: Any) -> dict[str, Any]:
    return {
        "key": "k",
        "kind": "payment",
        "currency": "NGN",
        "lines": {"card:NGN": Decimal(5), "prepaid:NGN": Decimal(-5)},
        "subject_type": "booking",
        "subject_id": 1,
        "as_of": timezone.now(),
        **changes,
    }


# --- the movements of a booking -------------------------------------------------------------------
def test_each_movement_has_a_debit_and_a_credit(world: World) -> None:
    world.rider(balance="5000.00")
    card = {**CARD, "subject_id": "1", "as_of": timezone.now()}
    assert services.wallet_pay(**paid())
    assert services.wallet_refund(**paid(amount="400.00", key="refund"))
    assert services.card_charged(**card, key="card")
    assert services.card_refunded(**{**card, "amount": Decimal("500.00")}, key="back")
    assert services.revenue_recognised(**{**card, "amount": Decimal("600.00")}, key="travelled")
    lines = JournalLine.objects.exclude(journal__key="opening:ada")
    assert list(lines.order_by("pk").values_list("journal__kind", "account__code", "amount")) == [
        ("payment", "wallet:ada", Decimal("1000.00")),
        ("payment", "prepaid:NGN", Decimal("-1000.00")),
        ("refund", "prepaid:NGN", Decimal("400.00")),
        ("refund", "wallet:ada", Decimal("-400.00")),
        ("card_charge", "card:NGN", Decimal("1500.00")),
        ("card_charge", "prepaid:NGN", Decimal("-1500.00")),
        ("card_refund", "prepaid:NGN", Decimal("500.00")),
        ("card_refund", "card:NGN", Decimal("-500.00")),
        ("revenue", "prepaid:NGN", Decimal("600.00")),
        ("revenue", "revenue:NGN", Decimal("-600.00")),
    ]
    assert world.balance() == Decimal("4400.00")
    assert prepaid_of() == Decimal("1000.00")


@pytest.mark.parametrize("verb", ["wallet_pay", "wallet_refund"])
def test_the_same_key_three_times_moves_once(world: World, verb: str) -> None:
    world.rider(balance="5000.00")
    call = getattr(services, verb)
    if verb == "wallet_refund":
        services.wallet_pay(**paid(key="before"))
    balances = []
    for _ in range(3):
        call(**paid())
        balances.append(world.balance())
    assert len(set(balances)) == 1
    assert Journal.objects.filter(key="booking:1:pay").count() == 1


@pytest.mark.parametrize(
    "verb",
    ["wallet_pay", "wallet_refund", "card_charged", "card_refunded", "revenue_recognised"],
)
def test_eight_at_once_with_one_key_move_once(
    shared_world: World, side_by_side: Any, verb: str
) -> None:
    shared_world.rider(balance="5000.00")
    body = paid()
    if not verb.startswith("wallet"):
        del body["user_id"]
    outcomes = side_by_side(lambda _: getattr(services, verb)(**body), 8)
    assert sorted(outcomes) == [False] * 7 + [True]
    expected = {"wallet_pay": "4000.00", "wallet_refund": "6000.00"}
    assert shared_world.balance() == Decimal(expected.get(verb, "5000.00"))
    assert Journal.objects.filter(key="booking:1:pay").count() == 1


def test_of_six_payments_at_once_the_one_too_many_is_refused(
    shared_world: World, side_by_side: Any
) -> None:
    world = shared_world
    world.rider(balance="5000.00")
    outcomes = side_by_side(lambda number: services.wallet_pay(**paid(key=f"pay:{number}")), 6)
    refused = [one for one in outcomes if isinstance(one, Exception)]
    assert [getattr(one, "code", one) for one in refused] == ["insufficient_funds"]
    assert outcomes.count(True) == 5
    assert world.balance() == Decimal("0.00")
    assert prepaid_of() == Decimal("5000.00")


def test_the_first_journals_of_a_currency_at_once_make_its_accounts_once(
    shared_world: World, side_by_side: Any
) -> None:
    body = {**CARD, "currency": "GHS", "subject_id": "1", "as_of": timezone.now()}
    calls = [services.card_charged, services.revenue_recognised]
    outcomes = side_by_side(lambda number: calls[number % 2](**body, key=f"k{number}"), 8)
    assert outcomes == [True] * 8
    assert sorted(Account.objects.values_list("code", flat=True)) == [
        *("card:GHS", "prepaid:GHS", "revenue:GHS")
    ]


KEYS = st.tuples(
    st.sampled_from(["pay", "refund", "freeze", "unfreeze"]),
    st.sampled_from(["ada", "obi"]),
    st.integers(1, 4),
    st.integers(0, 5),
)


@settings(
    # `make large` looks longer.
    max_examples=100 if FULL_SIZE else 10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=st.lists(KEYS, max_size=25))
def test_whatever_is_called_in_whatever_order_the_lines_explain_the_balances(
    world: World, actions: list[tuple[str, str, int, int]]
) -> None:
    """Against a model of two wallets with five naira each; refusals are part of the game."""
    mark = uuid4().hex[:8]
    ids = {name: f"{name}-{mark}" for name in ("ada", "obi")}
    for user_id in ids.values():
        world.rider(user_id, "5")
    left, frozen, known = dict.fromkeys(ids, 5), set[str](), dict[str, tuple[str, str, int]]()
    for verb, name, amount, number in actions:
        if verb.endswith("freeze"):
            change = wallet_freeze if verb == "freeze" else wallet_unfreeze
            change(user_id=ids[name], reason="x", by=world.agent, via="page")
            (frozen.add if verb == "freeze" else frozen.discard)(name)
            continue
        key, moved = f"{mark}:{number}", amount if verb == "refund" else -amount
        again = known.get(key)
        allowed = verb == "refund" or (name not in frozen and left[name] >= amount)
        call = services.wallet_pay if verb == "pay" else services.wallet_refund
        try:
            new = call(**paid(ids[name], str(amount), key=key))
        except Conflict as refusal:
            differs = again is not None and again != (verb, name, amount)
            assert (refusal.code == "journal_differs") == differs
            assert differs or not allowed
            continue
        assert new == (again is None)
        if new:
            known[key] = (verb, name, amount)
            left[name] += moved
    for name, user_id in ids.items():
        lines = JournalLine.objects.filter(account__code=f"wallet:{user_id}")
        assert world.balance(user_id) == left[name] == -sum(line.amount for line in lines)


# --- refusals -------------------------------------------------------------------------------------
def test_a_refused_payment_leaves_nothing_and_the_transaction_goes_on(world: World) -> None:
    world.rider(balance="999.99")
    with transaction.atomic():
        with pytest.raises(Conflict) as refused:
            services.wallet_pay(**paid())
        services.wallet_pay(**paid(amount="999.99", key="less"))
    assert (refused.value.code, refused.value.extra) == (
        "insufficient_funds",
        {"available": "999.99"},
    )
    assert world.balance() == Decimal("0.00")
    assert set(Journal.objects.values_list("key", flat=True)) == {"opening:ada", "less"}


def test_a_frozen_wallet_takes_and_does_not_pay(world: World) -> None:
    world.rider(balance="5000.00")
    services.wallet_pay(**paid())
    wallet_freeze(user_id="ada", reason="A stolen phone.", by=world.agent, via="page")
    with pytest.raises(Conflict) as refused:
        services.wallet_pay(**paid(key="again"))
    assert refused.value.code == "wallet_frozen"
    # What was paid before is answered as before.
    assert services.wallet_pay(**paid()) is False
    assert services.wallet_refund(**paid(key="refund")) is True
    assert world.balance() == Decimal("5000.00")


def test_an_unknown_wallet_and_another_currency_are_refused(world: World) -> None:
    world.rider()
    with pytest.raises(NotFound) as unknown:
        services.wallet_pay(**paid(user_id="nobody"))
    assert unknown.value.code == "wallet_not_found"
    with pytest.raises(Invalid) as differs:
        services.wallet_refund(**paid(currency="GHS"))
    assert differs.value.code == "currency_differs"
    assert not Journal.objects.exists()


def test_a_balance_that_no_column_holds_is_refused(world: World) -> None:
    world.rider()
    most = str(Decimal(10) ** 15 - 1)
    for number in range(10):
        services.wallet_refund(**paid(amount=most, key=f"fill {number}"))
    with pytest.raises(Conflict) as refused:
        services.wallet_refund(**paid(amount="11.00", key="more"))
    assert refused.value.code == "wallet_full"


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "refund"},
        {"subject_type": "top-up"},
        {"subject_id": 2},
        {"lines": {"card:NGN": Decimal(6), "prepaid:NGN": Decimal(-6)}},
        {"lines": {"card:NGN": Decimal(-5), "prepaid:NGN": Decimal(5)}},
        {"lines": {"revenue:NGN": Decimal(5), "prepaid:NGN": Decimal(-5)}},
        {
            "currency": "GHS",
            "lines": {"card:GHS": Decimal(5), "prepaid:GHS": Decimal(-5)},
        },
    ],
)
def test_a_key_with_another_journal_is_refused(db: None, changes: dict[str, Any]) -> None:
    assert services.post(**_posted())
    assert services.post(**_posted(as_of=datetime(2026, 1, 1, tzinfo=UTC), note="Else")) is False
    with pytest.raises(Conflict) as refused:
        services.post(**_posted(**changes))
    assert refused.value.code == "journal_differs"
    assert JournalLine.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"lines": {}}, "lines_invalid"),
        ({"lines": {"card:NGN": Decimal(5)}}, "lines_invalid"),
        ({"lines": {"card:NGN": Decimal(5), "prepaid:NGN": Decimal(-4)}}, "lines_invalid"),
        ({"lines": {"wallet:ada": Decimal(5), "wallet:obi": Decimal(-5)}}, "lines_invalid"),
        ({"lines": {"card:NGN": Decimal(0), "prepaid:NGN": Decimal(0)}}, "amount_invalid"),
        ({"lines": {"card:NGN": Decimal("NaN"), "prepaid:NGN": Decimal(5)}}, "amount_invalid"),
        ({"lines": {"card:NGN": Decimal("sNaN"), "prepaid:NGN": Decimal(5)}}, "amount_invalid"),
        ({"lines": {"card:NGN": Decimal("-inf"), "prepaid:NGN": Decimal(5)}}, "amount_invalid"),
        ({"lines": {"card:NGN": Decimal("1e999999"), "prepaid:NGN": "5"}}, "amount_invalid"),
        ({"lines": {"card:NGN": 5, "prepaid:NGN": -5}}, "amount_invalid"),
        ({"lines": {"card:NGN": Decimal("0.001"), "prepaid:NGN": Decimal(5)}}, "amount_invalid"),
        ({"lines": {"card:GHS": Decimal(5), "prepaid:NGN": Decimal(-5)}}, "account_invalid"),
        ({"lines": {"gold:NGN": Decimal(5), "prepaid:NGN": Decimal(-5)}}, "account_invalid"),
        ({"lines": {"card:NGN:x": Decimal(5), "prepaid:NGN": Decimal(-5)}}, "account_invalid"),
        ({"lines": {"wallet:eve": Decimal(5), "prepaid:NGN": Decimal(-5)}}, "wallet_not_found"),
        ({"currency": "ngn"}, "currency_invalid"),
        ({"currency": None}, "currency_invalid"),
        ({"key": ""}, "key_invalid"),
        ({"key": "a\x00"}, "key_invalid"),
        ({"key": "x" * 1_000_000}, "key_invalid"),
        ({"kind": "Pay\x00"}, "code_invalid"),
        ({"subject_type": ""}, "subject_invalid"),
        ({"subject_id": "x" * 81}, "subject_invalid"),
        ({"note": "a\x00"}, "note_invalid"),
    ],
)
def test_what_cannot_be_meant_is_refused(world: World, changes: dict[str, Any], code: str) -> None:
    world.rider("ada")
    world.rider("obi")
    with pytest.raises(DomainError) as refused:
        services.post(**_posted(**changes))
    assert refused.value.code == code
    assert not Journal.objects.exists()


@pytest.mark.parametrize(
    ("currency", "amount", "finer"),
    [("JPY", "1500", "1500.5"), ("KWD", "1.250", "1.2505"), ("NGN", "0.01", "0.001")],
)
def test_amounts_have_the_places_of_their_currency(
    world: World, currency: str, amount: str, finer: str
) -> None:
    world.rider(currency=currency, balance=amount)
    with pytest.raises(Invalid) as refused:
        services.wallet_pay(**paid(amount=finer, currency=currency))
    assert refused.value.code == "amount_invalid"
    services.wallet_pay(**paid(amount=amount, currency=currency))
    assert world.balance() == 0
    assert prepaid_of(currency) == Decimal(amount)


# --- what the database itself refuses -------------------------------------------------------------
def _now() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _sql(text: str, *params: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(text, params)
        _now()


@pytest.mark.parametrize(
    "amounts",
    [[], [("card:NGN", 5)], [("card:NGN", 5), ("prepaid:NGN", -4)]],
)
def test_a_journal_that_does_not_balance_cannot_be_committed(
    world: World, amounts: list[tuple[str, int]]
) -> None:
    for code in ("card:NGN", "prepaid:NGN"):
        Account.objects.create(code=code, kind=code.partition(":")[0], currency="NGN")
    with pytest.raises(IntegrityError, match="does not balance"), transaction.atomic():
        journal = Journal.objects.create(
            key="k", kind="payment", currency="NGN", size=len(amounts), subject_type="x"
        )
        for code, amount in amounts:
            account = Account.objects.get(code=code)
            JournalLine.objects.create(journal=journal, account=account, amount=amount)
        _now()
    assert not Journal.objects.exists()


def test_a_journal_across_currencies_cannot_be_committed(db: None) -> None:
    ours = Account.objects.create(code="card:NGN", kind="card", currency="NGN")
    other = Account.objects.create(code="prepaid:GHS", kind="prepaid", currency="GHS")
    with pytest.raises(IntegrityError, match="does not balance"), transaction.atomic():
        journal = Journal.objects.create(key="k", kind="x", currency="NGN", size=2)
        JournalLine.objects.create(journal=journal, account=ours, amount=5)
        JournalLine.objects.create(journal=journal, account=other, amount=-5)
        _now()


def test_the_real_end_of_a_transaction_refuses_it_too(shared_world: World) -> None:
    shared_world.rider(balance="5.00")
    account = Account.objects.get(code="wallet:ada")
    with pytest.raises(IntegrityError, match="does not balance"), transaction.atomic():
        journal = Journal.objects.create(key="k", kind="x", currency="NGN", size=1)
        JournalLine.objects.create(journal=journal, account=account, amount=-5)
    assert not Journal.objects.filter(key="k").exists()


def test_no_line_is_changed_deleted_or_added_later(world: World) -> None:
    world.rider(balance="5000.00")
    services.wallet_pay(**paid())
    refused = [
        "UPDATE wallets_journalline SET amount = 1",
        "DELETE FROM wallets_journalline",
        "UPDATE wallets_journal SET note = 'else'",
        "DELETE FROM wallets_journal",
        # A pair that sums to zero joins no old journal.
        "WITH old AS (SELECT id FROM wallets_journal WHERE key = 'booking:1:pay')"
        " INSERT INTO wallets_journalline (journal_id, account_id, amount)"
        " SELECT old.id, account.id, CASE account.kind WHEN 'card' THEN 5 ELSE -5 END"
        " FROM old, wallets_account account WHERE account.kind IN ('card', 'revenue')",
        "UPDATE wallets_account SET currency = 'GHS' WHERE code = 'wallet:ada'",
        "UPDATE wallets_account SET code = 'wallet:eve' WHERE code = 'wallet:ada'",
        "UPDATE wallets_wallet SET balance = -0.01",
    ]
    for kind in ("card", "revenue"):
        Account.objects.create(code=f"{kind}:NGN", kind=kind, currency="NGN")
    for text in refused:
        with pytest.raises(DatabaseError):
            _sql(text)
    assert JournalLine.objects.count() == 4
    assert Wallet.objects.get().balance == Decimal("4000.00")
