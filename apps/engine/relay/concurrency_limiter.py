"""Limits concurrent calls per task queue, so that one unresponsive queue cannot use every slot."""

from collections import Counter


class ConcurrencyLimiter:
    """Allows `total` calls at once, at most `per_queue` of them for one queue.

    A queue whose calls get no answer loses half of its slots each time, down to one that probes; it
    regains them, twice as many each time, when its calls succeed.
    """

    def __init__(self, *, total: int, per_queue: int) -> None:
        self._total = total
        self._per_queue = min(per_queue, total)
        self._taken: Counter[str] = Counter()
        self._shrunk: dict[str, int] = {}

    @property
    def free(self) -> int:
        """Return the number of slots open to any queue."""
        return max(0, self._total - self._taken.total())

    @property
    def per_queue(self) -> int:
        """Return the number of slots of a healthy queue without calls."""
        return self._per_queue

    def left(self) -> dict[str, int]:
        """Return the open slots of queues that have fewer than `per_queue`."""
        queues = {*self._taken, *self._shrunk}
        return {queue: max(0, self._limit(queue) - self._taken[queue]) for queue in queues}

    def take(self, queue: str) -> None:
        """Take a slot at the start of a queue's call."""
        self._taken[queue] += 1

    def give(self, queue: str) -> None:
        """Return a slot at the end of a queue's call."""
        self._taken[queue] -= 1
        if self._taken[queue] <= 0:
            del self._taken[queue]

    def backoff(self, queue: str) -> None:
        """Halve the queue's slots, because the server did not answer its call."""
        self._shrunk[queue] = max(1, self._limit(queue) // 2)

    def recover(self, queue: str) -> bool:
        """Double the queue's slots after an answer; return whether they had been reduced."""
        if queue not in self._shrunk:
            return False
        limit = self._shrunk[queue] * 2
        if limit >= self._per_queue:
            del self._shrunk[queue]
        else:
            self._shrunk[queue] = limit
        return True

    def _limit(self, queue: str) -> int:
        return self._shrunk.get(queue, self._per_queue)
