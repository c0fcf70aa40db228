"""P6: verifying and comparing a million and five million entries ÷ plain SHA-256 of the same.

    python -m benchmarks.p6 [entries,entries] [rounds]

Ours is what a synchronisation does once a file is here: the verifier from the buckets, the file's
SHA-256 and buckets, and a thousand differences found exactly, from the database; a process of its
own each time, so that its memory above its start is its own. The reference hashes the messages of
which the same CIDs are made, with hashlib and nothing else. Neither receives a file nor repairs.
"""

import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg

from benchmarks.bench import Bench
from benchmarks.p6_rows import ISPB, TAMPERED, Rows
from benchmarks.testbed import Goal, Stand, compare, stand

BENCH = Bench(
    goal="P6",
    title="Synchronisation of keys against plain SHA-256 of the same messages",
    domain="pix",
    quick=("50000", "1"),
    seconds=150,
    quick_seconds=20,
)
MUST, REACH = 1.8, 1.0
#: Of memory above the start of the process that compares.
MOST_MB = 100
ENTRIES, ROUNDS = "1000000,5000000", 3
PART = 50_000

_MESSAGES = """
SELECT key_type || '&' || key || '&' || tax_id || '&' || name || '&' || trade_name || '&'
       || participant || '&' || branch || '&' || account_number || '&' || account_type
  FROM pix_entry WHERE participant = %s
"""


def main() -> int:
    """Prints a line for each number of entries; 1 when what must be reached is missed."""
    sizes = [int(n) for n in (sys.argv[1] if len(sys.argv) > 1 else ENTRIES).split(",")]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    missed = 0
    with (
        stand(database_only=True) as one,
        psycopg.connect(one.postgres.url, autocommit=True) as connection,
    ):
        one.django()
        rows = Rows(connection, random.Random(6))
        for size in sorted(sizes):
            rows.fill(size)
            run, expected = rows.file()
            peaks: list[float] = []

            def ours(run: str = run, expected: str = expected, peaks: list[float] = peaks) -> float:
                told = _synchronised(one, run)
                if told["found"] != expected:
                    raise SystemExit(f"found {told['found']}, not {expected}")
                peaks.append(float(told["mb"]))
                return float(told["seconds"])

            name = "P6" if size == min(sizes) else f"P6 at {size // 1_000_000} M"
            result = compare(
                Goal(name, must=MUST, reach=REACH, least=False),
                ours=ours,
                reference=lambda: _hashed(connection),
                unit=f"s for {size:,} entries",
                rounds=rounds,
            )
            peak = max(peaks)
            word = "reached" if peak <= MOST_MB else "MISSED"
            print(f"{name}  {TAMPERED:,} found; {peak:.0f} MB above start (≤ {MOST_MB}: {word})")
            missed |= result.word == "MISSED" or peak > MOST_MB
    return int(missed)


def _synchronised(one: Stand, run: str) -> dict[str, float | str]:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.p6_side", run],
        env=one.env,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(ended.stderr[-2000:])
    told: dict[str, float | str] = json.loads(ended.stdout)
    return told


def _hashed(connection: psycopg.Connection) -> float:
    """Seconds of hashing alone: reading the messages is not counted."""
    seconds = 0.0
    for messages in _messages(connection):
        began = time.perf_counter()
        for message in messages:
            hashlib.sha256(message).digest()
        seconds += time.perf_counter() - began
    return seconds


def _messages(connection: psycopg.Connection) -> Iterator[list[bytes]]:
    with connection.transaction(), connection.cursor(name="messages") as cursor:
        cursor.execute(_MESSAGES, [ISPB])
        while found := cursor.fetchmany(PART):
            yield [message.encode() for (message,) in found]


if __name__ == "__main__":
    sys.exit(main())
