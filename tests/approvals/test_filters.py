"""Saved filters: kept, shared, limited, audited; and what the inbox's filters find."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connections
from django.http import QueryDict
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.forms import InboxFilter, inbox_matching
from apps.approvals.models import ApprovalRequest, SavedFilter
from apps.approvals.services import filters, rule_put
from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from apps.common.pagination import page
from tests.approvals.world import BANDS, KIND, auditor, opened, person, rule
from tests.plans import plan_by_index


def save(owner: User, name: str = "Big ones", query: str = "least=5000", **changes: Any):
    return filters.filter_save(
        **{"owner": owner, "name": name, "query": query, "shared": False, "via": "page", **changes}
    )


def refused(call: Any, *args: Any, **kwargs: Any) -> str:
    """The code it is refused with; fails when it is not refused or not audited."""
    before = AuditEntry.objects.filter(outcome="refused").count()
    with pytest.raises(DomainError) as caught:
        call(*args, **kwargs)
    assert AuditEntry.objects.filter(outcome="refused").count() == before + 1
    return caught.value.code


# --- saved ----------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_filter_saved_twice_is_one_and_recorded_once() -> None:
    ngozi = person("ngozi")
    first = save(ngozi)
    again = save(ngozi)
    assert first.pk == again.pk
    assert AuditEntry.objects.filter(action="filter.saved").count() == 1
    renewed = save(ngozi, query="least=9000", shared=True)
    assert renewed.pk == first.pk
    assert SavedFilter.objects.get().query == "least=9000"
    assert AuditEntry.objects.filter(action="filter.saved").count() == 2


@pytest.mark.django_db
def test_who_only_reads_keeps_no_filter() -> None:
    assert refused(save, auditor()) == "permission_denied"
    assert not SavedFilter.objects.exists()


@pytest.mark.django_db
def test_only_the_inboxs_own_parameters_are_kept_in_one_order() -> None:
    saved = save(
        person("ngozi"), query="?mine=on&cursor=abc&next=//evil&kind=test.payment&q=well&kind="
    )
    # The last value of a name counts, as it does on the page.
    assert saved.query == "q=well&mine=on"
    assert list(filters.PARAMETERS) == list(InboxFilter().fields)


@pytest.mark.django_db
def test_what_is_no_filter_is_refused_and_recorded() -> None:
    ngozi = person("ngozi")
    wrong: list[tuple[dict[str, str], str]] = [
        ({"name": ""}, "name_invalid"),
        ({"name": "  \n "}, "name_invalid"),
        ({"name": "x" * 61}, "name_invalid"),
        ({"name": "a\x00b"}, "name_invalid"),
        ({"name": "\ud800"}, "name_invalid"),
        ({"name": "turn\u202eed"}, "name_invalid"),
        ({"query": ""}, "query_invalid"),
        ({"query": "cursor=abc"}, "query_invalid"),
        ({"query": "q=%00abc"}, "query_invalid"),
        ({"query": "q=" + "x" * 600}, "query_invalid"),
        ({"query": "&".join(f"a{n}=1" for n in range(3000))}, "query_invalid"),
    ]
    for changes, code in wrong:
        assert refused(save, ngozi, **changes) == code, changes
    assert not SavedFilter.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_limit_holds_when_many_are_saved_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "MOST_FILTERS", 3)
    ngozi = person("ngozi")

    def attempt(number: int) -> str:
        try:
            save(ngozi, name=f"filter {number % 5}")
        except DomainError as error:
            return error.code
        finally:
            connections.close_all()
        return "saved"

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(attempt, range(10)))
    assert set(codes) <= {"saved", "too_many_filters"}
    assert SavedFilter.objects.count() == 3


@pytest.mark.django_db
def test_a_filter_is_deleted_by_its_owner_once_and_by_nobody_else() -> None:
    ngozi, rafael = person("ngozi"), person("rafael")
    own = save(ngozi)
    shared = save(ngozi, name="Shared", shared=True)
    for one in (own, shared):
        assert refused(filters.filter_delete, filter_id=one.pk, by=rafael, via="page") == (
            "not_found"
        )
    filters.filter_delete(filter_id=own.pk, by=ngozi, via="page")
    assert refused(filters.filter_delete, filter_id=own.pk, by=ngozi, via="page") == "not_found"
    rafael.user_permissions.add(Permission.objects.get(codename="delete_savedfilter"))
    rafael = User.objects.get(pk=rafael.pk)
    filters.filter_delete(filter_id=shared.pk, by=rafael, via="page")
    assert not SavedFilter.objects.exists()


@pytest.mark.django_db
def test_shared_ones_are_offered_to_all_while_their_owner_is_here() -> None:
    ngozi, rafael = person("ngozi"), person("rafael")
    save(ngozi, name="Own")
    save(ngozi, name="Shared", shared=True)
    assert [one.name for one in SavedFilter.objects.offered_to(rafael)] == ["Shared"]
    assert [one.name for one in SavedFilter.objects.offered_to(ngozi)] == ["Own", "Shared"]
    User.objects.filter(pk=ngozi.pk).update(is_active=False)
    assert not SavedFilter.objects.offered_to(rafael)


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
