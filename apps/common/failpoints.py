"""Failpoints: named places where a test holds a process, to kill it exactly there.

Off unless `FAILPOINTS_DIR` is set (production settings refuse it); then a call costs one look-up of
a setting. In that folder a test arms a point by a file `armed/NAME`. The first thread or process to
reach the point renames the file to `held/NAME@PID`, which announces it, and waits until the file is
gone or it is killed. Every caller leaves `reached/NAME`, so that tests find points that nobody
reaches.
"""

import asyncio
import os
import time
from pathlib import Path

from django.conf import settings

ARMED, HELD, REACHED = "armed", "held", "reached"
LOOK_SECONDS = 0.005


def failpoint(name: str) -> None:
    """Continue; if a test has armed the point, wait until it is released."""
    if settings.FAILPOINTS_DIR:
        held = _take(name)
        while held is not None and held.exists():
            time.sleep(LOOK_SECONDS)


async def failpoint_async(name: str) -> None:
    """As `failpoint`, in an event loop: other tasks continue."""
    if settings.FAILPOINTS_DIR:
        held = _take(name)
        while held is not None and held.exists():
            await asyncio.sleep(LOOK_SECONDS)


def _take(name: str) -> Path | None:
    folder = Path(settings.FAILPOINTS_DIR)
    (folder / REACHED / name).touch()
    held = folder / HELD / f"{name}@{os.getpid()}"
    try:
        # Atomic: one of several concurrent callers wins.
        (folder / ARMED / name).rename(held)
    except FileNotFoundError:
        return None
    return held
