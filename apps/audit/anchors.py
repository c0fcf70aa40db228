"""Anchors: the head of the chain, kept outside the database, so that a cut-off tail is noticed."""

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from apps.common.correlation import get_logger

log = get_logger(__name__)


@dataclass(frozen=True)
class Anchor:
    """The head of the chain at some time. `line` is its line number in the file."""

    sequence: int
    hash: str
    line: int = 0


@dataclass
class _Last:
    at: float = 0.0
    sequence: int = 0


_last = _Last()
_guard = threading.Lock()


def head_anchor(*, sequence: int, hash: str) -> bool:
    """Anchor this head: a log line, and a line in AUDIT_ANCHOR_FILE that is on the disk on return.

    Once per head, and at most once in AUDIT_ANCHOR_SECONDS in one process; returns whether it was
    due. Never raises: a full disk must not stop the sealer, so a failure is logged as an error.
    """
    with _guard:
        now = time.monotonic()
        recent = _last.at and now - _last.at < settings.AUDIT_ANCHOR_SECONDS
        if recent or sequence == _last.sequence:
            return False
        _last.at, _last.sequence = now, sequence
    at = timezone.now().isoformat()
    log.info("audit_anchor", sequence=sequence, hash=hash, at=at)
    if settings.AUDIT_ANCHOR_FILE:
        line = json.dumps({"sequence": sequence, "hash": hash, "at": at})
        try:
            _append(Path(settings.AUDIT_ANCHOR_FILE), line)
        except OSError:
            log.exception("audit_anchor_not_written", file=settings.AUDIT_ANCHOR_FILE)
    return True


def reset() -> None:
    """Forget when the last anchor was: the next head is anchored at once."""
    with _guard:
        _last.at, _last.sequence = 0.0, 0


def anchors_read(file: Path) -> tuple[list[Anchor], list[str]]:
    """The anchors of a file and warnings about lines that are none. OSError if unreadable.

    A line torn by a power cut is a warning, not a broken chain.
    """
    anchors: list[Anchor] = []
    warnings: list[str] = []
    for number, text in _lines(file):
        try:
            document = json.loads(text)
            anchors.append(Anchor(int(document["sequence"]), str(document["hash"]), number))
        except (ValueError, KeyError, TypeError):
            warnings.append(f"line {number} of {file} is not an anchor")
    return anchors, warnings


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    with file.open(encoding="utf-8", errors="replace") as stream:
        for number, text in enumerate(stream, start=1):
            if text.strip():
                yield number, text


def _append(file: Path, line: str) -> None:
    """One write in append mode, so that two processes do not mix their lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (("\n" if torn else "") + line + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
