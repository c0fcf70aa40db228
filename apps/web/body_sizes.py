"""URLs that accept larger request bodies than the rest of the site.

Each app registers its own in `AppConfig.ready()`; `config.body_limit` enforces the limits.
"""

import re
from dataclasses import dataclass
from typing import Any

from apps.common.registry import Registry


@dataclass(frozen=True)
class Roomier:
    """URLs that accept larger forms with files; `path` is a pattern of the whole path.

    `json`: also larger JSON documents, for a view that reads them in parts.
    """

    path: re.Pattern[str]
    most: int
    json: bool = False

    def fits(self, scope: dict[str, Any]) -> bool:
        """Return whether the request is such a POST. Django writes files to disk, not into
        memory."""
        kind = next((v for k, v in scope.get("headers", ()) if k.lower() == b"content-type"), b"")
        taken = (b"multipart/form-data", b"application/json") if self.json else b"multipart/form-"
        return (
            scope.get("method") == "POST"
            and kind.lower().startswith(taken)
            and self.path.fullmatch(scope.get("path", "")) is not None
        )


_roomier = Registry[Roomier]("larger body size")


def register(roomier: Roomier) -> None:
    """Register the larger limit. Raises ImproperlyConfigured when the path has another one."""
    _roomier.add(roomier.path.pattern, roomier)


def registered() -> list[Roomier]:
    """Return all of them."""
    return _roomier.values()
