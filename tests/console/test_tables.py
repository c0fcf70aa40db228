"""Lists as tables: their heads, their orders, and the indexes that bear these."""

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest, Delegation
from apps.approvals.views import inbox
from apps.common.pagination import ORDERS, page
from apps.interventions.models import Budget
from apps.notifications import views as notifications
from apps.notifications.models import Notification
from apps.web.lists import ListPage
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.conftest import World
from tests.plans import plan_by_index

pytestmark = pytest.mark.django_db


def list_pages() -> list[ListPage]:
    """Every declared list that has an address."""
    found: dict[str, ListPage] = {}
    for pattern in _patterns(get_resolver().url_patterns):
        view: Any = pattern.callback
        while hasattr(view, "__wrapped__"):
            view = view.__wrapped__
        if isinstance(owner := getattr(view, "__self__", None), ListPage):
            found[owner.name] = owner
    return list(found.values())


def _patterns(patterns: Any) -> Iterator[URLPattern]:
    for one in patterns:
        if isinstance(one, URLPattern):
            yield one
        else:
            yield from _patterns(one.url_patterns)


def offered(user: User) -> Iterator[tuple[str, Any, str]]:
    """Name, rows and order of each sort that a list offers."""
    requests = ApprovalRequest.objects.filter
    lists = [
        ("inbox", requests(status="open"), inbox.WAITING),
        ("settled", requests(status="approved"), inbox.SETTLED),
        ("notifications", Notification.objects.filter(recipient=user), notifications.COLUMNS),
        *((one.name, one.rows(user), one.columns) for one in list_pages()),
    ]
    for name, rows, columns in lists:
        for column in columns:
            for order in column.sort:
                yield name, rows, order


def indexes_of(rows: Any) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = %s", [rows.model._meta.db_table]
        )
        return [name for (name,) in cursor.fetchall()]


def serves(rows: Any, order: str, index: str) -> bool:
    column, descending, nullable, unique = ORDERS[order]
    sign = "-" if descending else ""
    rows = rows.filter(**{f"{column}__isnull": False}) if nullable else rows
    rows = rows.order_by(f"{sign}{column}", *([] if unique else [f"{sign}pk"]))
    try:
        plan_by_index(rows[:51], index, ordered=True)
    except AssertionError:
        return False
    return True


def test_every_order_that_a_list_offers_is_read_from_an_index(world: World) -> None:
    found = list(offered(world.people["admin"]))
    assert len({name for name, _, _ in found}) >= 7
    assert ("budgets", "code_last") in {(name, order) for name, _, order in found}
    without = [
        (name, order)
        for name, rows, order in found
        if not any(serves(rows, order, index) for index in indexes_of(rows))
    ]
    assert without == []


# --- pages ---------------------------------------------------------------------------------------
def test_heads_sort_and_say_how_the_list_is_sorted(world: World, as_person: AsPerson) -> None:
    for number in range(3):
        world.ask(target=f"Target {number}")
    client = as_person("auditor")
    seen = {}
    for query in ("", "?sort=oldest", "?sort=nothing", "?sort=%00"):
        html = client.get(f"/interventions/{query}").content.decode()
        seen[query] = re.findall(r'class="row-title"[^>]*>([^<]+)<', html)
        (how,) = re.findall(r'aria-sort="(\w+)"', html)
        assert how == ("descending" if query == "?sort=oldest" else "ascending")
    newest = ["Target 2", "Target 1", "Target 0"]
    assert seen.pop("?sort=oldest") == newest[::-1]
    assert list(seen.values()) == [newest] * 3
    html = client.get("/interventions/?status=pending&cursor=x").content.decode()
    assert 'href="/interventions/?status=pending&amp;sort=oldest"' in html
    # The filters keep the order, and the fragment has it too.
    html = client.get("/interventions/?sort=oldest").content.decode()
    assert '<input type="hidden" name="sort" value="oldest">' in html
    assert 'hx-get="/interventions/live/?sort=oldest"' in html
    part = client.get("/interventions/live/?sort=oldest").content.decode()
    assert re.findall(r'class="row-title"[^>]*>([^<]+)<', part) == newest[::-1]


def test_the_inbox_sorts_by_amount_and_by_what_is_due(world: World, as_person: AsPerson) -> None:
    for amount in ("30000.00", "50000.00", "40000.00"):
        ask_to_sign(world, amount=amount, target=amount)
    client = as_person("reviewer")

    def listed(query: str) -> list[str]:
        html = client.get(f"/inbox/{query}").content.decode()
        return re.findall(r"NGN\xa0(\d\d),000\.00</span>", html)

    assert listed("?sort=largest") == ["50", "40", "30"]
    assert listed("?sort=smallest") == ["30", "40", "50"]
    html = client.get("/inbox/?sort=due").content.decode()
    (head,) = re.findall(r'aria-sort="ascending">\s*<a href="([^"]+)">Due<', html)
    assert head == "/inbox/", "a second click leads back"


# --- orders --------------------------------------------------------------------------------------
def new_request(amount: str | None) -> ApprovalRequest:
    key = uuid4().hex
    return ApprovalRequest.objects.create(
        key=key,
        kind="intervention",
        title=key,
        subject_type="t",
        subject_id=key,
        amount=None if amount is None else Decimal(amount),
        currency="NGN" if amount else "",
    )


@pytest.mark.parametrize("order", ["largest", "smallest", "newest", "oldest", "due"])
def test_no_row_is_lost_or_comes_twice_while_others_are_added(order: str, world: World) -> None:
    amounts = ["1.00", "2.00", "2.00", "2.00", None, None, "3.50", "0.10"]
    standing = {new_request(amount).pk for amount in amounts}
    seen: list[Any] = []
    cursor: str | None = None
    while True:
        found = page(ApprovalRequest.objects.all(), cursor=cursor, limit=3, order=order)
        seen += [row.pk for row in found["items"]]
        cursor = found["next"]
        if cursor is None:
            break
        # Three pages, at most: what is added behind the reader's place is read too.
        for amount in ("0.50", "2.00", None) if len(seen) < 7 else ():
            new_request(amount)
    assert len(seen) == len(set(seen))
    assert standing <= set(seen)


@pytest.mark.parametrize("order", ["code", "code_last"])
def test_an_order_without_ties_goes_on_where_it_stopped(order: str, world: World) -> None:
    for number in range(7):
        Budget.objects.create(code=f"b-{number}", name="B", currency="NGN", total=1)
    codes: list[str] = []
    cursor: str | None = None
    while True:
        found = page(Budget.objects.all(), cursor=cursor, limit=3, order=order)
        codes += [row.code for row in found["items"]]
        cursor = found["next"]
        if cursor is None:
            break
    assert codes == sorted(codes, reverse=order == "code_last") and len(codes) == 8


def test_a_cursor_of_another_order_is_the_beginning(world: World, as_person: AsPerson) -> None:
    world.ask()
    client = as_person("auditor")
    cursor = page(Budget.objects.all(), cursor=None, limit=1, order="code")["next"]
    shown = client.get("/interventions/", {"sort": "oldest", "cursor": cursor or "x"})
    assert len(shown.context["rows"]) == 1
    assert "no longer exists" in shown.content.decode()


def heads(html: str, rows: str) -> list[str]:
    """The heads of the table whose rows have this id."""
    tables = html.split("<table ")[1:]
    (table,) = [one for one in tables if f'<tbody class="rows" id="{rows}"' in one]
    found = re.findall(r"<th [^>]*>(.*?)</th>", table, re.DOTALL)
    return [re.sub(r"<[^>]+>", "", one).strip() for one in found]


def test_the_ledger_of_a_budget_is_a_table(world: World, as_person: AsPerson) -> None:
    html = as_person("auditor").get("/budgets/main/").content.decode()
    assert heads(html, "budget-ledger") == ["For", "When", "Line", "Amount"]
    assert re.search(r'<td class="col-amount at-end"[^>]*>\s*<span>NGN', html)


def test_delegations_are_tables_on_both_sides(world: World, as_person: AsPerson) -> None:
    now = timezone.now()
    Delegation.objects.create(
        delegator=world.people["reviewer"],
        delegate=world.people["reviewer2"],
        starts_at=now,
        ends_at=now + timedelta(days=1),
    )
    for name, rows, button in (
        ("reviewer", "given-rows", "the delegation to Rafael Moreira"),
        ("reviewer2", "held-rows", "the delegation by Ngozi Okafor"),
    ):
        html = as_person(name).get("/delegations/").content.decode()
        assert heads(html, rows) == [
            *("Person", "What", "Up to", "From", "Until", "Reason", "State", "End it"),
        ]
        assert button in html
