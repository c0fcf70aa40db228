"""What the inbox's filters find."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.http import QueryDict
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.forms import InboxFilter, inbox_matching
from apps.approvals.models import ApprovalRequest
from apps.approvals.services import rule_put
from apps.common.errors import DomainError
from apps.common.pagination import page
from tests.approvals.world import BANDS, KIND, opened, person, rule
from tests.plans import plan_by_index


# --- what they find -------------------------------------------------------------------------
def found(user: User, query: str) -> set[str]:
    return {
        request.subject_id
        for request in inbox_matching(user=user, query=query, as_of=timezone.now())
    }


@pytest.fixture
def requests(db: None) -> dict[str, User]:
    """Four requests that differ in everything that can be filtered by."""
    rule()
    rule_put(kind=KIND, scope="br", currency="BRL", bands=BANDS, by=None)
    people = {
        "requester": person("amaka"),
        "first": person("ngozi", "first"),
        "other": person("rafael", "first"),
        "second": person("helena", "second"),
    }
    now = timezone.now()
    changes: dict[str, dict[str, Any]] = {
        "plain": {"due_at": None},
        "late": {"due_at": now - timedelta(hours=3), "created_at": now - timedelta(days=8)},
        "soon": {
            "due_at": now + timedelta(hours=3),
            "claimed_by": people["first"],
            "claimed_until": now + timedelta(minutes=5),
        },
        "lapsed": {
            "due_at": now + timedelta(days=9),
            "tier_group": "second",
            "currency": "BRL",
            "amount": Decimal("90000.00"),
            "claimed_by": people["other"],
            "claimed_until": now - timedelta(minutes=5),
        },
    }
    words = {"plain": "a school", "late": "a 100% well_dug", "soon": "a Well", "lapsed": "açúcar"}
    for subject, values in changes.items():
        request = opened(people["requester"], subject_id=subject)
        ApprovalRequest.objects.filter(pk=request.pk).update(search_text=words[subject], **values)
    return people


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"plain", "late", "soon", "lapsed"}),
        ("q=well", {"late", "soon"}),
        ("q=WELL_DUG", {"late"}),
        ("q=wellxdug", set()),
        ("q=100%25", {"late"}),
        ("q=A%C3%87%C3%9ACAR", {"lapsed"}),
        ("q=we", set()),
        ("q=---", set()),
        ("q=%25%25%25", set()),
        ("due=over", {"late"}),
        ("due=soon", {"late", "soon"}),
        ("age=7d", {"late"}),
        ("group=second", {"lapsed"}),
        ("currency=BRL", {"lapsed"}),
        ("least=3000", {"lapsed"}),
        ("most=3000", {"plain", "late", "soon"}),
        ("least=3000&most=2000", set()),
        ("least=NaN", set()),
        ("least=1e9999999", set()),
        ("claim=me", {"soon"}),
        ("claim=free", {"plain", "late", "lapsed"}),
        ("claim=taken", {"soon"}),
        (f"kind={KIND}", {"plain", "late", "soon", "lapsed"}),
        ("kind=nothing", set()),
        ("group=nobody", set()),
        ("sort=sideways", set()),
        ("mine=on", {"plain", "late", "soon"}),
        ("mine=on&due=over&q=well", {"late"}),
        ("status=approved&mine=on", set()),
        ("q=a%00b", set()),
    ],
)
def test_each_filter_finds_what_it_says_and_a_wrong_one_nothing(
    query: str, expected: set[str], requests: dict[str, User]
) -> None:
    assert found(requests["first"], query) == expected


def test_who_may_see_nothing_finds_nothing_by_anybodys_filter(requests: dict[str, User]) -> None:
    outsider = person("outsider")
    assert found(outsider, "q=well") == set()
    assert found(requests["requester"], "q=well") == {"late", "soon"}


def test_fields_that_contradict_each_other_say_so(requests: dict[str, User]) -> None:
    for query, field in [
        ("status=approved&due=over", "due"),
        ("status=approved&sort=due", "sort"),
        ("status=approved&claim=me", "claim"),
        ("least=9&most=8", "most"),
        ("q=ab", "q"),
        ("q=-----", "q"),
    ]:
        form = InboxFilter(QueryDict(query))
        assert not form.is_valid()
        assert list(form.errors) == [field], query


@pytest.mark.parametrize("order", ["newest", "oldest", "due"])
def test_every_order_walks_all_rows_once_also_those_without_a_date(
    order: str, requests: dict[str, User]
) -> None:
    moment = timezone.now() + timedelta(days=1)
    for number in range(7):
        request = opened(requests["requester"], subject_id=f"more-{number}")
        changes = {"due_at": moment if number % 2 else None, "created_at": moment}
        ApprovalRequest.objects.filter(pk=request.pk).update(**changes)
    rows = ApprovalRequest.objects.open()
    walked: list[str] = []
    cursor = None
    while True:
        part = page(rows, cursor=cursor, limit=2, order=order)
        walked += [row.subject_id for row in part["items"]]
        cursor = part["next"]
        if cursor is None:
            break
    column = {"newest": "-created_at", "oldest": "created_at", "due": "due_at"}[order]
    tie = "-pk" if order == "newest" else "pk"
    assert walked == list(rows.order_by(column, tie).values_list("subject_id", flat=True))
    assert len(walked) == 11


def test_a_cursor_of_one_order_is_none_of_another(requests: dict[str, User]) -> None:
    rows = ApprovalRequest.objects.open()
    cursor = page(rows, cursor=None, limit=2, order="due")["next"]
    with pytest.raises(DomainError) as caught:
        page(rows, cursor=cursor, limit=2, order="oldest")
    assert caught.value.code == "bad_cursor"


def test_the_search_is_made_for_the_trigram_index(requests: dict[str, User]) -> None:
    found = inbox_matching(user=requests["first"], query="q=xylophone", as_of=timezone.now())
    # The text of the index, in the words of the planner.
    condition = "upper(search_text) ~~ '%XYLOPHONE%'"
    assert condition in plan_by_index(found, "request_search")
    for status, index in (("open", "request_search"), ("approved", "request_search_settled")):
        alone = ApprovalRequest.objects.filter(search_text__icontains="xylophone", status=status)
        plan_by_index(alone.order_by(), index)
