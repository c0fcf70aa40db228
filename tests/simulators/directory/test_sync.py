"""Section 4 of the directory's rules: every write moves the verifier, and the log says so."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any
from uuid import uuid4

import pytest

from apps.pix.bridge.problems import DirectoryRefused, DirectoryUnavailable
from apps.pix.bridge.shapes import CidEventsPage, DirectoryEntry
from apps.simulators.directory import cids
from tests.directory import OTHER, OURS, SimulatedDirectory
from tests.simulators.directory.acting import (
    PERSON,
    PHONE,
    account,
    cancel,
    claim_in,
    complete,
    create,
    refusal,
)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def cid_of(request_id: str, entry: DirectoryEntry) -> str:
    return cids.cid_of(
        cids.request_bytes(request_id),
        key_type=entry.key_type,
        key=entry.key,
        tax_id=entry.owner.tax_id,
        name=entry.owner.name,
        trade_name=entry.owner.trade_name,
        participant=entry.account.participant,
        branch=entry.account.branch,
        number=entry.account.number,
        account_type=entry.account.type,
    ).hex()


def xor(*several: str) -> str:
    return reduce(cids.xor, map(bytes.fromhex, several), cids.EMPTY).hex()


def events(directory: SimulatedDirectory, participant: str = OURS, **other: Any) -> CidEventsPage:
    words = {"key_type": "PHONE", "since": LONG_AGO, "until": directory.now(), **other}
    return directory.client.cid_events_list(participant=participant, **words)


def verified(directory: SimulatedDirectory, verifier: str, participant: str = OURS) -> bool:
    return directory.client.sync_verify(
        participant=participant, key_type="PHONE", verifier=verifier
    ).ok


def file_of(directory: SimulatedDirectory, key_type: str = "PHONE") -> bytes:
    client = directory.client
    ordered = client.sync_file_create(participant=OURS, key_type=key_type)
    assert ordered.status == "REQUESTED"
    file = client.sync_file_get(participant=OURS, file_id=ordered.id)
    assert file.status == "AVAILABLE"
    data = b"".join(
        chunk.data for chunk in client.sync_file_download(participant=OURS, file_id=file.id)
    )
    assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size, file.sha256)
    return data


def test_each_type_has_a_verifier_of_its_own_that_begins_with_nothing(
    directory: SimulatedDirectory,
) -> None:
    for key_type in cids.KEY_TYPES:
        assert directory.client.sync_verify(
            participant=OURS, key_type=key_type, verifier="0" * 64
        ).ok
    create(directory)
    create(directory, "joao@example.com", key_type="EMAIL")
    assert directory.verifier("PHONE") != directory.verifier("EMAIL")
    assert not verified(directory, "0" * 64)
    assert verified(directory, directory.verifier("PHONE"))
    assert verified(directory, "0" * 64, OTHER)


def test_every_write_is_an_event_and_moves_the_verifier(directory: SimulatedDirectory) -> None:
    request_id = str(uuid4())
    made = create(directory, request_id=request_id)
    before = cid_of(request_id, made)
    words = {"participant": OURS, "key": PHONE, "reason": "USER_REQUESTED"}
    renamed = directory.client.entry_update(
        account=account(), name="João da Silva", trade_name="", **words
    )
    # The request id of the creation stays in it.
    after = cid_of(request_id, renamed)
    told = events(directory)
    assert [(one.type, one.cid) for one in told.events] == [
        *(("ADDED", before), ("REMOVED", before), ("ADDED", after)),
    ]
    assert (told.verifier_start, told.verifier_end) == (before, after)
    assert verified(directory, after)
    directory.client.entry_delete(**words)
    assert verified(directory, "0" * 64)
    assert [one.type for one in events(directory).events][-1] == "REMOVED"


def test_a_claim_takes_the_cid_from_the_donor_and_gives_another_to_the_claimer(
    directory: SimulatedDirectory,
) -> None:
    made = claim_in(directory, "PORTABILITY", "CONFIRMED")
    assert [one.type for one in events(directory).events] == ["ADDED", "REMOVED"]
    assert events(directory, OTHER).events == ()
    request_id = str(uuid4())
    complete(directory, made, OTHER, request_id)
    entry = directory.client.entry_get(participant=OTHER, key=PHONE)
    cid = cid_of(request_id, entry)
    assert [(one.type, one.cid) for one in events(directory, OTHER).events] == [("ADDED", cid)]
    assert verified(directory, cid, OTHER)
    found = directory.client.entry_get_by_cid(participant=OTHER, cid=cid)
    assert (found.request_id, found.entry) == (request_id, entry)
    # The new entry is changed later: its CID is still of the completion's request id.
    renamed = directory.client.entry_update(
        participant=OTHER,
        key=PHONE,
        account=entry.account,
        name="Another",
        trade_name="",
        reason="RFB_VALIDATION",
    )
    assert verified(directory, cid_of(request_id, renamed), OTHER)


def test_what_changed_nothing_is_no_event(directory: SimulatedDirectory) -> None:
    made = claim_in(directory, "OWNERSHIP", "OPEN")
    cancel(directory, made, OTHER, "FRAUD")
    words = {"participant": OURS, "key": PHONE, "reason": "USER_REQUESTED", "trade_name": ""}
    directory.client.entry_update(account=account(), name=PERSON.name, **words)
    assert [one.type for one in events(directory).events] == ["ADDED"]


def test_events_come_in_pages_of_a_window_with_both_its_ends(
    directory: SimulatedDirectory,
) -> None:
    for number in range(6):
        create(directory, f"+55119000000{number:02}", account=account(number=str(number)))
    all_of_them = events(directory).events
    assert len({one.at for one in all_of_them}) == 6
    window = {"since": all_of_them[1].at, "until": all_of_them[4].at}
    assert events(directory, **window).events == all_of_them[1:5]
    page = events(directory, limit=2, **window)
    assert (page.events, page.has_more) == (all_of_them[1:3], True)
    assert page.verifier_end == xor(*(one.cid for one in all_of_them[:3]))
    rest = events(directory, since=page.events[-1].at)
    assert rest.events == all_of_them[2:]
    assert not rest.has_more
    assert refusal(events, directory, limit=201) == "BadRequest"
    assert refusal(events, directory, key_type="IBAN") == "BadRequest"


def test_a_file_holds_every_cid_once_and_is_read_on_from_anywhere(
    directory: SimulatedDirectory,
) -> None:
    for number in range(4):
        create(directory, f"+55119000000{number:02}")
    data = file_of(directory)
    lines = data.decode().splitlines()
    assert sorted(lines) == sorted(one.cid for one in events(directory).events)
    assert file_of(directory, "EVP") == b""
    client = directory.client
    file = client.sync_file_create(participant=OURS, key_type="PHONE")
    rest = list(client.sync_file_download(participant=OURS, file_id=file.id, offset=100))
    assert b"".join(chunk.data for chunk in rest) == data[100:]
    assert rest[0].offset == 100
    end = {"participant": OURS, "file_id": file.id}
    assert list(client.sync_file_download(offset=len(data), **end)) == []
    for words in ({"offset": len(data) + 1}, {"offset": -1}):
        with pytest.raises(DirectoryRefused):
            list(client.sync_file_download(**end, **words))
    with pytest.raises(DirectoryRefused):
        list(client.sync_file_download(participant=OTHER, file_id=file.id))


def test_a_file_is_what_was_there_when_it_was_ordered(directory: SimulatedDirectory) -> None:
    create(directory)
    client = directory.client
    file = client.sync_file_create(participant=OURS, key_type="PHONE")
    client.entry_delete(participant=OURS, key=PHONE, reason="USER_REQUESTED")
    assert client.sync_file_get(participant=OURS, file_id=file.id).size == 65


def test_a_cid_is_looked_up_by_its_own_participant(directory: SimulatedDirectory) -> None:
    create(directory)
    cid = events(directory).events[0].cid
    assert directory.client.entry_get_by_cid(participant=OURS, cid=cid).entry.key == PHONE
    for words in (
        {"participant": OTHER, "cid": cid},
        {"participant": OURS, "cid": "0" * 64},
        {"participant": OURS, "cid": "not a cid"},
    ):
        assert refusal(directory.client.entry_get_by_cid, **words) == "NotFound"


@pytest.mark.parametrize("verifier", ["", "0", "0" * 63, "A" * 64, "٤" * 64])
def test_what_is_no_verifier_is_refused(directory: SimulatedDirectory, verifier: str) -> None:
    assert refusal(verified, directory, verifier) == "BadRequest"


def test_what_is_tampered_with_is_in_the_file_and_in_no_event(
    directory: SimulatedDirectory,
) -> None:
    for number in range(12):
        create(directory, f"+55119000000{number:02}", account=account(number=str(number)))
    before = {one.cid for one in directory.dump()}
    locked = "+5511900000000"
    directory.open_claim(locked)
    directory.tamper(changed=4, missing=3, extra=2, key_type="PHONE")
    after = {one.cid: one for one in directory.dump()}
    assert len(events(directory).events) == 12
    assert (len(before - after.keys()), len(after.keys() - before)) == (7, 6)
    assert verified(directory, xor(*after))
    assert sorted(file_of(directory).decode().splitlines()) == sorted(after)
    assert locked in {one.entry.key for one in after.values()}
    for cid, one in after.items():
        found = directory.client.entry_get_by_cid(participant=OURS, cid=cid)
        assert cid_of(found.request_id, found.entry) == cid
        assert found.entry.key == one.entry.key


def test_entries_are_loaded_as_if_they_had_always_been_there(
    directory: SimulatedDirectory,
) -> None:
    create(directory)
    create(directory, "+5511900000001")
    kept, verifier = directory.dump(), directory.verifier("PHONE")
    directory.reset()
    assert directory.load(kept) == 2
    assert directory.dump() == kept
    assert verified(directory, verifier)
    assert events(directory).events == ()


def test_a_download_whose_rest_is_lost_is_no_file(directory: SimulatedDirectory) -> None:
    create(directory)
    client = directory.client
    file = client.sync_file_create(participant=OURS, key_type="PHONE")
    directory.faults("Sync.DownloadFile", lose_answer=True, next=1)
    seen = []
    with pytest.raises(DirectoryUnavailable):
        for chunk in client.sync_file_download(participant=OURS, file_id=file.id):
            seen.append(chunk)
    assert len(seen) == 1
    assert replace(seen[0], data=b"").offset == 0


def test_the_log_is_late_by_the_lag(directory: SimulatedDirectory) -> None:
    directory.reset(lag_seconds=5)
    create(directory)
    late = directory.now() + timedelta(minutes=1)
    assert events(directory, until=late).events == ()
    directory.advance(seconds=5)
    assert len(events(directory, until=late).events) == 1
