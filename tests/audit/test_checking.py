"""The verifier that never stops: what it finds by itself, how far it has come."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.audit.anchors import Anchor
from apps.audit.models import AuditCheck, AuditEntry, AuditSeal
from apps.audit.selectors import EntryFilter, chain_state, entries_search, offered
from apps.audit.services import body_erase, chain_check, chain_verify, pending_seal
from apps.common.errors import Invalid
from tests.audit.conftest import TESTER, record, sealed, tampering

pytestmark = pytest.mark.django_db


def _check() -> AuditCheck:
    return AuditCheck.objects.get()


def test_it_follows_the_seals_in_parts_and_says_how_far_it_has_come() -> None:
    sealed(5)
    assert chain_check(new=2) is True
    assert _check().sequence == 2
    assert chain_check(new=2) is True
    assert chain_check(new=2) is False
    check = _check()
    assert (check.sequence, check.problem_count) == (5, 0)
    assert check.hash == AuditSeal.objects.get(sequence=5).hash
    state = chain_state()
    assert (state.sealed, state.verified, state.broken) == (5, 5, False)
    assert not state.check_late


def test_an_empty_trail_is_no_problem() -> None:
    assert chain_check() is False
    assert chain_state().verified == 0
    assert not chain_state().broken


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE audit_auditentry SET code = 'x' WHERE id = %s", "was changed after the sealing"),
        ("UPDATE audit_auditentry SET body = '{}' WHERE id = %s", "the body was changed"),
        (
            "UPDATE audit_auditentry SET body = NULL, salt = NULL, erased_at = now() WHERE id = %s",
            "no record says by whom",
        ),
        ("DELETE FROM audit_auditseal WHERE entry_id = %s", "the chain has a hole"),
    ],
)
def test_what_is_changed_after_it_was_verified_is_found_again(statement: str, told: str) -> None:
    victim = sealed(6)[3]
    chain_check()
    with tampering() as cursor:
        cursor.execute(statement, [victim.pk])
    for _ in range(4):
        chain_check(again=2)
    state = chain_state()
    assert state.broken
    assert told in " ".join(state.problems)
    assert state.broken_since is not None


def test_a_broken_chain_is_told_to_the_log_once_in_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    victim = sealed(3)[1]
    with tampering() as cursor:
        cursor.execute("UPDATE audit_auditentry SET code = 'x' WHERE id = %s", [victim.pk])
    caplog.set_level("ERROR")
    for _ in range(3):
        chain_check()
    assert caplog.text.count("audit_chain_broken") == 1
    since = _check().broken_since
    AuditCheck.objects.update(told_at=timezone.now() - timedelta(hours=1))
    chain_check()
    assert caplog.text.count("audit_chain_broken") == 2
    assert _check().broken_since == since


def test_it_does_not_pass_a_problem_and_goes_on_when_it_is_mended() -> None:
    victim = sealed(3)[1]
    with tampering() as cursor:
        cursor.execute("UPDATE audit_auditentry SET code = 'x' WHERE id = %s", [victim.pk])
    chain_check()
    assert (_check().sequence, chain_state().broken) == (0, True)
    with tampering() as cursor:
        cursor.execute("UPDATE audit_auditentry SET code = '' WHERE id = %s", [victim.pk])
    chain_check()
    assert (_check().sequence, chain_state().broken) == (3, False)


def test_a_tail_that_is_cut_off_behind_it_is_found_without_an_anchor() -> None:
    sealed(4)
    chain_check()
    with tampering() as cursor:
        cursor.execute("DELETE FROM audit_auditentry WHERE subject_id IN ('3', '4')")
        cursor.execute("DELETE FROM audit_auditseal WHERE sequence > 2")
    assert chain_verify().whole  # the chain alone cannot know
    chain_check()
    assert "cut off" in chain_state().problems[0]
    record(9)
    record(10)
    pending_seal()
    chain_check()
    assert "another hash" in chain_state().problems[0]


def test_the_whole_chain_is_walked_through_again_and_again() -> None:
    sealed(5)
    for _ in range(2):
        chain_check(again=2)
    assert chain_state().whole_at is None
    chain_check(again=2)
    first = chain_state().whole_at
    assert first is not None
    for _ in range(3):
        chain_check(again=2)
    later = chain_state().whole_at
    assert later is not None
    assert later > first


def test_an_erasure_that_is_recorded_is_no_problem_even_before_its_seal() -> None:
    victim = sealed(3)[1]
    chain_check()
    body_erase(entry_id=victim.pk, by=TESTER, reason="asked for by the person")
    for _ in range(3):
        chain_check()
    assert not chain_state().broken


def test_what_waits_too_long_for_its_seal_or_the_verifier_is_said() -> None:
    entry = record()
    with tampering() as cursor:
        cursor.execute(
            "UPDATE audit_auditentry SET at = at - interval '1 hour' WHERE id = %s", [entry.pk]
        )
    state = chain_state()
    assert (state.waiting, state.seal_late, state.check_late) == (1, True, True)
    pending_seal()
    chain_check()
    state = chain_state()
    assert (state.waiting, state.seal_late, state.check_late) == (0, False, False)
    late = chain_state(as_of=timezone.now() + timedelta(minutes=10))
    assert late.check_late


# --- at once -------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_the_chain_holds_while_it_is_written_sealed_verified_and_erased_at_once() -> None:
    writers, each = 4, 40
    written, failures = threading.Event(), []

    def write(number: int) -> None:
        for turn in range(each):
            # Commits of different length, so that ids become visible out of order.
            with transaction.atomic():
                entry = record(number * 1000 + turn)
                if turn % 3 == 0:
                    record(number * 1000 + turn, action="thing.more")
            if turn % 10 == 0:
                body_erase(entry_id=entry.pk, by=TESTER, reason="erased while it goes on")

    def seal() -> None:
        while not written.is_set():
            pending_seal(limit=7)
        while pending_seal(limit=50):
            pass

    def verify() -> None:
        while not written.is_set():
            report = chain_verify()
            failures.extend(report.problems)
            chain_check(new=20, again=10)
            failures.extend(chain_state().problems)

    def closing(work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(writers + 3) as pool:
        # Two sealers: the second must not give numbers of its own.
        others = [pool.submit(closing, work) for work in (seal, seal, verify)]
        writing = [pool.submit(closing, lambda n=n: write(n)) for n in range(writers)]
        try:
            for future in writing:
                future.result(timeout=60)
        finally:
            written.set()
        for future in others:
            future.result(timeout=60)
    while pending_seal():
        pass
    while chain_check():
        pass
    head = AuditSeal.objects.order_by("-sequence").first()
    assert head is not None
    report = chain_verify(anchors=[Anchor(head.sequence, head.hash, 1)])
    assert failures == []
    assert report.whole, report.problems
    assert report.entries == AuditEntry.objects.count() >= writers * each
    assert report.erased == writers * each // 10
    assert (report.unsealed, chain_state().verified) == (0, head.sequence)


@pytest.mark.django_db(transaction=True)
def test_two_verifiers_at_once_are_one() -> None:
    sealed(3)
    chain_check()
    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        AuditCheck.objects.select_for_update().get()

        def other() -> bool:
            try:
                return chain_check()
            finally:
                connection.close()

        before = _check().at
        assert pool.submit(other).result(timeout=10) is False
        assert _check().at == before


# --- search --------------------------------------------------------------------------------------
def test_a_search_finds_what_all_its_filters_match() -> None:
    record(1, action="a.one", outcome="refused", code="no")
    record(2, action="a.two", subject_type="other")
    record(2, action="a.two")
    now = timezone.now()

    def found(**fields: object) -> int:
        return entries_search(EntryFilter(**fields)).count()  # type: ignore[arg-type]

    assert found() == 3
    assert found(action="a.two") == 2
    assert found(action="a.two", subject_type="other") == 1
    assert found(subject_id="2") == 2
    assert found(outcome="refused", code="no") == 1
    assert found(actors=("system:tester",)) == 3
    assert found(actors=("user:1",)) == 0
    assert found(since=now - timedelta(hours=1), until=now + timedelta(hours=1)) == 3
    assert found(until=now - timedelta(hours=1)) == 0
    with pytest.raises(Invalid):
        found(action="\0")


def test_what_is_offered_is_what_there_is() -> None:
    for action, code in (("b", "y"), ("a", ""), ("b", "x"), ("c", "x")):
        record(1, action=action, code=code)
    assert offered("action") == ["a", "b", "c"]
    assert offered("code") == ["x", "y"]
    assert offered("subject_type") == ["thing"]
    with pytest.raises(ValueError, match="not offered"):
        offered("actor_label; DROP TABLE x")
