"""Compares a file of CIDs with our buckets. In arrays: a million CIDs take a third of a second.

Pass 1 (`fold`) reads the whole file: its form, its SHA-256, and (XOR, number) of each bucket.
Pass 2 (`cids_in`) reads it again and keeps the CIDs of the buckets that differ, a slice of buckets
at a time, so that memory is bounded even where everything differs. Imported by activities alone:
numpy takes 30 MB.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.pix.models.content_ids import BUCKETS, LANES
from apps.pix.sync.files import FileRefused

#: A line: 64 digits in lower case and the line's end.
DIGITS, LINE = 64, 65
CID_BYTES = 32
#: What is worked on at once stays in the processor's cache: at 40,000 it takes a third longer.
LINES_AT_ONCE = 20_000
#: CIDs of both sides that a slice of buckets may have: 32 MB, and as much to sort them.
MOST_IN_A_SLICE = 500_000

Bytes = NDArray[np.uint8]
Lanes = NDArray[np.uint64]
Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.uint16]


@dataclass(frozen=True)
class Buckets:
    """(XOR, number) of each bucket, and the number of all CIDs. XORs are as bytes stand, in four
    parts."""

    lanes: Lanes
    n: Counts
    count: int


@dataclass(frozen=True)
class Folded:
    """What pass 1 has found in a file."""

    buckets: Buckets
    sha256: str


def fold(parts: Iterable[bytes]) -> Folded:
    """Read the whole file, in parts of any size. Raises FileRefused `file_invalid`.

    A last line without its end is taken. No bytes are a file of no CIDs.
    """
    lanes = np.zeros((BUCKETS, LANES), np.uint64)
    n = np.zeros(BUCKETS, np.int64)
    sha, count = hashlib.sha256(), 0
    for cids in _decoded(parts, sha):
        numbers = _buckets_of(cids)
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        folded = np.bitwise_xor.reduceat(cids.view(np.uint64)[order], starts, axis=0)
        lanes[ordered[starts]] ^= folded
        n += np.bincount(numbers, minlength=BUCKETS)
        count += len(cids)
    return Folded(Buckets(lanes, n, count), sha.hexdigest())


def ours_of(rows: Iterable[tuple[int, int, int, int, int, int]]) -> Buckets:
    """Return our buckets from rows of `pix_syncbucket`: bucket, x0 to x3, n."""
    table = np.array(list(rows), np.int64).reshape(-1, 2 + LANES)
    lanes = np.zeros((BUCKETS, LANES), np.uint64)
    n = np.zeros(BUCKETS, np.int64)
    numbers = table[:, 0]
    # The database has the first byte first.
    lanes[numbers] = table[:, 1:-1].astype(">i8").view(np.uint64)
    n[numbers] = table[:, -1]
    return Buckets(lanes, n, int(n.sum()))


def differing(theirs: Buckets, ours: Buckets) -> Mask:
    """Return which buckets differ, by XOR or by number."""
    # Two of the same in the file cancel each other in the XOR: the number tells.
    return np.any(theirs.lanes != ours.lanes, axis=1) | (theirs.n != ours.n)


def slices(
    mask: Mask, theirs: Buckets, ours: Buckets, *, first: int, most: int = MOST_IN_A_SLICE
) -> Iterator[tuple[int, Mask]]:
    """Yield the buckets of `mask` from `first` on, in slices: the number of the bucket after the
    slice, and the slice's own mask. The last slice ends at BUCKETS."""
    wanted = np.where(mask, theirs.n + ours.n, 0)
    wanted[:first] = 0
    ends = np.cumsum(wanted)
    begin = first
    while begin < BUCKETS:
        before = int(ends[begin - 1]) if begin else 0
        end = max(int(np.searchsorted(ends, before + most, side="right")), begin + 1)
        part = np.zeros(BUCKETS, np.bool_)
        part[begin:end] = mask[begin:end]
        begin = min(end, BUCKETS)
        yield begin, part


def numbers_in(mask: Mask) -> list[int]:
    """Return the buckets of a mask, ascending."""
    return [int(number) for number in np.flatnonzero(mask)]


def cids_in(parts: Iterable[bytes], mask: Mask) -> Bytes:
    """Return the file's CIDs in the buckets of `mask`, a row each, of a file that `fold` has read.
    Raises as `fold`."""
    kept = [np.empty((0, CID_BYTES), np.uint8)]
    line = 1
    for table in _lines(parts):
        # The bucket is in the first four digits: the others are read of few.
        first = _values(np.ascontiguousarray(table[:, :4]))
        numbers = first[:, 0].astype(np.uint16) << 12
        for place, shift in ((1, 8), (2, 4), (3, 0)):
            numbers |= first[:, place].astype(np.uint16) << shift
        kept.append(_cids(table[mask[numbers]], line))
        line += len(table)
    return np.concatenate(kept)


def cids_of(cids: Iterable[bytes]) -> Bytes:
    """Return our CIDs as `cids_in` does the file's."""
    return np.frombuffer(b"".join(cids), np.uint8).reshape(-1, CID_BYTES)


def differences(theirs: Bytes, ours: Bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the CIDs that only the file has, and those that only we have, ascending. Raises
    FileRefused `file_duplicates`."""
    file, here = _sorted(theirs), _sorted(ours)
    if len(file) > 1 and bool(np.any(file[1:] == file[:-1])):
        raise FileRefused("file_duplicates", "The file has a CID twice.")
    missing = file[~np.isin(file, here, assume_unique=True)]
    extra = here[~np.isin(here, file, assume_unique=True)]
    return _bytes_of(missing), _bytes_of(extra)


# --- helpers --------------------------------------------------------------------------------------
def _lines(parts: Iterable[bytes], sha: Any = None) -> Iterator[Bytes]:
    """Yield the lines as rows of LINE bytes, LINES_AT_ONCE at a time. Raises FileRefused
    `file_invalid`: a line ends where it must not."""
    size, line = LINES_AT_ONCE * LINE, 1
    waiting = bytearray()
    for part in parts:
        if sha is not None:
            sha.update(part)
        waiting += part
        while len(waiting) >= size:
            yield _table(bytes(memoryview(waiting)[:size]), line)
            del waiting[:size]
            line += LINES_AT_ONCE
    if waiting:
        if not waiting.endswith(b"\n"):
            waiting += b"\n"
        yield _table(bytes(waiting), line)


def _table(lines: bytes, line: int) -> Bytes:
    whole, rest = divmod(len(lines), LINE)
    table = np.frombuffer(lines, np.uint8, whole * LINE).reshape(whole, LINE)
    bad = table[:, DIGITS] != ord("\n")
    if rest or bad.any():
        raise _invalid(line + (int(np.argmax(bad)) if bad.any() else whole))
    return table


def _decoded(parts: Iterable[bytes], sha: Any) -> Iterator[Bytes]:
    """Yield the CIDs of the file, a row each. Raises FileRefused `file_invalid`."""
    line = 1
    for table in _lines(parts, sha):
        yield _cids(table, line)
        line += len(table)


def _cids(table: Bytes, line: int) -> Bytes:
    """Return the CIDs of these lines. In whole columns of bytes: a table of digits would be looked
    up one by one."""
    digits = np.ascontiguousarray(table[:, :DIGITS])
    values = _values(digits)
    # What these values are written as: capitals and all else differ.
    written = values + 48 + (values > 9) * np.uint8(39)
    if not np.array_equal(written, digits) or (values > 15).any():
        bad = (written != digits).any(axis=1) | (values > 15).any(axis=1)
        raise _invalid(line + int(np.argmax(bad)))
    pairs = values.view("<u2")
    return (pairs << 4 | pairs >> 8).astype(np.uint8)


def _values(digits: Bytes) -> Bytes:
    # 0x30 to 0x39, 0x61 to 0x66: the letters have bit 6. Of what is no digit: anything below 256.
    return (digits & 15) + (digits >> 6) * np.uint8(9)


def _invalid(line: int) -> FileRefused:
    return FileRefused("file_invalid", f"Line {line:,} is not a CID of 64 digits.")


def _buckets_of(cids: Bytes) -> Numbers:
    # Of 16 bits: numpy sorts these by radix.
    numbers: Numbers = cids[:, 0].astype(np.uint16) << np.uint16(8) | cids[:, 1]
    return numbers


def _sorted(cids: Bytes) -> NDArray[Any]:
    # As texts of a fixed length they are compared byte by byte.
    return np.sort(np.ascontiguousarray(cids).view(f"S{CID_BYTES}").ravel())


def _bytes_of(cids: NDArray[Any]) -> list[bytes]:
    # Never as texts: those lose zeros at their end.
    raw = cids.tobytes()
    return [raw[place : place + CID_BYTES] for place in range(0, len(raw), CID_BYTES)]
