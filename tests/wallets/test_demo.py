"""The demo's riders: outside checks rely on the balance of `demo-rider`."""

from decimal import Decimal

import pytest

from apps.wallets import services
from apps.wallets.models import Invoice, Journal, TopUp, Wallet
from apps.wallets.services.demo import wallets_seed
from tests.wallets.conftest import World, paid

pytestmark = pytest.mark.django_db


def test_the_demo_is_made_once_and_what_was_spent_stays_spent(world: World) -> None:
    list(wallets_seed(people=world.people))
    assert world.balance("demo-rider") == Decimal("1000000.00")
    journals, wallets = Journal.objects.count(), Wallet.objects.count()
    services.wallet_pay(**paid("demo-rider", "1500.00"))
    list(wallets_seed(people=world.people))
    assert world.balance("demo-rider") == Decimal("998500.00")
    assert (Journal.objects.count(), Wallet.objects.count()) == (journals + 1, wallets)
    top_up = TopUp.objects.get()
    assert (top_up.status, world.balance("folake")) == ("done", Decimal("10000.00"))
    assert Invoice.objects.get().content.body[:5] == b"%PDF-"
    known = services.rider_known("demo-rider")
    assert known is not None
    assert (known.currency, bool(known.email)) == ("NGN", True)
