"""What goes wrong on purpose, call by call. Kept in memory: a new start is a calm one."""

import threading
from dataclasses import dataclass


@dataclass
class Fault:
    """For `left` calls of `operation` (empty: of any); left 0: until cleared."""

    operation: str
    lose_answer: bool = False
    status: int = 0
    retry_after: float = 0.0
    delay_seconds: float = 0.0
    left: int = 0

    def __str__(self) -> str:
        what = [
            *(["loses its answer"] if self.lose_answer else []),
            *([f"answers {self.status}"] if self.status else []),
            *([f"waits {self.delay_seconds:g} s"] if self.delay_seconds else []),
        ]
        often = f"the next {self.left}" if self.left else "until cleared"
        return f"{self.operation or 'every operation'}: {', '.join(what)} ({often})"


#: Of a call with which nothing goes wrong.
NONE = Fault("")


class Faults:
    """The faults that are in force; threads share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """One more; the earlier ones come first."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """None any more."""
        with self._lock:
            self._faults.clear()

    def draw(self, operation: str) -> Fault:
        """The first that is for this call; it has one call fewer then."""
        with self._lock:
            for fault in self._faults:
                if fault.operation in ("", operation):
                    if fault.left == 1:
                        self._faults.remove(fault)
                    elif fault.left:
                        fault.left -= 1
                    return fault
        return NONE

    def lines(self) -> list[str]:
        """Each as a sentence."""
        with self._lock:
            return [str(fault) for fault in self._faults]
