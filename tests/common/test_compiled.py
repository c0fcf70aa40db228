"""Queries that are compiled once: they find what the same queries find that are compiled anew."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import DataError, close_old_connections, connection, transaction
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.common.compiled import Asked, Compiled, answers, any_of, shape_of


@pytest.fixture
def people(db: None) -> list[User]:
    senior = User.objects.create(username="ana", first_name="Ana", email="ana@desk.example")
    others = [
        User.objects.create(username="ben", first_name="100%_sure", senior=senior),
        User.objects.create(username="cid", first_name="C\\d", senior=senior),
    ]
    return [senior, *others]


def names(condition: Q) -> list[str]:
    """Who is found with the condition's values in the slots of its shape."""
    shape, values = shape_of(condition)
    query = Compiled(
        lambda **slots: User.objects.filter(shape.condition(list(slots.values()))).order_by("pk")
    )
    return [row.username for row in query.rows(**{f"v{n}": one for n, one in enumerate(values)})]


def test_it_finds_by_other_values_and_makes_no_sql_again(people: list[User]) -> None:
    compiled = []

    def build(name: object) -> object:
        compiled.append(name)
        return User.objects.select_related("senior").filter(username=name)

    query = Compiled(build)  # type: ignore[arg-type]
    assert query.rows(name="nobody") == []
    with CaptureQueriesContext(connection) as queries:
        (ben,) = query.rows(name="ben")
        assert ben.senior == people[0]
        assert ben.senior.first_name == "Ana"
    assert len(queries) == len(compiled) == 1
    assert (query.count(name="cid"), query.count(name="nobody")) == (1, 0)
    assert query.rows(name="ben' OR 1=1 --") == []


def test_rows_are_those_of_the_queryset_with_conversions_and_prefetched_rows(
    people: list[User],
) -> None:
    people[1].groups.add(Group.objects.create(name="some"))
    query = Compiled(
        lambda since: (
            User.objects.filter(date_joined__gt=since)
            .prefetch_related("groups")
            .order_by("username")
        )
    )
    hour = timedelta(hours=1)
    found = query.rows(since=timezone.now() - hour)
    assert found == people
    assert [[group.name for group in one.groups.all()] for one in found] == [[], ["some"], []]
    assert query.rows(since=timezone.now() + hour) == []
    written = AuditEntry.objects.create(
        action="a.b", subject_type="t", subject_id="1", body={"some": [1]}, salt="s", digest="d"
    )
    entries = Compiled(lambda pk: AuditEntry.objects.filter(pk=pk))
    assert [one.body for one in entries.rows(pk=written.pk)] == [{"some": [1]}]


def test_many_queries_are_answered_each_with_its_own_rows(people: list[User]) -> None:
    by_name = Compiled(lambda name: User.objects.filter(username=name))
    by_senior = Compiled(lambda senior: User.objects.filter(senior_id=senior).order_by("username"))
    asked = [by_name.asked(name="ana"), by_senior.asked(senior=people[0].pk)]
    asked += [by_name.asked(name="nobody"), by_name.asked(name="cid")]
    with CaptureQueriesContext(connection) as queries:
        found = answers([one for one in asked if one])
    assert found == [[people[0]], people[1:], [], [people[2]]]
    assert len(queries) == len(asked)
    assert Compiled(lambda name: User.objects.none()).asked(name="ana") is None


def test_an_error_of_one_query_is_djangos_and_the_connection_goes_on(people: list[User]) -> None:
    def no_rows(rows: list[tuple[object, ...]]) -> list[object]:
        return []

    whole = Asked("SELECT 1", (), no_rows)
    with pytest.raises(DataError), transaction.atomic():
        answers([whole, Asked("SELECT 1 / 0", (), no_rows), whole])
    assert answers([whole, whole]) == [[], []]
    assert User.objects.filter(username="ana").exists()


def test_one_slot_takes_a_list_of_any_length(people: list[User]) -> None:
    query = Compiled(
        lambda names, ids: User.objects.filter(
            any_of("username", names) | ~any_of("pk", ids), email=""
        ).order_by("pk")
    )
    every = [one.pk for one in people]
    assert query.rows(names=[], ids=every) == []
    assert query.rows(names=["ana", "cid", "nobody"], ids=every) == [people[2]]
    assert query.rows(names=["cid"], ids=[]) == people[1:]
    assert query.count(names=["ben", "cid"], ids=every) == 2


def test_what_can_match_no_row_asks_nothing(people: list[User]) -> None:
    nothing = Compiled(lambda name: User.objects.filter(pk__in=[], username=name))
    with CaptureQueriesContext(connection) as queries:
        assert (nothing.rows(name="ben"), nothing.count(name="ben")) == ([], 0)
    assert len(queries) == 0


@pytest.mark.parametrize(
    "condition",
    [
        Q(username="ben"),
        ~Q(username="ben"),
        Q(username="ben") | Q(first_name="Ana"),
        Q(username="ben") & ~(Q(first_name="Ana") | Q(first_name="100%_sure")),
        Q(senior=None),
        Q(senior__isnull=False, is_active=True),
        Q(username__in=["ana", "cid"]),
        Q(first_name__icontains="0%_S"),
        Q(first_name__icontains="_"),
        Q(first_name__icontains="c\\D"),
        Q(first_name__istartswith="100%"),
        Q(first_name__startswith="C\\"),
        Q(senior__username__icontains="NA"),
        Q(pk__in=[]) | Q(username="cid"),
        Q(),
    ],
)
def test_a_shape_with_its_values_is_the_condition(people: list[User], condition: Q) -> None:
    expected = User.objects.filter(condition).order_by("pk").values_list("username", flat=True)
    assert names(condition) == list(expected)


def test_conditions_share_a_shape_when_only_their_values_differ() -> None:
    def shape(condition: Q) -> object:
        return shape_of(condition)[0]

    assert shape(Q(username="a")) == shape(Q(username="b"))
    different = [
        Q(username="a"),
        ~Q(username="a"),
        Q(username=None),
        Q(first_name="a"),
        Q(username="a", pk=1),
        Q(username="a") | Q(pk=1),
        Q(is_active=True),
        Q(is_active=False),
        Q(pk__in=[1]),
        Q(pk__in=[2]),
        Q(),
    ]
    assert len({shape(one) for one in different}) == len(different)


@pytest.mark.django_db(transaction=True)
def test_threads_use_one_at_once_each_with_its_own_connection() -> None:
    for number in range(4):
        User.objects.create(username=f"user{number}")
    query = Compiled(lambda name: User.objects.filter(username=name))

    def ask(number: int) -> list[str]:
        try:
            name = f"user{number % 4}"
            return [row.username for row in query.rows(name=name)]
        finally:
            close_old_connections()
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(40))) == [[f"user{n % 4}"] for n in range(40)]
