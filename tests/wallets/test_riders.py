"""Riders and their wallets: made known once, changed, frozen."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError, NotAllowed, NotFound
from apps.wallets import services
from apps.wallets.contracts import RiderFacts, WalletStatus
from apps.wallets.models import Account, Rider, Wallet
from apps.wallets.services.riders import rider_put, wallet_freeze, wallet_unfreeze
from tests.wallets.conftest import World, paid


def put(world: World, **changes: Any) -> tuple[Rider, bool]:
    body = {"user_id": "ada", "name": "Ada Obi", "email": "ada@example.com", "currency": "NGN"}
    said = {"by": world.agent, "via": "api", "as_of": timezone.now()}
    return rider_put(**{**body, **said, **changes})


def test_a_rider_is_made_known_with_one_wallet_and_again_changes_nothing(world: World) -> None:
    assert put(world)[1] is True
    assert put(world)[1] is False
    rider = Rider.objects.get()
    assert (rider.wallet.currency, rider.wallet.balance, rider.wallet.account.code) == (
        "NGN",
        Decimal(0),
        "wallet:ada",
    )
    assert AuditEntry.objects.filter(action="rider.put").count() == 1
    assert services.rider_known("ada") == RiderFacts(
        "ada", "Ada Obi", "ada@example.com", "NGN", WalletStatus.ACTIVE, Decimal(0)
    )


@pytest.mark.parametrize("user_id", ["eve", "", "a b", "a\x00", "..", "x" * 81, None, 7])
def test_an_unknown_rider_is_not_known(world: World, user_id: Any) -> None:
    assert services.rider_known(user_id) is None


def test_eight_at_once_make_one_rider(shared_world: World, side_by_side: Any) -> None:
    outcomes = side_by_side(lambda _: put(shared_world), 8)
    assert sorted(created for _, created in outcomes) == [False] * 7 + [True]
    assert (Rider.objects.count(), Wallet.objects.count(), Account.objects.count()) == (1, 1, 1)
    assert AuditEntry.objects.filter(action="rider.put").count() == 1


def test_what_is_known_changes_and_the_trail_has_what(world: World) -> None:
    put(world)
    rider, created = put(world, name="Ada Eze", email="")
    assert (created, rider.name, rider.email, rider.version) == (False, "Ada Eze", "", 2)
    body = AuditEntry.objects.filter(action="rider.put").latest("pk").body
    assert body == {"name": "Ada Eze", "email": ""}


def test_the_currency_changes_only_before_the_first_entry(world: World) -> None:
    put(world)
    put(world, currency="GHS")
    wallet = Wallet.objects.select_related("account", "rider").get()
    assert {wallet.currency, wallet.account.currency, wallet.rider.currency} == {"GHS"}
    services.wallet_refund(**paid(currency="GHS"))
    with pytest.raises(Conflict) as refused:
        put(world, currency="NGN")
    assert refused.value.code == "currency_fixed"
    put(world, currency="GHS", name="Ada Eze")


def test_the_currency_stays_while_an_adjustment_waits(world: World) -> None:
    put(world)
    world.ask()
    with pytest.raises(Conflict) as refused:
        put(world, currency="GHS")
    assert refused.value.code == "currency_fixed"


@pytest.mark.parametrize("first", [0, 1])
def test_a_new_currency_and_a_first_entry_at_once_end_one_way(
    shared_world: World, side_by_side: Any, first: int
) -> None:
    world = shared_world
    put(world)

    def run(number: int) -> Any:
        if number == first:
            return put(world, currency="GHS")
        return services.wallet_refund(**paid())

    outcomes = side_by_side(run, 2)
    refused = [one.code for one in outcomes if isinstance(one, DomainError)]
    wallet = Wallet.objects.select_related("account", "rider").get()
    assert len({wallet.currency, wallet.account.currency, wallet.rider.currency}) == 1
    assert (wallet.currency, wallet.balance, refused) in [
        ("NGN", Decimal("1000.00"), ["currency_fixed"]),
        ("GHS", Decimal(0), ["currency_differs"]),
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"user_id": ""}, "user_id_invalid"),
        ({"user_id": "."}, "user_id_invalid"),
        ({"user_id": ".."}, "user_id_invalid"),
        ({"user_id": "a/b"}, "user_id_invalid"),
        ({"user_id": "a\n"}, "user_id_invalid"),
        ({"user_id": "é"}, "user_id_invalid"),
        ({"user_id": "x" * 1_000_000}, "user_id_invalid"),
        ({"user_id": None}, "user_id_invalid"),
        ({"name": ""}, "name_invalid"),
        ({"name": "a\x00"}, "name_invalid"),
        ({"name": "x" * 161}, "name_invalid"),
        ({"name": "a\u202eb"}, "invisible_characters"),
        ({"email": "no address"}, "email_invalid"),
        ({"email": "a\x00@b.c"}, "email_invalid"),
        ({"email": "a" * 250 + "@b.c"}, "email_invalid"),
        ({"currency": "naira"}, "currency_invalid"),
        ({"currency": None}, "currency_invalid"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_audited(
    world: World, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(DomainError) as refused:
        put(world, **changes)
    assert refused.value.code == code
    assert not Rider.objects.exists()
    assert AuditEntry.objects.get(action="rider.put").code == code


# --- frozen ---------------------------------------------------------------------------------------
def test_freezing_is_audited_once_and_undone(world: World) -> None:
    world.rider()
    said = {"user_id": "ada", "reason": "A stolen phone.", "by": world.agent, "via": "page"}
    for _ in range(2):
        assert wallet_freeze(**said).status == "frozen"
    for _ in range(2):
        assert wallet_unfreeze(**said).status == "active"
    entries = AuditEntry.objects.filter(subject_type="wallet", subject_id="ada").order_by("pk")
    assert [(entry.action, entry.body["reason"]) for entry in entries] == [
        ("wallet.freeze", "A stolen phone."),
        ("wallet.unfreeze", "A stolen phone."),
    ]


def test_freezing_and_paying_at_once_end_one_way(shared_world: World, side_by_side: Any) -> None:
    world = shared_world
    world.rider(balance="1000.00")

    def run(number: int) -> Any:
        if number:
            return services.wallet_pay(**paid())
        return wallet_freeze(user_id="ada", reason="Stolen.", by=world.agent, via="page")

    outcomes = side_by_side(run, 2)
    codes = [one.code for one in outcomes if isinstance(one, DomainError)]
    assert (world.balance(), codes) in [
        (Decimal("1000.00"), ["wallet_frozen"]),
        (Decimal("0.00"), []),
    ]


def test_only_who_may_freezes_and_gives_a_reason(world: World) -> None:
    world.rider()
    for verb in (wallet_freeze, wallet_unfreeze):
        with pytest.raises(NotAllowed):
            verb(user_id="ada", reason="x", by=world.people["reviewer"], via="page")
        with pytest.raises(DomainError) as refused:
            verb(user_id="ada", reason=" ", by=world.agent, via="page")
        assert refused.value.code == "reason_invalid"
        with pytest.raises(NotFound):
            verb(user_id="eve", reason="x", by=world.agent, via="page")
    assert Wallet.objects.get().status == "active"
