"""The comparison of a file with our buckets, in arrays alone."""

import hashlib
import random
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from apps.pix.models.content_ids import BUCKETS
from apps.pix.sync import compare
from apps.pix.sync.files import FileRefused


def _cids(number: int, seed: int = 1) -> list[bytes]:
    chance = random.Random(seed)
    return [chance.randbytes(32) for _ in range(number)]


def _file(cids: Iterable[bytes]) -> bytes:
    return b"".join(cid.hex().encode() + b"\n" for cid in cids)


def _parts(raw: bytes, size: int = 999) -> Iterator[bytes]:
    for place in range(0, len(raw), size):
        yield raw[place : place + size]


def _buckets(cids: Iterable[bytes]) -> compare.Buckets:
    """As the database keeps them."""
    rows: dict[int, list[int]] = {}
    for cid in cids:
        row = rows.setdefault(int.from_bytes(cid[:2]), [0] * 5)
        for lane in range(4):
            row[lane] ^= int.from_bytes(cid[lane * 8 : lane * 8 + 8], signed=True)
        row[4] += 1
    return compare.ours_of((bucket, *row) for bucket, row in rows.items())  # type: ignore[misc]


def _found(
    theirs: list[bytes], ours: list[bytes], *, most: int = compare.MOST_IN_A_SLICE
) -> tuple[list[bytes], list[bytes]]:
    raw, here = _file(theirs), _buckets(ours)
    folded = compare.fold(_parts(raw))
    assert folded.sha256 == hashlib.sha256(raw).hexdigest()
    mask = compare.differing(folded.buckets, here)
    missing: list[bytes] = []
    extra: list[bytes] = []
    ends = []
    for end, part in compare.slices(mask, folded.buckets, here, first=0, most=most):
        ends.append(end)
        wanted = set(compare.numbers_in(part))
        own = (cid for cid in ours if int.from_bytes(cid[:2]) in wanted)
        only_there, only_here = compare.differences(
            compare.cids_in(_parts(raw), part), compare.cids_of(own)
        )
        missing += only_there
        extra += only_here
    assert ends[-1] == BUCKETS
    return missing, extra


def test_what_only_one_side_has_is_found_exactly() -> None:
    both, there, here = _cids(90_000), _cids(300, 2), _cids(400, 3)
    theirs, ours = [*both, *there], [*here, *both]
    random.Random(4).shuffle(theirs)
    assert _found(theirs, ours) == (sorted(there), sorted(here))


def test_equal_sides_differ_in_no_bucket() -> None:
    cids = _cids(5_000)
    folded = compare.fold(_parts(_file(cids)))
    assert folded.buckets.count == 5_000
    assert not compare.differing(folded.buckets, _buckets(reversed(cids))).any()


@pytest.mark.parametrize("most", [1, 50, 10_000])
def test_slices_of_any_size_find_the_same(most: int) -> None:
    there, here = _cids(500, 2), _cids(700, 3)
    assert _found(there, here, most=most) == (sorted(there), sorted(here))


def test_cids_that_end_in_zeros_are_told_apart() -> None:
    one, two = b"ab" + b"\x01" * 29 + b"\x00", b"ab" + b"\x01" * 28 + b"\x00\x00"
    assert _found([one, two], [one]) == ([two], [])
    assert _found([one], [one, two]) == ([], [two])


def test_either_side_may_be_empty() -> None:
    cids = _cids(100)
    assert _found(cids, []) == (sorted(cids), [])
    assert _found([], cids) == ([], sorted(cids))
    assert compare.fold([]).sha256 == hashlib.sha256(b"").hexdigest()


def test_a_pair_of_duplicates_cancels_in_the_xor_and_is_found_by_the_number() -> None:
    cids = _cids(1_000)
    twice = [*cids, *_cids(1, 9) * 2]
    folded, here = compare.fold(_parts(_file(twice))), _buckets(cids)
    assert (folded.buckets.lanes == here.lanes).all()
    assert compare.differing(folded.buckets, here).sum() == 1
    with pytest.raises(FileRefused) as refused:
        _found(twice, cids)
    assert refused.value.code == "file_duplicates"


def test_a_last_line_without_its_end_counts() -> None:
    cids = _cids(3)
    assert compare.fold([_file(cids)[:-1]]).buckets.count == 3


_LINE = _file(_cids(1))


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (_LINE * 2 + _LINE[:30], 3),
        (_LINE * 2 + _LINE[:30] + b"\n", 3),
        (_LINE[:30] + b"\n" + _LINE * 2, 1),
        (_LINE.replace(b"\n", b"\r\n") * 3, 1),
        (_LINE + _LINE.upper(), 2),
        (_LINE + b"g" + _LINE[1:], 2),
        (_LINE + b" " + _LINE[1:], 2),
        (_LINE + b"\n", 2),
        (b"\n", 1),
        (_LINE + "é".encode() * 32 + b"\n", 2),
        (_LINE[:64] + b"," + _LINE, 1),
        (b"\x00" * 650, 1),
        (_LINE * 50_000 + b"0" * 65 + _LINE, 50_001),
    ],
)
def test_what_is_no_file_of_cids_is_refused_with_its_line(raw: bytes, line: int) -> None:
    with pytest.raises(FileRefused, match=f"Line {line:,} is not") as refused:
        compare.fold(_parts(raw, 100_000))
    assert refused.value.code == "file_invalid"


@pytest.mark.parametrize("size", [1, 64, 65, 66, 100_000])
def test_parts_may_end_anywhere(size: int) -> None:
    cids = _cids(200)
    folded = compare.fold(_parts(_file(cids), size))
    assert folded.buckets.count == 200
    assert np.array_equal(folded.buckets.lanes, _buckets(cids).lanes)
