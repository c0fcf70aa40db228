"""Keys are looked up here, in the directory, and for a minute in Redis; a write wins."""

from typing import Any

import pytest
from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from apps.pix.models import Entry
from apps.pix.services import entry_rows, lookups
from apps.pix.services.lookups import COPIES, FoundEntry, copy_end, entry_lookup
from tests.directory import OTHER, SimulatedDirectory
from tests.pix.entries.conftest import CPF, PHONE, Keys
from tests.pix.entries.test_entries import refused

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_copies() -> None:
    COPIES.redis.breaker.reset()
    copy_end("CPF", CPF)
    copy_end("PHONE", PHONE)


def look(keys: Keys, **changes: Any) -> FoundEntry:
    body = {"key_type": "CPF", "key": CPF, "by": keys.officer, "via": "api"}
    return entry_lookup(**{**body, **changes})


def stranger(keys: Keys, directory: SimulatedDirectory) -> str:
    """The key of somebody that only the directory knows."""
    entry = keys.active(key_type="PHONE", key=PHONE, account={"participant": OTHER})
    entry.changes.all().delete()
    entry.delete()
    copy_end("PHONE", PHONE)
    return PHONE


def test_our_own_come_from_the_table_and_others_from_the_directory(
    keys: Keys, directory: SimulatedDirectory, settings: Any
) -> None:
    entry = keys.active()
    found = look(keys, key="111.222.333-96")
    assert (found.source, found.entry_id, found.name) == ("here", entry.entry_id, "João Silva")
    assert directory.calls("Entries.Get") == 0
    key = stranger(keys, directory)
    theirs = look(keys, key_type="PHONE", key=key)
    assert (theirs.source, theirs.participant, theirs.entry_id) == ("directory", OTHER, "")
    assert look(keys, key_type="PHONE", key=key).source == "copy"
    assert directory.calls("Entries.Get") == 1
    said = AuditEntry.objects.filter(action="entry.looked_up").first()
    assert said is not None
    assert CPF not in str(said.body)


def test_a_write_ends_the_copy_and_wins_over_a_late_reader(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = keys.active()
    COPIES.redis.breaker.reset()

    def meanwhile(name: str) -> None:
        if name == "entry_lookup.read":
            Entry.objects.filter(pk=entry.pk).update(name="Maria")
            copy_end("CPF", CPF)

    monkeypatch.setattr(lookups, "failpoint", meanwhile)
    assert look(keys).name == "João Silva"  # read before the write
    monkeypatch.setattr(lookups, "failpoint", lambda name: None)
    again = look(keys)
    assert (again.name, again.source) == ("Maria", "here")
    assert look(keys).source == "copy"


def test_every_write_of_an_entry_ends_its_copy(
    keys: Keys, django_capture_on_commit_callbacks: Any
) -> None:
    entry = keys.active()
    look(keys)
    assert look(keys).source == "copy"
    with django_capture_on_commit_callbacks(execute=True):
        entry_rows.entry_save(entry, "name", as_of=timezone.now())
    assert look(keys).source == "here"


def test_without_redis_nothing_is_copied_and_nothing_fails(keys: Keys, settings: Any) -> None:
    keys.active()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for _ in range(2):
        assert look(keys).source == "here"


@pytest.mark.parametrize("copy", ["[]", '"text"', '{"key": 5}', "{", "null"])
def test_a_damaged_copy_is_read_anew(keys: Keys, copy: str) -> None:
    keys.active()
    place = COPIES.key(f"CPF:{CPF}")
    COPIES.redis.ask(lambda redis: redis.set(place, f"0:{copy}"))
    assert look(keys).source == "here"


def test_refusals_are_audited(keys: Keys, directory: SimulatedDirectory) -> None:
    refused("key_unknown", look, keys=keys)
    refused("key_invalid", look, keys=keys, key="1")
    refused("key_type_invalid", look, keys=keys, key_type="X")
    refused("participant_not_ours", look, keys=keys, participant="99999999")
    refused("ispb_invalid", look, keys=keys, participant="9")
    refused("permission_denied", look, keys=keys, by=keys.people["requester"])
    directory.faults("Entries.Get", status=503, next=1)
    with pytest.raises(DomainError) as away:
        look(keys)
    assert away.value.code == "directory_unavailable"
    assert AuditEntry.objects.filter(action="entry.lookup", outcome="refused").count() == 7
