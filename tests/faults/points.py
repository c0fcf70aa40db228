"""How a test holds a process at a named point (apps/common/failpoints.py)."""

import os
from pathlib import Path

from apps.common.failpoints import ARMED, HELD, REACHED
from tests.support import eventually


class Points:
    """Arms points in a folder that the processes under test were told of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Whoever the processes run as writes here.
        for name in (ARMED, HELD, REACHED):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def arm(self, name: str) -> None:
        """The first who reaches it from now on is held."""
        (self.folder / ARMED / name).touch()

    def holder(self, name: str) -> int:
        """The pid that is held there, 0 for none."""
        found = (self.folder / HELD).glob(f"{name}@*")
        return next((int(path.name.rpartition("@")[2]) for path in found), 0)

    def wait(self, name: str, timeout: float = 30) -> int:
        """The pid of the holder, as soon as somebody is held."""
        return eventually(lambda: self.holder(name), timeout=timeout, every=0.01)

    def release(self, name: str) -> None:
        """The holder goes on, if it lives; nobody else is held."""
        (self.folder / ARMED / name).unlink(missing_ok=True)
        for path in (self.folder / HELD).glob(f"{name}@*"):
            path.unlink(missing_ok=True)

    def release_all(self) -> None:
        """Everybody goes on."""
        for folder in (ARMED, HELD):
            for path in (self.folder / folder).iterdir():
                path.unlink(missing_ok=True)

    def reached(self) -> set[str]:
        """Points that anybody has come by."""
        return set(os.listdir(self.folder / REACHED))
