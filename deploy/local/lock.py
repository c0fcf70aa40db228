"""One launcher for one data folder. The kernel lets go of the lock when its holder dies."""

import fcntl
import os
from pathlib import Path

from deploy.local.processes import StartError


def hold(data: Path) -> int:
    """Take the lock of the folder for the life of this process; StartError when it is taken."""
    data.mkdir(parents=True, exist_ok=True)
    handle = os.open(data / "launcher.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise StartError(f"It already runs from {data} (launcher pid {pid}).") from None
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def is_held(data: Path) -> bool:
    """Whether a launcher holds the folder now."""
    try:
        handle = os.open(data / "launcher.lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
