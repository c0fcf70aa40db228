"""Versioned rows and locks by name: one active version, also of many that are put at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from django.db import connection, transaction

from apps.approvals.models import ApprovalRule
from apps.common.errors import Conflict
from apps.common.locks import transaction_lock
from apps.common.versions import Changed, lock_versions, put_version, switch_off, with_changes

KEY = {"kind": "intervention", "scope": "versions"}


def put(band: str, **unversioned: Any) -> tuple[ApprovalRule, bool]:
    values = {"currency": "NGN", "bands": [band]}
    return put_version(ApprovalRule.objects.all(), KEY, values, **unversioned)


@pytest.mark.django_db
def test_a_change_is_a_new_version_and_the_same_again_is_none() -> None:
    first, new = put("a")
    assert (first.version, new) == (1, True)
    assert put("a") == (first, False)
    second, _ = put("b")
    first.refresh_from_db()
    assert (second.version, second.active, first.active) == (2, True, False)
    # What was before is put again as a version of its own.
    assert put("a")[0].version == 3


@pytest.mark.django_db
def test_switched_off_the_same_values_are_a_new_version() -> None:
    first, _ = put("a")
    lock_versions(ApprovalRule.objects.all(), KEY)
    switch_off(ApprovalRule.objects.all(), KEY)
    again, new = put("a")
    assert (again.version, new, again.pk == first.pk) == (2, True, False)


@pytest.mark.django_db
def test_the_check_sees_the_newest_version_and_may_refuse() -> None:
    first, _ = put("a")
    seen: list[Any] = []

    def refuse(newest: Any) -> None:
        seen.append(newest)
        raise Conflict("No.")

    with pytest.raises(Conflict):
        put_version(ApprovalRule.objects.all(), KEY, {"currency": "NGN", "bands": []}, check=refuse)
    assert seen == [first]
    assert ApprovalRule.objects.filter(**KEY).count() == 1


@pytest.mark.django_db
def test_each_version_is_told_with_what_it_changed() -> None:
    rows = [put(band)[0] for band in "abc"]
    names = {"currency": "money", "bands": "who signs"}
    told = with_changes([rows[2], rows[1]], "kind", "scope", names=names)
    # The last of a page is compared with one that is not on it.
    assert told == [
        (rows[2], [Changed("who signs", ["b"], ["c"])]),
        (rows[1], [Changed("who signs", ["a"], ["b"])]),
    ]
    assert with_changes([rows[0]], "kind", "scope", names=names) == [(rows[0], [])]
    assert with_changes([], "kind", "scope", names=names) == []


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_is_active_and_numbers_have_no_gap() -> None:
    def once(n: int) -> int:
        with closing(connection), transaction.atomic():
            return put(f"band {n}")[0].version

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(once, range(6))) == [1, 2, 3, 4, 5, 6]
    assert ApprovalRule.objects.filter(**KEY, active=True).count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["", "a\x00b", "\ud800", "x" * 10_000, "%s; --"])
def test_any_text_is_the_name_of_a_lock(name: str) -> None:
    with transaction.atomic():
        transaction_lock(name)
        transaction_lock(name)
