"""The tests' own rule: a database is put back when nobody writes to it any more."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import TransactionTestCase

from tests import support, threads


@pytest.fixture
def leave() -> Callable[[Callable[[], None]], "Future[None]"]:
    """`leave(fn)`: in a pool that is shut down without waiting for it."""

    def begin(fn: Callable[[], None]) -> "Future[None]":
        pool = ThreadPoolExecutor(1)
        future = pool.submit(fn)
        pool.shutdown(wait=False)
        return future

    return begin


def test_a_thread_between_two_transactions_is_awaited_before_the_database_is_put_back(
    transactional_db: None, leave: Callable[[Callable[[], None]], "Future[None]"]
) -> None:
    first, go_on = threading.Event(), threading.Event()

    def writes() -> None:
        try:
            Group.objects.create(name="of the first transaction")
            first.set()
            go_on.wait(30)
            Group.objects.create(name="of the second")
        finally:
            connection.close()

    writing = leave(writes)
    assert first.wait(30)
    threading.Timer(0.2, go_on.set).start()
    TransactionTestCase._fixture_teardown(None)  # type: ignore[arg-type]
    assert writing.done()
    assert writing.exception() is None
    assert not Group.objects.filter(name__startswith="of the").exists()


def test_one_that_does_not_end_is_named_with_what_it_does(
    monkeypatch: pytest.MonkeyPatch, leave: Callable[[Callable[[], None]], "Future[None]"]
) -> None:
    monkeypatch.setattr(support, "patience", lambda: 1.0)
    let_go = threading.Event()

    def stubborn() -> None:
        let_go.wait(60)

    try:
        leave(stubborn)
        with pytest.raises(AssertionError, match=r"outlive their test(.|\n)*let_go\.wait\(60\)"):
            threads.ended(0.05)
    finally:
        let_go.set()
    threads.ended()


def test_a_pool_that_waits_for_work_is_not_at_work() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: None).result()
        threads.ended(10)
        assert threads.at_work() == []
