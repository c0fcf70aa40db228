"""Synchronisations in tests: both sides filled alike, and a run carried on as its workflow does."""

from collections.abc import Iterable, Iterator
from uuid import uuid4

from django.utils import timezone
from google.protobuf.timestamp_pb2 import Timestamp

from apps.pix.bridge import directory_pb2 as pb
from apps.pix.contracts import EntryStatus
from apps.pix.contracts.sync import COMPARING, FETCHING, SyncFacts
from apps.pix.models import Entry, SyncDifference, SyncRun
from apps.pix.services.sync_comparing import sync_compare
from apps.pix.services.sync_fetching import sync_fetch
from apps.pix.services.sync_reporting import sync_report
from apps.pix.services.sync_requesting import sync_open
from tests.directory import SimulatedDirectory
from tests.pix.participants import participants
from tests.pix.sync.entries import ISPB, new_entry


def both_sides(directory: SimulatedDirectory, entries: Iterable[Entry]) -> list[Entry]:
    """The entries, here and there."""
    participants(ISPB)
    made = list(entries)
    Entry.objects.bulk_create(made, batch_size=5_000)
    directory.load(map(there, made))
    return made


def some(number: int) -> Iterator[Entry]:
    """So many entries of ours."""
    return (new_entry(place) for place in range(1, number + 1))


def there(entry: Entry) -> pb.CidEntry:
    """The entry as the directory says it."""
    at = Timestamp()
    at.FromDatetime(entry.created_at)
    return pb.CidEntry(
        request_id=str(entry.request_id),
        entry=pb.Entry(
            key_type=entry.key_type,
            key=entry.key,
            account=pb.Account(
                participant=entry.participant,
                branch=entry.branch,
                number=entry.account_number,
                type=entry.account_type,
                opened_at=at,
            ),
            owner=pb.Owner(
                type=entry.owner_type,
                tax_id=entry.tax_id,
                name=entry.name,
                trade_name=entry.trade_name,
            ),
            created_at=at,
            owned_since=at,
        ),
    )


def opened(**document: object) -> SyncFacts:
    """A run that somebody started in the engine."""
    return sync_open(
        workflow_id=f"vsync-{uuid4()}",
        document={"participant_ispb": ISPB, **document},
        as_of=timezone.now(),
    )


def carried(facts: SyncFacts) -> SyncRun:
    """The run when it has ended or waits for a person."""
    while not facts.settled and not facts.waiting:
        facts = one_call(facts)
        assert not facts.rest or facts.phase == "receive"
    return SyncRun.objects.get(pk=facts.run_id)


def one_call(facts: SyncFacts) -> SyncFacts:
    """After one activity."""
    if facts.phase in FETCHING:
        return sync_fetch(facts.run_id)
    if facts.phase in COMPARING:
        return sync_compare(facts.run_id)
    return sync_report(facts.run_id)


def told(run: SyncRun) -> dict[str, int]:
    """How many differences have which kind and state."""
    found: dict[str, int] = {}
    for kind, state in SyncDifference.objects.filter(run=run).values_list("kind", "state"):
        found[f"{kind} {state}"] = found.get(f"{kind} {state}", 0) + 1
    return found


def active() -> set[tuple[str, str, str]]:
    """Key, name and CID of our entries."""
    rows = Entry.objects.filter(status=EntryStatus.ACTIVE)
    return {(one.key, one.name, bytes(one.cid).hex()) for one in rows}


def known_there(directory: SimulatedDirectory) -> set[tuple[str, str, str]]:
    """The same of the directory's."""
    return {(one.entry.key, one.entry.owner.name, one.cid) for one in directory.dump(ISPB)}
