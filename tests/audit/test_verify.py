"""verifyaudit finds what somebody with the database's password did."""

import hashlib
import io
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.audit.anchors import Anchor, anchors_read
from apps.audit.models import AuditEntry, AuditSeal
from apps.audit.services import body_erase, chain_verify, pending_seal
from apps.common.errors import Conflict, Invalid, NotFound
from tests.audit.conftest import TESTER, record, sealed, tampering

pytestmark = pytest.mark.django_db


def _verify(**options: Any) -> tuple[int, str]:
    """Exit status and output of the command."""
    out = io.StringIO()
    try:
        call_command("verifyaudit", stdout=out, no_color=True, **options)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    return 0, out.getvalue()


def _problems() -> str:
    return " | ".join(chain_verify().problems)


def test_an_empty_trail_is_whole() -> None:
    assert chain_verify().whole
    assert _verify()[0] == 0


def test_a_whole_chain_says_so_with_its_head_and_what_is_unsealed() -> None:
    sealed(3)
    record(4)
    head = AuditSeal.objects.get(sequence=3)
    status, text = _verify()
    assert status == 0
    assert head.hash in text
    assert "sealed entries   3 " in text
    assert "not yet sealed   1, the oldest for" in text


def test_the_age_of_the_oldest_unsealed_entry_is_reported_and_warned_about() -> None:
    entry = record()
    with tampering() as cursor:
        cursor.execute(
            "UPDATE audit_auditentry SET at = at - %s WHERE id = %s",
            [timedelta(hours=1), entry.pk],
        )
    assert 3599 < chain_verify().oldest_unsealed_seconds < 3700
    assert "does the relay run?" in _verify()[1]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor_id", "user:9"),
        ("actor_label", "Somebody Else"),
        ("via", "page"),
        ("action", "other.action"),
        ("outcome", "refused"),
        ("code", "x"),
        ("subject_type", "other"),
        ("subject_id", "77"),
        ("correlation_id", "other"),
        ("digest", "0" * 64),
        ("at", "2020-01-01T00:00:00Z"),
    ],
)
def test_a_changed_entry_is_found(column: str, value: str) -> None:
    victim = sealed(3)[1]
    with tampering() as cursor:
        cursor.execute(
            f"UPDATE audit_auditentry SET {column} = %s WHERE id = %s",
            [value, victim.pk],
        )
    assert f"sequence 2 (entry {victim.pk}): the entry or its seal was changed" in _problems()


def test_a_changed_body_is_found() -> None:
    victim = sealed(3)[1]
    with tampering() as cursor:
        cursor.execute(
            "UPDATE audit_auditentry SET body = jsonb_set(body, '{amount}', '\"99.00\"')"
            " WHERE id = %s",
            [victim.pk],
        )
    assert _problems() == f"sequence 2 (entry {victim.pk}): the body was changed"


def test_a_body_and_salt_exchanged_together_are_found() -> None:
    victim = sealed(2)[0]
    with tampering() as cursor:
        cursor.execute(
            "UPDATE audit_auditentry SET body = '{}', salt = repeat('a', 64) WHERE id = %s",
            [victim.pk],
        )
    assert "the body was changed" in _problems()


def test_a_removed_entry_is_found() -> None:
    victim = sealed(3)[1]
    with tampering() as cursor:
        cursor.execute("DELETE FROM audit_auditentry WHERE id = %s", [victim.pk])
    assert _problems() == f"sequence 2 (entry {victim.pk}): the entry was removed"
    with tampering() as cursor:  # the test's own end checks all foreign keys
        cursor.execute("DELETE FROM audit_auditseal WHERE sequence = 2")


def test_an_entry_removed_before_it_was_sealed_is_found() -> None:
    victim = record()
    with tampering() as cursor:
        cursor.execute("DELETE FROM audit_auditentry WHERE id = %s", [victim.pk])
    assert _problems() == f"entry {victim.pk}: removed before it was sealed"


def test_a_removed_seal_is_found_even_after_the_entry_was_sealed_anew() -> None:
    victim = sealed(4)[1]
    with tampering() as cursor:
        cursor.execute("DELETE FROM audit_auditseal WHERE sequence = 2")
        cursor.execute("INSERT INTO audit_auditpending (entry_id) VALUES (%s)", [victim.pk])
    assert "sequence 2 to 2: removed, the chain has a hole" in _problems()
    pending_seal()
    assert "sequence 2 to 2: removed, the chain has a hole" in _problems()


def test_an_entry_removed_with_its_seal_is_found() -> None:
    victim = sealed(3)[0]
    with tampering() as cursor:
        cursor.execute("DELETE FROM audit_auditseal WHERE sequence = 1")
        cursor.execute("DELETE FROM audit_auditentry WHERE id = %s", [victim.pk])
    assert "sequence 1 to 1: removed" in _problems()


def test_two_entries_that_changed_places_are_found() -> None:
    first, second, *_ = sealed(3)
    with tampering() as cursor:
        cursor.execute("UPDATE audit_auditseal SET entry_id = -1 WHERE sequence = 1")
        cursor.execute("UPDATE audit_auditseal SET entry_id = %s WHERE sequence = 2", [first.pk])
        cursor.execute("UPDATE audit_auditseal SET entry_id = %s WHERE sequence = 1", [second.pk])
    report = chain_verify()
    assert report.problem_count == 2


def test_seals_that_changed_their_order_are_found() -> None:
    sealed(3)
    with tampering() as cursor:
        for old, new in ((1, -1), (2, 1), (-1, 2)):
            cursor.execute(
                "UPDATE audit_auditseal SET sequence = %s WHERE sequence = %s", [new, old]
            )
    assert "does not continue the seal before it" in _problems()


def test_a_time_of_sealing_that_was_changed_is_found() -> None:
    sealed(2)
    with tampering() as cursor:
        cursor.execute(
            "UPDATE audit_auditseal SET sealed_at = sealed_at - interval '1 day' WHERE sequence = 1"
        )
    assert "sequence 1" in _problems()


def test_a_seal_made_up_to_fit_its_entry_breaks_the_link() -> None:
    victim = sealed(3)[1]
    with tampering() as cursor:
        cursor.execute(
            "UPDATE audit_auditseal SET hash = repeat('b', 64) WHERE entry_id = %s", [victim.pk]
        )
    text = _problems()
    assert "sequence 2" in text
    assert "sequence 3" in text


def test_a_broken_chain_exits_with_1_and_names_the_place() -> None:
    victim = sealed(2)[0]
    with tampering() as cursor:
        cursor.execute("UPDATE audit_auditentry SET code = 'x' WHERE id = %s", [victim.pk])
    status, text = _verify()
    assert status == 1
    assert f"(entry {victim.pk})" in text
    assert "BROKEN: 1 problem(s)" in text


def test_only_the_first_problems_are_listed_and_all_are_counted() -> None:
    sealed(60)
    with tampering() as cursor:
        cursor.execute("UPDATE audit_auditentry SET code = 'x'")
    report = chain_verify()
    assert (report.problem_count, len(report.problems)) == (60, 50)
    assert "and 10 more" in _verify()[1]


# --- erasure ------------------------------------------------------------------------------------
def test_an_erased_body_is_gone_and_the_chain_still_holds() -> None:
    victim = sealed(3)[1]
    erased = body_erase(entry_id=victim.pk, by=TESTER, reason="asked for by the person")
    assert (erased.body, erased.salt) == (None, None)
    report = chain_verify()  # the record of the erasure is not sealed yet
    assert report.whole, report.problems
    pending_seal()
    report = chain_verify()
    assert report.whole, report.problems
    assert report.erased == 1
    note = AuditEntry.objects.get(action="audit.body_erase")
    assert (note.subject_id, note.body) == (str(victim.pk), {"reason": "asked for by the person"})


def test_a_body_erased_without_a_record_is_found() -> None:
    victim = sealed(2)[0]
    with tampering() as cursor:
        cursor.execute(
            "UPDATE audit_auditentry SET body = NULL, salt = NULL, erased_at = now() WHERE id = %s",
            [victim.pk],
        )
    assert _problems() == f"entry {victim.pk}: its body is erased, and no record says by whom"


def test_an_erasure_that_is_refused_says_why_and_is_recorded() -> None:
    victim = sealed(1)[0]
    with pytest.raises(Invalid, match="why"):
        body_erase(entry_id=victim.pk, by=TESTER, reason="  ")
    with pytest.raises(NotFound):
        body_erase(entry_id=10**12, by=TESTER, reason="r")
    body_erase(entry_id=victim.pk, by=TESTER, reason="r")
    with pytest.raises(Conflict):
        body_erase(entry_id=victim.pk, by=TESTER, reason="r")
    codes = AuditEntry.objects.filter(outcome="refused").order_by("id").values_list("code")
    assert [code for (code,) in codes] == ["reason_required", "not_found", "already_erased"]


# --- anchors ------------------------------------------------------------------------------------
def _anchored_chain(file: Path, settings: Any, capture: Any) -> None:
    settings.AUDIT_ANCHOR_FILE = str(file)
    with capture(execute=True):
        sealed(4)


def test_the_head_is_anchored_in_the_file_and_in_the_log(
    tmp_path: Path,
    settings: Any,
    django_capture_on_commit_callbacks: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "deep" / "anchors.jsonl"
    caplog.set_level("INFO")
    _anchored_chain(file, settings, django_capture_on_commit_callbacks)
    head = AuditSeal.objects.get(sequence=4)
    line = json.loads(file.read_text())
    assert (line["sequence"], line["hash"]) == (4, head.hash)
    assert "audit_anchor" in caplog.text
    status, text = _verify(anchor=str(file))
    assert status == 0
    assert "anchors compared 1" in text


def test_anchors_are_written_once_in_a_while_and_once_per_head(
    tmp_path: Path, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    file = tmp_path / "anchors.jsonl"
    _anchored_chain(file, settings, django_capture_on_commit_callbacks)
    with django_capture_on_commit_callbacks(execute=True):
        sealed(2)
    assert len(file.read_text().splitlines()) == 1
    settings.AUDIT_ANCHOR_SECONDS = 0
    with django_capture_on_commit_callbacks(execute=True):
        pending_seal()  # nothing new to seal: the burst's last head is anchored now
        pending_seal()
    assert [json.loads(line)["sequence"] for line in file.read_text().splitlines()] == [4, 6]


def test_a_tail_that_was_cut_off_shows_against_the_anchors(
    tmp_path: Path, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    file = tmp_path / "anchors.jsonl"
    _anchored_chain(file, settings, django_capture_on_commit_callbacks)
    with tampering() as cursor:
        cursor.execute("DELETE FROM audit_auditentry WHERE subject_id IN ('3', '4')")
        cursor.execute("DELETE FROM audit_auditseal WHERE sequence > 2")
    assert _verify()[0] == 0  # the chain alone cannot know
    status, text = _verify(anchor=str(file))
    assert status == 1
    assert "sequence 4: anchored (line 1) and not in the chain: cut off" in text


def test_a_chain_computed_anew_shows_against_the_anchors(
    tmp_path: Path, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    file = tmp_path / "anchors.jsonl"
    _anchored_chain(file, settings, django_capture_on_commit_callbacks)
    with tampering() as cursor:
        cursor.execute("UPDATE audit_auditentry SET actor_label = 'Nobody'")
        cursor.execute("DELETE FROM audit_auditseal")
        cursor.execute("INSERT INTO audit_auditpending SELECT id FROM audit_auditentry")
    pending_seal()
    assert _verify()[0] == 0
    status, text = _verify(anchor=str(file))
    assert status == 1
    assert "the anchor in line 1 has another hash" in text


def test_a_torn_line_is_a_warning_and_the_next_anchor_starts_a_line_of_its_own(
    tmp_path: Path, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    file = tmp_path / "anchors.jsonl"
    file.write_text('{"sequence": 1, "ha')
    _anchored_chain(file, settings, django_capture_on_commit_callbacks)
    anchors, warnings = anchors_read(file)
    assert [anchor.sequence for anchor in anchors] == [4]
    assert len(warnings) == 1
    status, text = _verify(anchor=str(file))
    assert status == 0
    assert "warning: line 1" in text


def test_an_anchor_file_that_says_nothing_is_an_error_of_its_own(tmp_path: Path) -> None:
    assert _verify(anchor=str(tmp_path / "absent"))[0] == 2
    empty = tmp_path / "empty"
    empty.touch()
    assert _verify(anchor=str(empty))[0] == 2


def test_a_full_disk_does_not_stop_the_sealer(
    tmp_path: Path,
    settings: Any,
    django_capture_on_commit_callbacks: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _anchored_chain(tmp_path, settings, django_capture_on_commit_callbacks)  # a folder, no file
    assert AuditSeal.objects.count() == 4
    assert "audit_anchor_not_written" in caplog.text


def test_a_missing_anchor_in_the_middle_is_called_removed() -> None:
    sealed(3)
    with tampering() as cursor:
        cursor.execute("DELETE FROM audit_auditseal WHERE sequence = 2")
    report = chain_verify(anchors=[Anchor(2, "x", 1)])
    assert "sequence 2: anchored (line 1) and not in the chain: removed" in report.problems


# --- the definition, as a third party reads it --------------------------------------------------
def _third_party_hash(sequence: int, previous: str, sealed_at: str, entry: dict[str, Any]) -> str:
    """Written from docs/contracts/audit.md, with nothing of ours."""
    document = {"sequence": sequence, "previous": previous, "sealed_at": sealed_at, "entry": entry}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


_EXPORT = """
    SELECT e.id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS at,
        e.actor_id, e.actor_label, e.via, e.action, e.outcome, e.code, e.subject_type,
        e.subject_id, e.correlation_id, e.digest
    FROM audit_auditentry e ORDER BY e.id
"""


def _exported() -> Iterator[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(_EXPORT)
        names = [column.name for column in cursor.description]
        for row in cursor.fetchall():
            yield dict(zip(names, row, strict=True))


def test_a_third_party_gets_the_same_hashes_from_the_documented_definition() -> None:
    record(1, by=None, body={"é": "ü", "z": [1, None, True]})
    record(2)
    pending_seal()
    seals = AuditSeal.objects.order_by("sequence").select_related("entry")
    for seal, exported in zip(seals, _exported(), strict=True):
        sealed_at = seal.sealed_at.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
        expected = _third_party_hash(seal.sequence, seal.previous, sealed_at, exported)
        assert seal.hash == expected
        text = json.dumps(
            seal.entry.body, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        digest = hashlib.sha256(f"{seal.entry.salt}{text}".encode()).hexdigest()
        assert seal.entry.digest == digest


def test_a_hundred_thousand_entries_are_verified_within_ten_seconds() -> None:
    count = 100_000
    template = record()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO audit_auditentry (at, actor_id, actor_label, via, action, outcome, code,
                subject_type, subject_id, correlation_id, salt, body, digest)
            SELECT at, actor_id, actor_label, via, action, outcome, code,
                subject_type, subject_id, correlation_id, salt, body, digest
            FROM audit_auditentry, generate_series(2, %s) WHERE id = %s
            """,
            [count, template.pk],
        )
        moment, previous = "2026-01-31T09:30:00.000000+00:00", "0" * 64
        exported = list(_exported())
        columns = "(sequence, entry_id, previous, hash, sealed_at)"
        with cursor.copy(f"COPY audit_auditseal {columns} FROM STDIN") as copy:
            for sequence, entry in enumerate(exported, start=1):
                value = _third_party_hash(sequence, previous, moment, entry)
                copy.write_row((sequence, entry["id"], previous, value, moment))
                previous = value
        cursor.execute("DELETE FROM audit_auditpending")
        # As autovacuum would have done meanwhile: without figures the join's plan is a guess.
        cursor.execute("ANALYZE audit_auditentry, audit_auditseal")
    seen: list[int] = []
    began = time.process_time()  # the neighbours on the machine are not measured
    report = chain_verify(progress=seen.append)
    seconds = time.process_time() - began
    assert report.whole, report.problems
    assert report.entries == count
    assert seen[-1] == count
    assert seconds < 10
