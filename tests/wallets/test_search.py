"""What is found of wallets, adjustments and journals, by whom, and by which index."""

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from apps.wallets.models import Journal, JournalLine, Rider, Wallet
from apps.web import search
from apps.web.search import text_condition
from apps.web.search_query import Query
from tests.plans import plan_by_index
from tests.wallets.conftest import World


def found(world: World, who: str, text: str) -> dict[str, list[str]]:
    user = world.people[who]
    answer = search.search(user, Query(text), search.sources(user))
    return {group.source.key: [one.key for one in group.found] for group in answer.groups}


@pytest.mark.parametrize("text", ["ada", "ADA", "ada@example", "example.com ada"])
def test_a_wallet_is_found_by_a_part_of_its_riders_id_name_or_address(
    world: World, text: str
) -> None:
    world.rider("ada")
    world.rider("obi")
    assert found(world, "agent", text)["wallets"] == ["ada"]


def test_a_journal_is_found_by_its_key_and_an_adjustment_by_its_id(world: World) -> None:
    world.rider(balance="5.00")
    adjustment = world.ask()
    assert found(world, "auditor", "opening:ada")["journals"] == ["opening:ada"]
    assert found(world, "agent", str(adjustment.pk))["adjustments"] == [str(adjustment.pk)]
    # Neither the ledger nor another person's adjustment.
    assert "journals" not in found(world, "requester", "opening:ada")
    assert "adjustments" not in found(world, "requester", str(adjustment.pk))


def test_the_indexes_serve_what_they_are_for(world: World) -> None:
    world.rider(balance="5.00")
    condition = text_condition(Query("nwosu"), "user_id", "name", "email")
    assert condition is not None
    with transaction.atomic(), connection.cursor() as cursor:
        # Nor by a walk through the index of the ids.
        cursor.execute("SET LOCAL enable_indexscan = off")
        plan_by_index(Rider.objects.filter(condition).order_by(), "rider_search")
        transaction.set_rollback(True)
    account = Wallet.objects.get().account_id
    entries = JournalLine.objects.filter(account_id=account)
    plan_by_index(entries.order_by("-pk"), "lines_of_an_account", ordered=True)
    total = entries.order_by().values("account").annotate(total=Sum("amount"))
    plan_by_index(total, "lines_of_an_account")
    newest = ("-created_at", "-id")
    frozen = Wallet.objects.filter(status="frozen").order_by(*newest)
    plan_by_index(frozen, "wallets_frozen", ordered=True)
    of_a_kind = Journal.objects.filter(kind="adjustment").order_by(*newest)
    plan_by_index(of_a_kind, "journals_of_a_kind", ordered=True)
