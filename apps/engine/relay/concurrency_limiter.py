"""Limits concurrent calls per task queue, so that one unresponsive queue cannot use every slot."""

from collections import Counter


class ConcurrencyLimiter:
    """`total` calls at once, of these at most `per_queue` for one queue.

    A queue whose calls do not come back loses half of its places each time, down to one that
    probes; it gets them back, twice as many each time, when its calls succeed.
    """

    def __init__(self, *, total: int, per_queue: int) -> None:
        self._total = total
        self._per_queue = min(per_queue, total)
        self._taken: Counter[str] = Counter()
        self._shrunk: dict[str, int] = {}

    @property
    def free(self) -> int:
        """ConcurrencyLimiter that any queue could have."""
        return max(0, self._total - self._taken.total())

    @property
    def per_queue(self) -> int:
        """ConcurrencyLimiter that a queue has when nothing of it is in flight and all is well."""
        return self._per_queue

    def left(self) -> dict[str, int]:
        """For queues that have less than `per_queue` left: how many."""
        queues = {*self._taken, *self._shrunk}
        return {queue: max(0, self._limit(queue) - self._taken[queue]) for queue in queues}

    def take(self, queue: str) -> None:
        """A call of that queue begins."""
        self._taken[queue] += 1

    def give(self, queue: str) -> None:
        """A call of that queue is over."""
        self._taken[queue] -= 1
        if self._taken[queue] <= 0:
            del self._taken[queue]

    def backoff(self, queue: str) -> None:
        """The server was away for that queue's call."""
        self._shrunk[queue] = max(1, self._limit(queue) // 2)

    def recover(self, queue: str) -> bool:
        """The server answered; whether the queue had been sick until now."""
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
