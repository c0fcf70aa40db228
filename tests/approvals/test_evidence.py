"""Evidence: kept once, by who may see the request, while it is open; erased with a trail."""

import threading
import zipfile
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.test import override_settings
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import services
from apps.approvals.models import ApprovalRequest, Evidence, EvidenceContent
from apps.approvals.services import evidence as evidence_services
from apps.approvals.services.evidence import evidence_body
from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from tests.approvals.world import auditor, decide, opened, person, rule
from tests.common.test_uploads import PDF, PNG, damaged, scanner

pytestmark = pytest.mark.django_db


@pytest.fixture
def requester(db: None) -> User:
    rule()
    return person("requester")


@pytest.fixture
def reviewer(requester: User) -> User:
    return person("reviewer", "first", first_name="Ngozi", last_name="Okafor")


@pytest.fixture
def request_(requester: User) -> ApprovalRequest:
    return opened(requester)


def add(request: ApprovalRequest, by: User, **changes: Any) -> Evidence:
    arguments: dict[str, Any] = {
        "request_id": request.pk,
        "by": by,
        "name": "invoice.pdf",
        "body": PDF,
        "note": "",
        "via": "page",
        "as_of": timezone.now(),
        **changes,
    }
    return services.evidence_add(**arguments)


def erase(evidence: Evidence, by: User, **changes: Any) -> Evidence:
    arguments: dict[str, Any] = {
        "request_id": evidence.request_id,
        "evidence_id": evidence.pk,
        "by": by,
        "reason": "It names a patient.",
        "via": "page",
        "as_of": timezone.now(),
        **changes,
    }
    return services.evidence_erase(**arguments)


def refused(code: str, fn: Any, *arguments: Any, **named: Any) -> DomainError:
    """The refusal, which must have that code and stand in the trail."""
    with pytest.raises(DomainError) as caught:
        fn(*arguments, **named)
    assert caught.value.code == code
    assert AuditEntry.objects.filter(outcome="refused").latest("id").code == code
    return caught.value


def keeper() -> User:
    """Somebody who may erase."""
    return person("keeper", is_superuser=True)


def test_a_file_is_kept_with_what_it_is_and_audited(request_, requester):
    kept = add(request_, requester, name="../scan.exe", body=PNG, note="  The invoice. ")
    kept.refresh_from_db()
    assert (kept.name, kept.content_type, kept.size) == ("scan_exe.png", "image/png", len(PNG))
    assert (kept.note, kept.scan, kept.payload_number) == ("The invoice.", "not_scanned", 1)
    assert kept.sha256 == sha256(PNG).hexdigest()
    assert evidence_body(kept) == PNG
    entry = AuditEntry.objects.get(action="approval.evidence_added")
    assert (entry.subject_id, entry.actor_id, entry.via) == (
        str(request_.pk),
        requester.audit_id,
        "page",
    )
    assert entry.body["sha256"] == kept.sha256


def test_the_same_content_twice_is_one_row_and_one_entry(request_, requester, reviewer):
    first = add(request_, requester)
    again = add(request_, reviewer, name="another name.pdf")
    assert again.pk == first.pk
    assert Evidence.objects.count() == EvidenceContent.objects.count() == 1
    assert AuditEntry.objects.filter(action="approval.evidence_added").count() == 1


def test_the_same_content_beside_another_request_is_a_row_of_its_own(request_, requester):
    assert add(opened(requester), requester).pk != add(request_, requester).pk


@pytest.mark.django_db(transaction=True)
def test_the_same_content_at_once_is_one_row(request_, requester):
    found: list[Any] = []

    def bring() -> None:
        with closing(connection):
            found.append(add(request_, requester).pk)

    threads = [threading.Thread(target=bring) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert set(found) == {Evidence.objects.get().pk}
    assert EvidenceContent.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"body": b""}, "empty_file"),
        ({"body": b"<html><script>alert(1)</script>"}, "type_not_allowed"),
        ({"note": "a\x00b"}, "invalid_text"),
        ({"note": "x" * 501}, "note_too_long"),
        ({"note": "\ud800"}, "invalid_text"),
        ({"request_id": "nonsense\x00"}, "not_found"),
    ],
)
def test_hostile_input_is_refused_audited_and_leaves_nothing(request_, requester, changes, code):
    refused(code, add, request_, requester, **changes)
    assert not Evidence.objects.exists()


def test_eleven_megabytes_are_refused(request_, requester):
    error = refused("too_large", add, request_, requester, body=PDF + bytes(11 * 1024 * 1024))
    assert (error.status, error.detail) == (413, "A file may have at most 10 MB.")


def test_another_persons_request_is_not_there_and_nothing_is_scanned(request_):
    with scanner("infected"):
        refused("not_found", add, request_, person("outsider"))


def test_a_settled_or_expired_request_takes_no_file(requester, reviewer):
    settled = opened(requester)
    decide(settled, reviewer)
    refused("request_closed", add, settled, requester)
    expiring = opened(requester, amount="60000.00")
    late = timezone.now() + timedelta(hours=25)
    refused("expired", add, expiring, requester, as_of=late)
    assert not Evidence.objects.exists()


def test_a_decision_that_comes_while_the_file_is_scanned_closes_the_request(
    request_, requester, reviewer, monkeypatch
):
    def slow(body: bytes) -> bool:
        decide(request_, reviewer)
        return True

    monkeypatch.setattr(evidence_services.uploads, "scan", slow)
    refused("request_closed", add, request_, requester)
    assert not Evidence.objects.exists()


def test_a_scanned_file_says_so_and_an_infected_or_unscannable_one_is_not_kept(request_, requester):
    with scanner("infected"):
        refused("scan_refused", add, request_, requester)
    with scanner("unreachable"):
        assert refused("scan_unavailable", add, request_, requester).status == 503
    assert not Evidence.objects.exists()
    with scanner("clean"):
        assert add(request_, requester).scan == "clean"


def test_a_request_has_room_for_so_many_files(request_, requester, monkeypatch):
    monkeypatch.setattr(evidence_services, "MOST_FILES", 2)
    for number in range(2):
        add(request_, requester, body=b"note %d" % number)
    refused("too_many_files", add, request_, requester, body=b"one more")
    assert add(request_, requester, body=b"note 1").name.endswith(".txt")


def test_what_is_here_or_has_no_room_is_not_looked_into(request_, requester, monkeypatch):
    kept = add(request_, requester)
    monkeypatch.setattr(evidence_services.uploads, "type_of", lambda body: pytest.fail("opened"))
    assert add(request_, requester).pk == kept.pk
    monkeypatch.setattr(evidence_services, "MOST_FILES", 1)
    refused("too_many_files", add, request_, requester, body=PNG)


def test_a_damaged_archive_is_refused_and_audited(request_, requester):
    refused("type_not_allowed", add, request_, requester, body=damaged(zipfile.ZIP_DEFLATED))


def test_who_only_reads_adds_nothing(request_):
    refused("permission_denied", add, request_, auditor())
    assert not Evidence.objects.exists()


def test_erasing_takes_the_bytes_and_leaves_digest_name_and_trail(request_, requester):
    kept, eraser = add(request_, requester), keeper()
    erased = erase(kept, eraser, reason=" It names a patient. ")
    assert (erased.erased_by, erased.erased_reason) == (eraser, "It names a patient.")
    assert (erased.sha256, erased.name) == (kept.sha256, "invoice.pdf")
    assert not EvidenceContent.objects.exists()
    with pytest.raises(DomainError) as gone:
        evidence_body(erased)
    assert gone.value.code == "evidence_erased"
    entry = AuditEntry.objects.get(action="approval.evidence_erased")
    assert (entry.body["reason"], entry.body["sha256"]) == ("It names a patient.", kept.sha256)
    # Again: nothing, and what was erased does not come back by another door.
    assert erase(kept, person("second", is_superuser=True)).erased_by == eraser
    assert AuditEntry.objects.filter(action="approval.evidence_erased").count() == 1
    refused("evidence_erased", add, request_, requester)


def test_evidence_of_a_settled_request_can_be_erased(request_, requester, reviewer):
    kept = add(request_, requester)
    decide(request_, reviewer)
    assert erase(kept, keeper()).erased_at is not None


def test_erasing_needs_the_permission_a_reason_and_the_right_request(request_, requester, reviewer):
    kept = add(request_, requester)
    for somebody in (requester, reviewer):
        refused("permission_denied", erase, kept, somebody)
    refused("not_found", erase, kept, person("outsider"))
    boss = keeper()
    refused("reason_required", erase, kept, boss, reason="  ")
    refused("reason_too_long", erase, kept, boss, reason="x" * 501)
    refused("invalid_text", erase, kept, boss, reason="\x00")
    refused("not_found", erase, kept, boss, request_id=opened(requester).pk)
    refused("not_found", erase, kept, boss, evidence_id="nonsense")
    assert EvidenceContent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_who_erase_at_once_leave_one_entry(request_, requester):
    kept, boss = add(request_, requester), keeper()

    def run() -> None:
        with closing(connection):
            erase(kept, boss)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert AuditEntry.objects.filter(action="approval.evidence_erased").count() == 1


def test_rows_cannot_be_changed_or_removed_by_anybody(request_, requester):
    kept = add(request_, requester)
    for change in (
        lambda: Evidence.objects.filter(pk=kept.pk).update(sha256="0" * 64),
        lambda: Evidence.objects.filter(pk=kept.pk).update(name="other.pdf"),
        lambda: EvidenceContent.objects.filter(pk=kept.pk).update(body=b"other"),
        lambda: Evidence.objects.filter(pk=kept.pk)._raw_delete("default"),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_content_that_was_changed_behind_the_back_is_not_served(request_, requester):
    kept = add(request_, requester)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no triggers
        cursor.execute("UPDATE approvals_evidencecontent SET body = 'forged'")
        cursor.execute("SET LOCAL session_replication_role = origin")
    with pytest.raises(DomainError) as caught:
        evidence_body(kept)
    assert caught.value.code == "digest_mismatch"


@override_settings(EVIDENCE_MAX_BYTES=1024)
def test_the_limit_is_a_setting(request_, requester):
    assert settings.EVIDENCE_MAX_BYTES == 1024
    refused("too_large", add, request_, requester, body=b"x" * 1025)
    add(request_, requester, body=b"x" * 1024)
