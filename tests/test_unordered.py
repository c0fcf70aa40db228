"""Rows that a query does not sort come in any order in the tests; sorted ones stay sorted."""

import pytest
from django.contrib.auth.models import Group


@pytest.mark.django_db
def test_unsorted_rows_come_in_any_order_and_sorted_ones_do_not() -> None:
    Group.objects.bulk_create(Group(name=f"group {number}") for number in range(10))
    rows = Group.objects.filter(name__startswith="group ")
    # Twenty times the same of ten rows would be one chance in 10 to the power of 124.
    assert len({tuple(rows.values_list("name", flat=True)) for _ in range(20)}) > 1
    assert len({tuple(group.name for group in rows.all()) for _ in range(20)}) > 1
    names = rows.order_by("name").values_list("name", flat=True)
    assert [*names] == sorted(names)
