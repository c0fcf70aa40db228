"""Synchronisations, call by call: found exactly, repaired once, and what is left says why."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, Invalid
from apps.pix.contracts import ChangeKind, EntryStatus, Origin
from apps.pix.contracts.sync import Decision, SyncPhase, SyncStatus
from apps.pix.models import (
    CidEvent,
    Claim,
    Entry,
    EntryChange,
    Participant,
    SyncChunk,
    SyncDifference,
    SyncRun,
)
from apps.pix.services.sync_comparing import sync_compare
from apps.pix.services.sync_deciding import SIGNED
from apps.pix.services.sync_fetching import sync_fetch
from apps.pix.services.sync_overdue import overdue_look
from apps.pix.services.sync_requesting import sync_fail
from tests.directory import SimulatedDirectory
from tests.pix.sync.entries import ISPB, make_entry, new_entry
from tests.pix.sync.runs import (
    active,
    both_sides,
    carried,
    known_there,
    one_call,
    opened,
    some,
    told,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_equal_sides_are_ok_without_a_file(directory: SimulatedDirectory) -> None:
    both_sides(directory, some(40))
    run = carried(opened())
    assert run.status == SyncStatus.OK
    assert [v.before for v in run.verdicts.all()] == [True] * 5
    assert directory.calls("Sync.CreateFile") == 0
    assert run.report["types"][2]["ours"] == 40


def test_what_was_tampered_with_is_found_exactly_and_repaired_once(
    directory: SimulatedDirectory,
) -> None:
    both_sides(directory, some(2_000))
    directory.tamper(changed=30, missing=20, extra=15, key_type="PHONE")
    run = carried(opened())

    assert run.status == SyncStatus.OK
    assert told(run) == {"changed repaired": 30, "extra repaired": 20, "missing repaired": 15}
    assert active() == known_there(directory)
    actions = AuditEntry.objects.filter(subject_type="entry").values_list("action", flat=True)
    assert sorted(actions) == sorted(
        ["entry.updated"] * 30 + ["entry.removed"] * 20 + ["entry.created"] * 15
    )
    report = run.report["types"][2]
    assert (report["before"], report["after"], report["theirs"]) == (False, True, 1995)
    assert report["kinds"] == {"changed": 30, "extra": 20, "missing": 15}
    # Nothing of the file is kept.
    assert not SyncChunk.objects.exists()
    # And the next one finds nothing.
    again = carried(opened())
    assert (again.status, told(again)) == (SyncStatus.OK, {})


def test_plain_sql_beside_the_services_is_found_too(directory: SimulatedDirectory) -> None:
    entries = both_sides(directory, some(300))
    Entry.objects.filter(pk=entries[5].pk).update(name="Somebody Else")
    Entry.objects.filter(pk__in=[one.pk for one in entries[10:13]]).delete()
    make_entry(9_999)
    run = carried(opened())
    assert run.status == SyncStatus.OK
    assert told(run) == {"changed repaired": 1, "missing repaired": 3, "extra repaired": 1}
    assert active() == known_there(directory)


def test_the_log_since_the_last_ok_is_enough_where_it_tells_all(
    directory: SimulatedDirectory,
) -> None:
    entries = both_sides(directory, some(50))
    assert carried(opened()).status == SyncStatus.OK
    # The same key three times: gone, back, gone. The last event counts.
    client, gone = directory.client, entries[0]
    client.entry_delete(participant=ISPB, key=gone.key, reason="USER_REQUESTED")
    for place in range(3):
        _create_there(directory, new_entry(800 + place))
    _create_there(directory, back := new_entry(900))
    client.entry_delete(participant=ISPB, key=back.key, reason="USER_REQUESTED")

    run = carried(opened())
    assert run.status == SyncStatus.OK
    assert told(run) == {"missing repaired": 3, "extra repaired": 1}
    assert directory.calls("Sync.CreateFile") == 0
    assert active() == known_there(directory)


def test_a_full_one_reads_the_file_and_no_log(directory: SimulatedDirectory) -> None:
    both_sides(directory, some(50))
    assert carried(opened()).status == SyncStatus.OK
    _create_there(directory, new_entry(800))
    assert carried(opened(sync_type="full")).status == SyncStatus.OK
    assert directory.calls("Sync.ListEvents") == 0


def test_keys_under_a_claim_or_a_change_are_left_and_said(directory: SimulatedDirectory) -> None:
    entries = both_sides(directory, some(60))
    Entry.objects.filter(pk__in=[one.pk for one in entries[:4]]).update(name="Somebody Else")
    _claim_on(entries[0])
    EntryChange.objects.create(
        entry=entries[1],
        kind=ChangeKind.UPDATE,
        reason="USER_REQUESTED",
        origin=Origin.HERE,
        request_digest="",
        workflow_id="change-1",
    )
    run = carried(opened())
    assert run.status == SyncStatus.DIFFERS
    assert run.report["types"][2]["left"] == {"under_claim": 2, "under_change": 2}
    assert told(run) == {"changed repaired": 2, "missing left": 2, "extra left": 2}


def test_what_was_touched_since_the_file_is_left(directory: SimulatedDirectory) -> None:
    entries = both_sides(directory, some(60))
    Entry.objects.filter(pk=entries[0].pk).update(name="Somebody Else")
    facts = opened()
    while facts.phase in (SyncPhase.VERIFY, SyncPhase.RECEIVE):
        facts = _until_phase(facts, SyncPhase.COMPARE)
    # Between the file and the comparison.
    late = make_entry(700)
    run = carried(facts)
    assert run.status == SyncStatus.DIFFERS
    assert told(run) == {"changed repaired": 1, "extra left": 1}
    left = SyncDifference.objects.get(run=run, state="left")
    assert (left.why, left.entry) == ("touched_since", late.pk)
    assert Entry.objects.get(pk=late.pk).status == EntryStatus.ACTIVE


def test_an_entry_that_the_directory_has_after_all_is_not_removed(
    directory: SimulatedDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_sides(directory, some(20))
    directory.load([])
    entry = make_entry(700)
    facts = _until_phase(opened(), SyncPhase.REPAIR)
    _create_there(directory, entry)
    run = carried(facts)
    assert run.status == SyncStatus.OK
    assert SyncDifference.objects.get(run=run).why == "known_there"


def test_more_than_the_limit_waits_for_a_person(directory: SimulatedDirectory) -> None:
    both_sides(directory, some(400))
    directory.tamper(missing=150, key_type="PHONE")
    run = carried(opened())
    assert (run.status, run.phase) == (SyncStatus.WAITING, SyncPhase.REPAIR)
    assert Entry.objects.filter(status=EntryStatus.REMOVED).count() == 0
    request = ApprovalRequest.objects.get()
    assert request.tier_group == "key officer"

    SIGNED.on_approved(run, _decided())
    run = carried(sync_compare(str(run.pk)))
    assert run.status == SyncStatus.OK
    assert told(run) == {"extra repaired": 150}


def test_a_person_who_says_no_leaves_all_of_that_type(directory: SimulatedDirectory) -> None:
    both_sides(directory, some(400))
    both_sides(directory, [new_entry(n, key_type="EMAIL", key=f"a{n}@x.example") for n in range(9)])
    directory.tamper(missing=150, key_type="PHONE")
    directory.tamper(changed=3, key_type="EMAIL")
    run = carried(opened())
    SIGNED.on_rejected(run, _decided())
    assert run.decision == Decision.LEAVE
    run = carried(sync_compare(str(run.pk)))
    assert run.status == SyncStatus.DIFFERS
    assert told(run) == {"extra left": 150, "changed repaired": 3}
    assert run.report["types"][2]["left"] == {"repair_refused": 150}


def test_two_runs_of_a_participant_at_once_are_one(
    directory: SimulatedDirectory, side_by_side: Callable[..., list[Any]]
) -> None:
    both_sides(directory, some(3))
    ended = side_by_side(lambda number: opened(), 4)
    refused = [one for one in ended if isinstance(one, Conflict)]
    assert [one.code for one in refused] == ["sync_running"] * 3
    assert SyncRun.objects.count() == 1


def test_two_workers_at_the_same_run_repair_each_difference_once(
    directory: SimulatedDirectory, side_by_side: Callable[..., list[Any]]
) -> None:
    both_sides(directory, some(500))
    directory.tamper(changed=20, missing=20, extra=20, key_type="PHONE")
    facts = opened()
    for call in (sync_fetch, sync_compare):
        ended = side_by_side(lambda number, call=call: call(facts.run_id), 2)  # type: ignore[misc]
        assert not [one for one in ended if isinstance(one, Exception)]
    run = carried(one_call(ended[0]))
    assert run.status == SyncStatus.OK
    assert told(run) == {"changed repaired": 20, "extra repaired": 20, "missing repaired": 20}
    assert AuditEntry.objects.filter(subject_type="entry").count() == 60


def test_the_same_workflow_opens_the_same_run() -> None:
    Participant.objects.create(ispb=ISPB, ours=True)
    first = opened()
    run = SyncRun.objects.get()
    from apps.pix.services.sync_requesting import sync_open

    again = sync_open(workflow_id=run.workflow_id, document={}, as_of=timezone.now())
    assert again.run_id == first.run_id


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"participant_ispb": None}, "ispb_invalid"),
        ({"participant_ispb": 12345678}, "ispb_invalid"),
        ({"participant_ispb": "1234567"}, "ispb_invalid"),
        ({"participant_ispb": "99999999"}, "participant_not_ours"),
        ({"sync_type": ["FULL"]}, "sync_type_invalid"),
        ({"sync_type": "x" * 41}, "sync_type_invalid"),
        ({"last_sync_date": "yesterday"}, "last_sync_date_invalid"),
        ({"last_sync_date": "2026-13-01"}, "last_sync_date_invalid"),
        ({"last_sync_date": 5}, "last_sync_date_invalid"),
    ],
)
def test_an_input_that_makes_no_sense_is_refused(document: dict[str, Any], code: str) -> None:
    Participant.objects.create(ispb=ISPB, ours=True)
    with pytest.raises(Invalid) as refused:
        opened(**document)
    assert refused.value.code == code
    assert not SyncRun.objects.exists()


@pytest.mark.parametrize("date", ["2026-01-31", "2026-01-31T10:00:00Z", "2026-01-31T10:00:00"])
def test_the_date_of_the_last_one_may_be_given(date: str) -> None:
    Participant.objects.create(ispb=ISPB, ours=True)
    facts = opened(last_sync_date=date)
    since = SyncRun.objects.get(pk=facts.run_id).since
    assert since is not None and since.date().isoformat() == "2026-01-31"


# --- hostile files ------------------------------------------------------------------------------
_LINE = b"ab" * 32 + b"\n"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda raw: raw[:-30], "file_invalid"),
        (lambda raw: raw.replace(b"\n", b"\r\n"), "file_invalid"),
        (lambda raw: raw.upper(), "file_invalid"),
        (lambda raw: b"<html>" + raw, "file_invalid"),
        (lambda raw: raw + raw[:65], "file_duplicates"),
    ],
)
def test_a_file_that_is_none_is_left_with_its_reason(
    directory: SimulatedDirectory,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[bytes], bytes],
    code: str,
) -> None:
    both_sides(directory, some(100))
    directory.tamper(changed=2, key_type="PHONE")
    before = active()
    _serve(directory, monkeypatch, spoil)
    run = carried(opened())
    assert (run.status, run.error_code) == (SyncStatus.DIFFERS, code)
    assert (active(), told(run)) == (before, {})
    assert not SyncChunk.objects.exists()


def test_a_file_with_another_sha_is_asked_for_again_and_then_left(
    directory: SimulatedDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_sides(directory, some(100))
    directory.tamper(changed=2, key_type="PHONE")
    _serve(directory, monkeypatch, lambda raw: raw, sha256="0" * 64)
    run = carried(opened())
    assert (run.status, run.error_code) == (SyncStatus.DIFFERS, "file_corrupt")
    assert directory.calls("Sync.CreateFile") == 3


def test_a_file_that_is_gone_is_asked_for_again(directory: SimulatedDirectory) -> None:
    both_sides(directory, some(100))
    directory.tamper(changed=2, key_type="PHONE")
    facts = _until_phase(opened(), SyncPhase.RECEIVE)
    run = SyncRun.objects.get(pk=facts.run_id)
    run.verdicts.filter(key_type="PHONE").update(
        file_id="00000000-0000-4000-8000-000000000000", file_asked=1, asked_at=timezone.now()
    )
    assert carried(facts).status == SyncStatus.OK
    assert directory.calls("Sync.CreateFile") == 1


def test_a_file_of_no_bytes_says_that_there_are_no_keys(
    directory: SimulatedDirectory, settings: Any
) -> None:
    Participant.objects.create(ispb=ISPB, ours=True)
    Entry.objects.bulk_create(some(5))
    run = carried(opened())
    assert run.status == SyncStatus.OK
    assert told(run) == {"extra repaired": 5}
    assert run.report["types"][2]["theirs"] == 0


def test_a_file_that_is_longer_than_it_says_is_left(
    directory: SimulatedDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_sides(directory, some(100))
    directory.tamper(changed=2, key_type="PHONE")
    _serve(directory, monkeypatch, lambda raw: raw + _LINE, size=65)
    assert carried(opened()).error_code == "file_corrupt"


# --- deadlines and silence ----------------------------------------------------------------------
def test_a_run_that_cannot_go_on_frees_the_participant() -> None:
    Participant.objects.create(ispb=ISPB, ours=True)
    facts = opened()
    ended = sync_fail(run_id=facts.run_id, code="deadline_exceeded", detail="Too late.")
    assert (ended.status, ended.code) == (SyncStatus.FAILED, "deadline_exceeded")
    assert sync_fail(run_id=facts.run_id, code="x", detail="").code == "deadline_exceeded"
    assert opened().status == SyncStatus.RUNNING


def test_a_person_is_told_once_when_no_run_is_ok_for_36_hours(
    directory: SimulatedDirectory,
) -> None:
    long_ago = timezone.now() - timedelta(hours=37)
    Participant.objects.create(ispb=ISPB, ours=True, created_at=long_ago)
    Participant.objects.create(ispb="87654321", ours=True)
    Participant.objects.create(ispb="11111111", created_at=long_ago)
    assert overdue_look() == 1
    assert overdue_look() == 0
    # One was begun, for there was none to ask about.
    run = SyncRun.objects.get()
    item = ApprovalRequest.objects.get()
    assert (item.kind, item.subject_id) == ("sync.attention", str(run.pk))
    ended = carried(one_call(_facts(run)))
    assert ended.status == SyncStatus.OK
    item.refresh_from_db()
    assert item.status == "cancelled"
    # And again when the next ones do not come.
    SyncRun.objects.filter(pk=run.pk).update(settled_at=long_ago)
    SyncRun.objects.filter(pk=run.pk).update(overdue_at=long_ago - timedelta(hours=1))
    assert overdue_look() == 1


# --- helpers ------------------------------------------------------------------------------------
def _facts(run: SyncRun) -> Any:
    from apps.pix.services.sync_rows import facts_of

    return facts_of(run)


def _decided() -> Any:
    from apps.approvals.subject import Decided
    from apps.audit.contracts import ENGINE

    return Decided(ENGINE, "test", timezone.now())


def _until_phase(facts: Any, phase: SyncPhase) -> Any:
    """Call after call that stops at once, until this phase begins."""
    while facts.phase != phase:
        if facts.phase in (SyncPhase.COMPARE, SyncPhase.REPLAYED):
            facts = sync_compare(facts.run_id, interrupted=lambda: True)
        else:
            facts = sync_fetch(facts.run_id, interrupted=lambda: True)
    return facts


def _create_there(directory: SimulatedDirectory, entry: Entry) -> None:
    from apps.pix.bridge.shapes import DirectoryAccount, DirectoryOwner

    directory.client.entry_create(
        participant=ISPB,
        request_id=str(entry.request_id),
        key_type=entry.key_type,
        key=entry.key,
        account=DirectoryAccount(
            participant=entry.participant,
            branch=entry.branch,
            number=entry.account_number,
            type=entry.account_type,
            opened_at=timezone.now(),
        ),
        owner=DirectoryOwner(type=entry.owner_type, tax_id=entry.tax_id, name=entry.name),
        reason="USER_REQUESTED",
    )


def _claim_on(entry: Entry) -> None:
    fields = {field.name for field in Claim._meta.get_fields()}
    given: dict[str, Any] = {
        "claim_id": "CLAIM-1",
        "workflow_id": "claim-1",
        "key_type": entry.key_type,
        "key": entry.key,
        "claim_type": "PORTABILITY",
        "type": "PORTABILITY",
        "claimer_ispb": "87654321",
        "donor_ispb": ISPB,
        "rulebook": _rulebook(),
        "origin": Origin.HERE,
        "request_digest": "",
        "resolution_ends_at": timezone.now(),
    }
    Claim.objects.create(**{name: value for name, value in given.items() if name in fields})


def _rulebook() -> Any:
    from apps.pix.models import ClaimRulebook

    return ClaimRulebook.objects.create(
        code="source", document={}, digest="", status="active", request_digest=""
    )


def _serve(
    directory: SimulatedDirectory,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[bytes], bytes],
    **said: Any,
) -> None:
    """The directory's file of phones is spoilt, and says of itself what it then is."""
    from dataclasses import replace
    from hashlib import sha256

    from apps.pix.bridge.client import Directory
    from apps.pix.bridge.shapes import SyncChunk as Chunk

    real_get, real_download = Directory.sync_file_get, Directory.sync_file_download

    def whole(client: Any, participant: str, file_id: str) -> bytes:
        parts = real_download(client, participant=participant, file_id=file_id)
        return spoil(b"".join(part.data for part in parts))

    def get(client: Any, *, participant: str, file_id: str, within: Any = None) -> Any:
        raw = whole(client, participant, file_id)
        file = real_get(client, participant=participant, file_id=file_id)
        told = {"size": len(raw), "sha256": sha256(raw).hexdigest(), **said}
        return replace(file, **told)

    def download(
        client: Any, *, participant: str, file_id: str, offset: int = 0, within: Any = None
    ) -> Any:
        raw = whole(client, participant, file_id)[offset:]
        for place in range(0, len(raw), 1000):
            yield Chunk(offset + place, raw[place : place + 1000])

    monkeypatch.setattr(Directory, "sync_file_get", get)
    monkeypatch.setattr(Directory, "sync_file_download", download)


def test_every_cid_ever_had_is_an_event(directory: SimulatedDirectory) -> None:
    both_sides(directory, some(20))
    directory.tamper(changed=2, missing=1, extra=1, key_type="PHONE")
    carried(opened())
    assert CidEvent.objects.filter(op="ADDED").count() == 20 + 3
    assert CidEvent.objects.filter(op="REMOVED").count() == 3
