"""A file of JSON lines in which a simulator keeps what it knows, so that it survives a kill."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Kept:
    """Lines in a file; without a file nothing is kept."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def write(self, line: dict[str, Any]) -> None:
        """Append a line."""
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the lines in their order; one cut off by a kill is ignored."""
        if self._file is None or not self._file.exists():
            return
        text = self._file.read_text()
        if text and not text.endswith("\n"):
            with self._file.open("a") as file:
                file.write("\n")
        for line in text.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue
