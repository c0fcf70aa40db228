"""A synchronisation's verdict and comparison, in a process of its own.

`python -m benchmarks.p6_side RUN` prints its seconds, its memory above its start, and a digest of
what it found, as JSON.
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

STATUS = Path("/proc/self/status")


def main() -> None:
    """Compare the file of the run, whose differences are not kept: so every round is the same."""
    import django

    django.setup()
    from apps.pix.contracts import KeyType
    from apps.pix.models import SyncVerdict
    from apps.pix.services.sync_comparing import differences_found
    from apps.pix.sync.buckets import verifier_of

    verdict = SyncVerdict.objects.select_related("run").get(run_id=UUID(sys.argv[1]), whole=True)
    before = _peak()
    import apps.pix.sync.compare  # noqa: F401 - its arrays' library counts as memory, not as time

    began = time.perf_counter()
    verifier_of(verdict.run.participant, KeyType(verdict.key_type))
    missing: list[bytes] = []
    extra: list[bytes] = []
    for _end, only_there, only_here in differences_found(verdict.run, verdict):
        missing += only_there
        extra += only_here
    seconds = time.perf_counter() - began
    told: dict[str, Any] = {
        "seconds": round(seconds, 4),
        "mb": round(_peak() - before, 1),
        "found": digest(missing, extra),
    }
    print(json.dumps(told))


def digest(missing: list[bytes], extra: list[bytes]) -> str:
    """How many, and of what."""
    whole = b"".join((*sorted(missing), b"|", *sorted(extra)))
    return f"{len(missing)} {len(extra)} {hashlib.sha256(whole).hexdigest()[:16]}"


def _peak() -> float:
    # Of this process alone: what getrusage says includes who started it.
    line = next(one for one in STATUS.read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
