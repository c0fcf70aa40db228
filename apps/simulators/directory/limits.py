"""The buckets as the directory counts them: in memory, by the machine's own clock."""

import threading
import time

from apps.pix.bridge.buckets import BUCKETS, cost_of, group_of
from apps.simulators.directory.refusals import with_status


class Limits:
    """How much is left of each bucket; threads share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset(on=True)

    def reset(self, *, on: bool) -> None:
        """Fill every bucket; `on`: whether an empty one refuses."""
        with self._lock:
            self.on = on
            self._left: dict[tuple[str, str], tuple[float, float]] = {}

    def check(self, operation: str, participant: str, role: str) -> None:
        """Raise Refused 429 when the bucket is empty."""
        group = group_of(operation, role)
        if not group or not self.on:
            return
        with self._lock:
            left = self._now(group, participant)
        if left < 1:
            raise with_status(429, retry_after=(1 - left) / BUCKETS[group].refill * 60)

    def answered(self, operation: str, participant: str, role: str, status: int) -> None:
        """Take what the answer costs."""
        group = group_of(operation, role)
        if not group or status == 429:
            return
        with self._lock:
            left = self._now(group, participant) - cost_of(operation, status)
            self._left[group, participant] = (left, time.monotonic())

    def _now(self, group: str, participant: str) -> float:
        bucket, now = BUCKETS[group], time.monotonic()
        left, at = self._left.get((group, participant), (float(bucket.size), now))
        return min(bucket.size, left + (now - at) * bucket.refill / 60)
