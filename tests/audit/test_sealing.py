"""The sealer: one chain, whatever happens at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from apps.audit.chain import GENESIS
from apps.audit.models import AuditEntry, AuditPending, AuditSeal
from apps.audit.services import SEALER_LOCK, chain_verify, pending_seal
from tests.audit.conftest import record, tampering

pytestmark = pytest.mark.django_db


def _in_thread(work: Callable[[], object]) -> object:
    """Run with a connection of its own, returned to the pool at the end."""

    def closing() -> object:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(closing).result(timeout=30)


def test_entries_are_sealed_in_the_order_of_their_ids_each_continuing_the_last() -> None:
    entries = [record(number) for number in range(3)]
    assert pending_seal() == 3
    seals = list(AuditSeal.objects.order_by("sequence"))
    assert [seal.entry_id for seal in seals] == [entry.pk for entry in entries]
    assert [seal.sequence for seal in seals] == [1, 2, 3]
    assert [seal.previous for seal in seals] == [GENESIS, seals[0].hash, seals[1].hash]
    assert not AuditPending.objects.exists()


def test_sealing_again_does_nothing() -> None:
    record()
    assert pending_seal() == 1
    assert pending_seal() == 0
    assert AuditSeal.objects.count() == 1


def test_a_batch_is_limited_and_the_next_one_goes_on() -> None:
    for number in range(5):
        record(number)
    assert [pending_seal(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert chain_verify().whole


def test_an_entry_queued_twice_is_sealed_once() -> None:
    entry = record()
    pending_seal()
    with tampering() as cursor:
        cursor.execute("INSERT INTO audit_auditpending (entry_id) VALUES (%s)", [entry.pk])
    assert pending_seal() == 0
    assert not AuditPending.objects.exists()


def test_entries_removed_by_force_do_not_stop_the_sealer() -> None:
    gone = [record(number).pk for number in range(3)]
    kept = record(9)
    with tampering() as cursor:
        cursor.execute("DELETE FROM audit_auditentry WHERE id = ANY(%s)", [gone])
    assert pending_seal(limit=2) == 1
    assert AuditSeal.objects.get().entry_id == kept.pk


@pytest.mark.django_db(transaction=True)
def test_an_entry_that_commits_late_is_sealed_later_though_its_id_is_lower() -> None:
    written, go_on = threading.Event(), threading.Event()

    def slow() -> int:
        with transaction.atomic():
            entry = record(1)
            written.set()
            assert go_on.wait(20)
        return entry.pk

    with ThreadPoolExecutor(1) as pool:

        def closing() -> int:
            try:
                return slow()
            finally:
                connection.close()

        late = pool.submit(closing)
        assert written.wait(20)
        quick = record(2).pk
        assert pending_seal() == 1
        go_on.set()
        late_id = late.result(timeout=20)
    assert late_id < quick
    assert pending_seal() == 1
    order = list(AuditSeal.objects.order_by("sequence").values_list("entry_id", flat=True))
    assert order == [quick, late_id]
    assert chain_verify().whole


@pytest.mark.django_db(transaction=True)
def test_a_second_sealer_leaves_the_work_to_the_first() -> None:
    record()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEALER_LOCK])
        assert _in_thread(pending_seal) == 0
    assert pending_seal() == 1


@pytest.mark.django_db(transaction=True)
def test_a_sealer_that_dies_in_the_middle_leaves_no_trace() -> None:
    record()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        pending_seal()
        raise ZeroDivisionError
    assert not AuditSeal.objects.exists()
    assert pending_seal() == 1


@pytest.mark.django_db(transaction=True)
def test_many_writers_and_two_sealers_make_one_whole_chain() -> None:
    writers, each = 6, 40
    done = threading.Event()

    def write(writer: int) -> None:
        try:
            for number in range(each):
                with transaction.atomic():
                    record(writer * each + number)
                    if number % 10 == 9:
                        transaction.set_rollback(True)
        finally:
            connection.close()

    def seal() -> int:
        total = 0
        try:
            while not done.is_set():
                total += pending_seal(limit=25)
                done.wait(0.005)
            return total
        finally:
            connection.close()

    with ThreadPoolExecutor(writers + 2) as pool:
        sealers = [pool.submit(seal) for _ in range(2)]
        for job in [pool.submit(write, writer) for writer in range(writers)]:
            job.result(timeout=60)
        done.set()
        counted = sum(sealer.result(timeout=60) for sealer in sealers)
    while batch := pending_seal():
        counted += batch
    expected = writers * each * 9 // 10
    assert counted == expected == AuditSeal.objects.count() == AuditEntry.objects.count()
    report = chain_verify()
    assert report.whole, report.problems
    assert (report.entries, report.unsealed) == (expected, 0)
