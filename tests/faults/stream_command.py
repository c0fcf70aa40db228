"""`make stream-faults`: a real stream with bad messages and twins, while its consumer, the worker
and Temporal are killed with SIGKILL. Prints what was sent and what became of it, and exits with 1
when a figure differs.

SIZE (20000), SOURCE (`redis`; `kafka`), LANE (`event`; `batch`), SEED.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from deploy.local.kafka import running_kafka
from tests.faults.points import Points
from tests.faults.stream import BATCH, KILLS, StreamRun, survive
from tests.faults.stream_brokers import Broker, KafkaBroker, RedisBroker, Topics
from tests.faults.stream_sent import messages
from tests.faults.test_outage import CONTRACT_TIMEOUTS
from tests.stack import Stack, migrated_template

#: Calls that may be on their way when somebody is killed. A worker makes no more at once than it
#: has threads (deploy/local/stack.py); of the batch lane each of two batches asks for two scores.
IN_FLIGHT = {"event": 32, "batch": 2 * 2 * BATCH}
#: An event at the slowest that a busy machine is.
SECONDS_EACH = 0.5


@contextmanager
def broker_of(source: str, stack: Stack, folder: Path, topics: Topics) -> Iterator[Broker]:
    """The stack's Valkey, or a Kafka of its own. Raises SystemExit for another name."""
    if source == "redis":
        yield RedisBroker(stack.env["REDIS_URL"], topics)
    elif source == "kafka":
        with running_kafka(folder) as address:
            yield KafkaBroker(address, topics)
    else:
        raise SystemExit(f"SOURCE is redis or kafka, not {source!r}")


def run(folder: Path, *, size: int, source: str, lane: str, seed: str) -> bool:
    """Print the table; whether every figure is as it must be."""
    began = time.monotonic()
    points = Points(folder / "points")
    env = {
        **CONTRACT_TIMEOUTS,
        "FAILPOINTS_DIR": str(points.folder),
        "PAYMENTS_LANE": lane,
        "INFERENCE_BULK": "true" if lane == "batch" else "false",
    }
    with ExitStack() as doors:
        stack = Stack(folder / "stack", template=migrated_template(folder / "template"), env=env)
        doors.callback(stack.close)
        stack.start()
        stack.wait_ready(timeout=180)
        broker = doors.enter_context(broker_of(source, stack, folder / "kafka", Topics.of(seed)))
        one = StreamRun(stack, points, broker)
        told = messages(seed, size)
        print(f"{len(told)} messages by {source}, lane {lane}. SEED={seed} repeats them.")
        try:
            with one.consuming():
                begun = time.monotonic()
                survive(
                    *(one, told, KILLS),
                    seconds=300 + SECONDS_EACH * size,
                    note=lambda text: print(text, flush=True),
                )
                taken = time.monotonic() - begun
                lines = one.table(in_flight=IN_FLIGHT[lane])
        except BaseException:
            print(stack.logs(), file=sys.stderr)
            raise
    print(f"\n{'':44} {'must be':>13} {'is':>9}")
    print("\n".join(map(str, lines)))
    killed = ", ".join(f"{victim} {number}" for victim, number in sorted(one.kills.items()))
    print(
        f"\nKilled: {killed}. {taken:.0f} s, {size / taken:.1f} messages a second;"
        f" with all starts {time.monotonic() - began:.0f} s."
    )
    return all(line.holds for line in lines)


def main() -> int:
    """The command; its exit status."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-stream-"))
    folder.chmod(0o711)
    try:
        holds = run(
            folder,
            size=int(os.environ.get("SIZE") or 20_000),
            source=os.environ.get("SOURCE") or "redis",
            lane=os.environ.get("LANE") or "event",
            seed=os.environ.get("SEED") or uuid4().hex[:8],
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("Every figure is as it must be." if holds else "FAILED: figures marked WRONG differ.")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
