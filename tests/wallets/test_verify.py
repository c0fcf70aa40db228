"""`manage.py verifyledger`: passes when lines explain every balance, and names what differs."""

from decimal import Decimal
from io import StringIO

import pgtrigger
import pytest
from django.core.management import CommandError, call_command

from apps.wallets import services
from apps.wallets.models import Journal, JournalLine, Wallet
from apps.wallets.services import verify
from tests.wallets.conftest import World, paid

APPEND_ONLY = ("wallets.JournalLine:append_only", "wallets.Journal:append_only")
BALANCED = ("wallets.JournalLine:balanced", "wallets.Journal:balanced")


@pytest.fixture
def busy(shared_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two wallets and four journals, read two at a time."""
    monkeypatch.setattr(verify, "CHUNK", 2)
    shared_world.rider("ada", "5000.00")
    shared_world.rider("obi", "1.250", "KWD")
    services.wallet_pay(**paid())
    services.wallet_refund(**paid(amount="0.50", key="refund"))
    return shared_world


def verified() -> tuple[int, str]:
    """The exit status, and what was printed."""
    out = StringIO()
    try:
        call_command("verifyledger", stdout=out, no_color=True)
    except CommandError as error:
        return error.returncode, out.getvalue()
    return 0, out.getvalue()


def test_a_ledger_that_holds_passes_and_says_how_much_it_is(busy: World) -> None:
    assert verified() == (0, "journals 4\nwallets  2\nOK: the ledger holds\n")


def test_an_empty_one_holds(transactional_db: None) -> None:
    assert verified()[0] == 0


def test_a_balance_that_sql_changed_is_found(busy: World) -> None:
    Wallet.objects.filter(rider__user_id="ada").update(balance=Decimal("4000.51"))
    status, said = verified()
    assert status == 1
    assert "wallet:ada: the balance is 4000.51" in said
    assert "wallet:obi" not in said


def test_a_journal_that_was_changed_by_force_is_found(busy: World) -> None:
    with pgtrigger.ignore(*APPEND_ONLY, *BALANCED):
        JournalLine.objects.filter(journal__key="refund", amount__gt=0).update(amount=1)
        JournalLine.objects.filter(journal__key="booking:1:pay", amount__lt=0).delete()
        Journal.objects.create(key="empty", kind="x", currency="NGN", size=2)
        Journal.objects.filter(key="opening:obi").update(currency="NGN")
    status, said = verified()
    assert status == 1
    for problem in (
        "journal refund: its lines sum to 0.5",
        "journal booking:1:pay: 1 lines, not 2",
        "journal empty: 0 lines, not 2",
        "journal opening:obi: an account has another currency",
        "prepaid:NGN: -1.0000 is prepaid, less than nothing",
    ):
        assert problem in said


def test_a_wallet_in_another_currency_than_its_account_is_found(busy: World) -> None:
    Wallet.objects.filter(rider__user_id="obi").update(currency="NGN")
    assert "wallet:obi: rider, wallet and account have different currencies" in verified()[1]


def test_many_problems_are_counted_and_the_first_ones_named(
    busy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "MOST_PROBLEMS", 1)
    Wallet.objects.update(balance=Decimal(7))
    status, said = verified()
    assert (status, said.splitlines()[-1].strip()) == (1, "and 1 more")
