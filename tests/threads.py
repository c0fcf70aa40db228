"""Nothing that a test began goes on in a thread when its database is put back.

A pool that is shut down without waiting, as the relay's is, may have a thread between two
transactions: it would write into the next test, or find the database shut and fail while pytest
tells of something else.
"""

import sys
import threading
import traceback
from concurrent.futures import thread as pools

from tests.support import eventually

#: What a test leaves behind may take so long, in seconds on a calm machine.
LONGEST = 30.0

_before: set[threading.Thread] = set()


def note() -> None:
    """A test begins: those that run now are not its own."""
    _before.clear()
    _before.update(threading.enumerate())


def at_work() -> list[threading.Thread]:
    """Threads that began with the test and do something. Those of a pool that wait for work do
    not; a daemon ends with whoever began it, or with the process."""
    frames = sys._current_frames()
    found = []
    for thread in set(threading.enumerate()) - _before - {threading.current_thread()}:
        frame = frames.get(thread.ident or 0)
        idle = frame is None or frame.f_code is pools._worker.__code__
        if not (thread.daemon or idle):
            found.append(thread)
    return found


def ended(seconds: float = LONGEST) -> None:
    """Return when none of them is at work; fail with what they do otherwise."""
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
