"""Nothing that a test began goes on in a thread when its database is put back.

A pool that is shut down without waiting, as the relay's is, may have a thread between two
transactions: it would write into the next test, or find the database shut and fail while pytest
tells of something else.
"""

import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

from tests.support import eventually

ROOT = Path(__file__).resolve().parents[1]

#: What a test leaves behind may take so long, in seconds on a calm machine.
LONGEST = 30.0
#: Threads of a pool that was shut down end as soon as their work has: what takes longer than that
#: is looked at.
SHORT = 5.0

_before: set[threading.Thread] = set()
#: Pools that were shut down without waiting: one of their threads may just have taken up work, and
#: not be in our code yet.
_shut: list[ThreadPoolExecutor] = []


def remembered(shutdown: Any) -> Any:
    """`ThreadPoolExecutor.shutdown` that tells us of pools nobody waits for."""

    def shut(self: ThreadPoolExecutor, wait: bool = True, *, cancel_futures: bool = False) -> None:
        shutdown(self, wait, cancel_futures=cancel_futures)
        if not wait:
            _shut.append(self)

    return shut


def note() -> None:
    """A test begins: those that run now are not its own."""
    _before.clear()
    _before.update(threading.enumerate())


def at_work() -> list[threading.Thread]:
    """Threads that began with the test and are in our code. Those of a pool that wait for work are
    not; a daemon ends with whoever began it, or with the process."""
    frames = sys._current_frames()
    mine = set(threading.enumerate()) - _before - {threading.current_thread()}
    return [
        thread for thread in mine if not thread.daemon and _is_ours(frames.get(thread.ident or 0))
    ]


def _is_ours(frame: FrameType | None) -> bool:
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and "site-packages" not in path.parts:
            return True
        frame = frame.f_back
    return False


def ended(seconds: float = LONGEST) -> None:
    """Return when none of them is at work; fail with what they do otherwise."""
    while _shut:
        for thread in list(_shut.pop()._threads):
            thread.join(SHORT)
    try:
        eventually(lambda: not at_work(), timeout=seconds, every=0.01)
    except BaseException as error:
        frames = sys._current_frames()
        doing = "".join(
            f"{thread.name}:\n{''.join(traceback.format_stack(frames[thread.ident or 0]))}"
            for thread in at_work()
            if thread.ident in frames
        )
        raise AssertionError(f"threads outlive their test:\n{doing}") from error
