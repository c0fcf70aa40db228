"""Failpoints: named places at which a test holds a process, to kill it exactly there.

Off unless `FAILPOINTS_DIR` is set (production settings refuse it); then a call costs one look at a
setting. In that folder a test arms a point by a file `armed/NAME`. Who reaches the point first, of
all threads and processes, takes the file by renaming it to `held/NAME@PID`: that announces it, and
the holder stays until the file is gone, or it is killed. `reached/NAME` is left by everybody who
comes by, so that a point that nobody reaches is found.
"""

import asyncio
import os
import time
from pathlib import Path

from django.conf import settings

ARMED, HELD, REACHED = "armed", "held", "reached"
LOOK_SECONDS = 0.005


def failpoint(name: str) -> None:
    """Go on, unless a test has armed the point: then when it is released."""
    if settings.FAILPOINTS_DIR:
        held = _take(name)
        while held is not None and held.exists():
            time.sleep(LOOK_SECONDS)


async def failpoint_async(name: str) -> None:
    """The same in an event loop: other tasks go on."""
    if settings.FAILPOINTS_DIR:
        held = _take(name)
        while held is not None and held.exists():
            await asyncio.sleep(LOOK_SECONDS)


def _take(name: str) -> Path | None:
    folder = Path(settings.FAILPOINTS_DIR)
    (folder / REACHED / name).touch()
    held = folder / HELD / f"{name}@{os.getpid()}"
    try:
        # Atomic: of all who arrive at once, one wins.
        (folder / ARMED / name).rename(held)
    except FileNotFoundError:
        return None
    return held
