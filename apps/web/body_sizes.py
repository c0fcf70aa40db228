"""Addresses that take larger bodies than the rest of the site.

Each app registers its own in `AppConfig.ready()`; `config.body_limit` holds everybody to them.
"""

import re
from dataclasses import dataclass
from typing import Any

from apps.common.registry import Registry


@dataclass(frozen=True)
class Roomier:
    """Addresses whose forms with files may be larger; `path` is a pattern of the whole path.

    `json`: documents as well, for an address that knows how to read them.
    """

    path: re.Pattern[str]
    most: int
    json: bool = False

    def fits(self, scope: dict[str, Any]) -> bool:
        """A POST of a form with files there: Django writes those to the disk, not into memory."""
        kind = next((v for k, v in scope.get("headers", ()) if k.lower() == b"content-type"), b"")
        taken = (b"multipart/form-data", b"application/json") if self.json else b"multipart/form-"
        return (
            scope.get("method") == "POST"
            and kind.lower().startswith(taken)
            and self.path.fullmatch(scope.get("path", "")) is not None
        )


_roomier = Registry[Roomier]("larger body size")


def register(roomier: Roomier) -> None:
    """Let larger bodies in there. ImproperlyConfigured when the path has another size."""
    _roomier.add(roomier.path.pattern, roomier)


def registered() -> list[Roomier]:
    """All of them."""
    return _roomier.values()
