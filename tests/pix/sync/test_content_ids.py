"""The database computes CIDs and keeps the buckets, whoever writes."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from apps.pix.contracts import EntryStatus, KeyType
from apps.pix.models import CidEvent, Entry, SyncBucket
from apps.pix.sync.buckets import verifier_of
from apps.pix.sync.deadlocks import again_after_deadlock
from tests.pix.sync.entries import ISPB, cid_of, in_bucket_of, make_entry, new_entry, xor

pytestmark = pytest.mark.django_db


def _attributes(*, branch: str, tax_id: str, account: str, key: str) -> list[str]:
    return ["PHONE", key, tax_id, "João Silva", "", "12345678", branch, account, "CACC"]


VECTORS = [
    (
        UUID(bytes=bytes(range(1, 17))),
        _attributes(
            branch="00001", tax_id="11122233300", account="0007654321", key="+5511987654321"
        ),
        "28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88",
    ),
    (
        UUID("a946d533-7f22-42a5-9a9b-e87cd55c0f4d"),
        _attributes(
            branch="0001", tax_id="11122233300", account="0007654321", key="+5561988880000"
        ),
        "11bc81ee9e1e04290bb98285eb59d6a0452fe853136ac6e69e0670b905704da7",
    ),
]


@pytest.mark.parametrize(("request_id", "attributes", "cid"), VECTORS)
def test_the_directory_s_vectors_hold(request_id: UUID, attributes: list[str], cid: str) -> None:
    with connection.cursor() as cursor:
        slots = ", ".join(["%s"] * len(attributes))
        cursor.execute(f"SELECT encode(pix_cid(%s, {slots}), 'hex')", [request_id, *attributes])
        assert cursor.fetchone() == (cid,)


def test_the_verifier_of_the_directory_s_three_cids() -> None:
    cids = [
        "28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88",
        "4d4abb9168114e349672b934d16ed201a919cb49e28b7f66a240e62c92ee007f",
        "fce514f84f37934bc8aa0f861e4f7392273d71b9d18e8209d21e4192a7842058",
    ]
    # The buckets hold what the triggers fold: the lanes of each CID, as here.
    SyncBucket.objects.bulk_create(
        SyncBucket(
            participant=ISPB,
            key_type="PHONE",
            bucket=int(cid[:4], 16),
            n=1,
            **{
                f"x{n}": int.from_bytes(bytes.fromhex(cid)[n * 8 : n * 8 + 8], signed=True)
                for n in range(4)
            },
        )
        for cid in cids
    )
    assert verifier_of(ISPB, KeyType.PHONE) == (
        "996fc1dd3b6b14bcf0c9fe8320eb66d7e2a3fd874ccf767b2e939641b1ea8eaf",
        3,
    )


def test_values_are_hashed_as_they_stand() -> None:
    composed, decomposed = "Jo\u00e3o", "Joa\u0303o"
    entries = [
        make_entry(1, name=composed),
        make_entry(2, name=decomposed, branch="1"),
        make_entry(3, branch="", trade_name="Açaí & Cia"),
        make_entry(4, participant="00000000", account_number="0001"),
    ]
    assert [bytes(entry.cid) for entry in entries] == [cid_of(entry) for entry in entries]


@pytest.mark.parametrize(
    "columns",
    [
        {"status": EntryStatus.PENDING},
        {"status": EntryStatus.POSSESSION},
        {"request_id": None},
        {"key": "", "key_type": ""},
    ],
)
def test_what_the_directory_does_not_have_has_no_cid(columns: dict[str, Any]) -> None:
    assert make_entry(1, **columns).cid is None
    assert verifier_of(ISPB, KeyType.PHONE) == ("0" * 64, 0)
    assert not CidEvent.objects.exists()


def test_every_kind_of_plain_sql_moves_the_verifier() -> None:
    Entry.objects.bulk_create(new_entry(number) for number in range(1, 41))
    cids = [cid_of(entry) for entry in Entry.objects.all()]
    assert verifier_of(ISPB, KeyType.PHONE) == (xor(cids), 40)

    with connection.cursor() as cursor:
        cursor.execute("UPDATE pix_entry SET name = 'Maria' WHERE key < %s", ["+5561900000011"])
        cursor.execute("DELETE FROM pix_entry WHERE key > %s", ["+5561900000035"])
        cursor.execute("UPDATE pix_entry SET status = 'removed' WHERE key = %s", ["+5561900000020"])
        cursor.execute("UPDATE pix_entry SET version = version + 1")
    left = [cid_of(entry) for entry in Entry.objects.filter(status=EntryStatus.ACTIVE)]
    assert verifier_of(ISPB, KeyType.PHONE) == (xor(left), 34)
    # What changed its name went and came; what only changed its version did neither.
    assert CidEvent.objects.filter(op="ADDED").count() == 40 + 10
    assert CidEvent.objects.filter(op="REMOVED").count() == 10 + 5 + 1


def test_an_entry_that_moves_to_another_participant_leaves_the_first_one() -> None:
    entry = make_entry(1)
    Entry.objects.filter(pk=entry.pk).update(participant="87654321")
    moved = Entry.objects.get()
    assert verifier_of(ISPB, KeyType.PHONE) == ("0" * 64, 0)
    assert verifier_of("87654321", KeyType.PHONE) == (cid_of(moved).hex(), 1)


def test_every_cid_ever_had_is_kept() -> None:
    entry = make_entry(1)
    entry.delete()
    assert [event.op for event in CidEvent.objects.order_by("id")] == ["ADDED", "REMOVED"]
    for statement in ("DELETE FROM pix_cidevent", "UPDATE pix_cidevent SET op = 'ADDED'"):
        with (
            pytest.raises(Exception, match="Cannot"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_two_writers_that_share_two_buckets_in_opposite_order_both_end(
    side_by_side: Callable[..., list[Any]],
) -> None:
    one, two = new_entry(1), new_entry(2)
    writers = [(one, two), (in_bucket_of(two, number=3), in_bucket_of(one, number=4))]
    both_began, tries = threading.Barrier(2), []

    def write(number: int) -> None:
        first, second = writers[number]

        def transact() -> None:
            tries.append(number)
            with transaction.atomic():
                Entry.objects.bulk_create([first])
                if tries.count(number) == 1:
                    both_began.wait(20)
                Entry.objects.bulk_create([second])

        again_after_deadlock(transact)

    assert side_by_side(write, 2) == [None, None]
    # PostgreSQL ended one of them, which was repeated.
    assert len(tries) > 2
    cids = [cid_of(entry) for pair in writers for entry in pair]
    assert verifier_of(ISPB, KeyType.PHONE) == (xor(cids), 4)
    assert SyncBucket.objects.count() == 2


def test_a_statement_locks_its_buckets_in_their_order() -> None:
    Entry.objects.bulk_create(new_entry(number) for number in range(1, 200))
    # Fresh rows stand in the table in the order in which they were written.
    with connection.cursor() as cursor:
        cursor.execute("SELECT bucket FROM pix_syncbucket ORDER BY ctid")
        written = [number for (number,) in cursor.fetchall()]
    assert written == sorted(written)


def test_rebuildsync_says_what_differed_and_repeats_without_effect(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Entry.objects.bulk_create(new_entry(number) for number in range(1, 51))
    right = verifier_of(ISPB, KeyType.PHONE)
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(bucket), max(bucket) FROM pix_syncbucket")
        least, most = cursor.fetchone()
        cursor.execute(
            "UPDATE pix_syncbucket SET x0 = x0 # 1, n = n + 1 WHERE bucket = %s", [least]
        )
        cursor.execute("DELETE FROM pix_syncbucket WHERE bucket = %s", [most])
    assert verifier_of(ISPB, KeyType.PHONE) != right

    call_command("rebuildsync", participant="87654321")
    assert verifier_of(ISPB, KeyType.PHONE) != right
    call_command("rebuildsync")
    assert "2 buckets" in capsys.readouterr().out
    assert verifier_of(ISPB, KeyType.PHONE) == right
    call_command("rebuildsync")
    assert "nothing differed" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_rebuildsync_beside_writers_loses_nothing(
    side_by_side: Callable[..., list[Any]],
) -> None:
    Entry.objects.bulk_create(new_entry(number) for number in range(1, 300))

    def work(number: int) -> None:
        if number == 0:
            for _ in range(3):
                call_command("rebuildsync", verbosity=0)
            return
        for place in range(60):
            make_entry(1000 * number + place)

    assert side_by_side(work, 3) == [None, None, None]
    cids = [cid_of(entry) for entry in Entry.objects.all()]
    assert verifier_of(ISPB, KeyType.PHONE) == (xor(cids), len(cids))


def test_two_entries_with_one_cid_are_refused() -> None:
    entry = make_entry(1)
    with pytest.raises(Exception, match="key_once"), transaction.atomic():
        new_entry(1, request_id=entry.request_id).save(force_insert=True)
    assert verifier_of(ISPB, KeyType.PHONE) == (cid_of(entry).hex(), 1)
