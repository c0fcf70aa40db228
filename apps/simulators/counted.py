"""How often each idempotency key was sent, and how often it had an effect."""

from pathlib import Path
from typing import Any

from apps.simulators.kept import Kept


class Counted:
    """Counts by key. With a file they survive a kill of the process."""

    def __init__(self, file: Path | None) -> None:
        self._requests: dict[str, int] = {}
        self._effects: set[str] = set()
        self._kept = Kept(file)
        for line in self._kept.read():
            if line["effect"]:
                self._effects.add(line["key"])
            else:
                self._count(line["key"])

    def request(self, key: str) -> int:
        """Count a request; return how many came with its key."""
        self._kept.write({"key": key, "effect": False})
        return self._count(key)

    def effect(self, key: str) -> None:
        """Note the effect of a key: it has one, however often it is sent."""
        if key not in self._effects:
            self._kept.write({"key": key, "effect": True})
            self._effects.add(key)

    def told(self, key: str | None) -> dict[str, Any]:
        """Return the counts of the key, or of every key."""
        if key is not None:
            return {"key": key, **self._counts(key)}
        return {"effects": {one: self._counts(one) for one in self._requests}}

    def _count(self, key: str) -> int:
        self._requests[key] = self._requests.get(key, 0) + 1
        return self._requests[key]

    def _counts(self, key: str) -> dict[str, int]:
        return {"requests": self._requests.get(key, 0), "effects": int(key in self._effects)}
