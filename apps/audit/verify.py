"""Verifies the chain from its first seal to its head and reports every problem."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from apps.audit.anchors import Anchor
from apps.audit.chain import COVERED, GENESIS, body_digest, seal_hash
from apps.audit.contracts import Outcome
from apps.audit.models import AuditEntry

#: Rows that are in memory at a time.
CHUNK = 2000
#: A thorough forger breaks every link; the first ones tell enough.
MOST_PROBLEMS = 50

#: Action of the entry that records an erasure.
ERASE = "audit.body_erase"

# Times as `instant` writes them: parsing two hundred thousand only to format them again is slow.
_INSTANT = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""
_FIELDS = (*COVERED, "salt", "body")
# One statement, so one snapshot, and LEFT: an entry that was removed by force must show.
_CHAIN = f"""
    SELECT s.sequence, s.entry_id, s.previous, s.hash, {_INSTANT.format("s.sealed_at")},
        {", ".join(_INSTANT.format("e.at") if f == "at" else f"e.{f}" for f in _FIELDS)}
    FROM audit_auditseal s LEFT JOIN audit_auditentry e ON e.id = s.entry_id
    WHERE s.sequence > %s AND (%s::bigint IS NULL OR s.sequence <= %s)
    ORDER BY s.sequence LIMIT %s
"""  # noqa: S608 - names of columns, from above
_UNSEALED = """
    SELECT count(*), min(e.at) FROM audit_auditentry e
    WHERE NOT EXISTS (SELECT 1 FROM audit_auditseal s WHERE s.entry_id = e.id)
"""
_REMOVED_UNSEALED = """
    SELECT p.entry_id FROM audit_auditpending p
    WHERE NOT EXISTS (SELECT 1 FROM audit_auditentry e WHERE e.id = p.entry_id)
    ORDER BY p.entry_id LIMIT 50
"""


@dataclass
class ChainReport:
    """What `verifyaudit` found. `problems` is empty when the chain holds."""

    entries: int = 0
    erased: int = 0
    head_sequence: int = 0
    head_hash: str = GENESIS
    unsealed: int = 0
    oldest_unsealed_seconds: float = 0.0
    anchors: int = 0
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing was found."""
        return self.problem_count == 0

    def add(self, problem: str) -> None:
        """Count a problem; keep the first fifty."""
        self.problem_count += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def chain_verify(
    *, anchors: Iterable[Anchor] = (), progress: Callable[[int], None] | None = None
) -> ChainReport:
    """Check every seal and entry, in constant memory but for anchors and erasures.

    Finds: changed entries and bodies, removed entries and seals, reordered or rewritten seals,
    bodies removed without a record. With `anchors`: a tail that was cut off, and a chain that was
    computed anew. Unsealed entries are counted, not judged. `progress` is called with the number
    checked so far, every 2,000.
    """
    report = ChainReport()
    expected: dict[int, list[Anchor]] = {}
    for anchor in anchors:
        report.anchors += 1
        expected.setdefault(anchor.sequence, []).append(anchor)
    erasures = _Erasures()
    with transaction.atomic():
        for seal, entry in _rows():
            _check(report, seal, entry, erasures)
            for anchor in expected.pop(seal.sequence, ()):
                if anchor.hash != seal.hash:
                    report.add(f"{seal}: the anchor in line {anchor.line} has another hash")
            report.head_sequence, report.head_hash = seal.sequence, seal.hash
            report.entries += 1
            if progress and report.entries % CHUNK == 0:
                progress(report.entries)
        _count_unsealed(report)
    report.erased = len(erasures.erased)
    for entry_id in sorted(erasures.unrecorded(head=report.head_sequence)):
        report.add(f"entry {entry_id}: its body is erased, and no record says by whom")
    for sequence in sorted(expected):
        for anchor in expected[sequence]:
            what = "cut off" if sequence > report.head_sequence else "removed"
            report.add(
                f"sequence {sequence}: anchored (line {anchor.line}) and not in the chain: {what}"
            )
    return report


@dataclass(slots=True)
class _Seal:
    sequence: int
    entry_id: int
    previous: str
    hash: str
    sealed_at: str

    def __str__(self) -> str:
        return f"sequence {self.sequence} (entry {self.entry_id})"


@dataclass
class _Erasures:
    """Erased entries, and those whose erasure is recorded."""

    erased: set[int] = field(default_factory=set)
    recorded: set[str] = field(default_factory=set)

    def unrecorded(self, *, head: int) -> set[int]:
        """Erased entries without a record. Records that are not in the chain up to `head` yet wait
        for their seal, or got it while the chain was read: they are looked up now."""
        missing = {entry_id for entry_id in self.erased if str(entry_id) not in self.recorded}
        if not missing:
            return missing
        later = AuditEntry.objects.filter(
            Q(seal=None) | Q(seal__sequence__gt=head),
            action=ERASE,
            subject_type="audit_entry",
            outcome=Outcome.DONE,
            subject_id__in=[str(entry_id) for entry_id in missing],
        ).values_list("subject_id", flat=True)
        return missing - {int(subject) for subject in later if subject.isdigit()}


def part_verify(*, after: int, hash: str, upto: int | None = None, limit: int) -> ChainReport:
    """Check up to `limit` seals that follow the seal `after` with its `hash`, as `chain_verify`.

    `head_sequence` and `head_hash` of the report are where the part ends. Looks at the seals and
    entries of the part, and at records of erasures wherever they stand.
    """
    report = ChainReport(head_sequence=after, head_hash=hash or GENESIS)
    erasures = _Erasures()
    for seal, entry in _rows(after=after, upto=upto, limit=limit):
        _check(report, seal, entry, erasures)
        report.head_sequence, report.head_hash = seal.sequence, seal.hash
        report.entries += 1
    report.erased = len(erasures.erased)
    # Wherever the record stands: the part may end before it.
    for entry_id in sorted(erasures.unrecorded(head=after)):
        report.add(f"entry {entry_id}: its body is erased, and no record says by whom")
    return report


def removed_unsealed() -> list[str]:
    """Problems with entries that were removed before they were sealed; the first fifty."""
    with connection.cursor() as cursor:
        cursor.execute(_REMOVED_UNSEALED)
        return [f"entry {row[0]}: removed before it was sealed" for row in cursor.fetchall()]


def _rows(
    *, after: int = 0, upto: int | None = None, limit: int | None = None
) -> Iterator[tuple[_Seal, dict[str, Any] | None]]:
    with connection.chunked_cursor() as cursor:
        # From the beginning also what stands before it: numbers are given from 1 on.
        first = after if after else -(2**62)
        cursor.execute(_CHAIN, [first, upto, upto, limit])
        while rows := cursor.fetchmany(CHUNK):
            for row in rows:
                entry = dict(zip(_FIELDS, row[5:], strict=True))
                yield _Seal(*row[:5]), None if entry["id"] is None else entry


def _check(
    report: ChainReport, seal: _Seal, entry: dict[str, Any] | None, erasures: _Erasures
) -> None:
    if seal.sequence != report.head_sequence + 1:
        report.add(
            f"sequence {report.head_sequence + 1} to {seal.sequence - 1}: "
            "removed, the chain has a hole"
        )
    elif seal.previous != report.head_hash:
        report.add(f"{seal}: does not continue the seal before it")
    if entry is None:
        report.add(f"{seal}: the entry was removed")
        return
    value = seal_hash(
        sequence=seal.sequence, previous=seal.previous, sealed_at=seal.sealed_at, entry=entry
    )
    if value != seal.hash:
        report.add(f"{seal}: the entry or its seal was changed after the sealing")
    if entry["body"] is None or entry["salt"] is None:
        erasures.erased.add(seal.entry_id)
    # Django leaves jsonb as text.
    elif body_digest(json.loads(entry["body"]), entry["salt"]) != entry["digest"]:
        report.add(f"{seal}: the body was changed")
    if entry["action"] == ERASE and entry["outcome"] == Outcome.DONE:
        erasures.recorded.add(entry["subject_id"])


def _count_unsealed(report: ChainReport) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_UNSEALED)
        report.unsealed, oldest = cursor.fetchone()
        if oldest is not None:
            report.oldest_unsealed_seconds = max(0.0, (timezone.now() - oldest).total_seconds())
    for problem in removed_unsealed():
        report.add(problem)
