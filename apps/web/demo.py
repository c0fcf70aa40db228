"""The demo data of `manage.py seeddemo`. Each app registers its own part in `AppConfig.ready()`."""

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from django.apps import apps
from django.utils.module_loading import import_string

from apps.common.registry import Registry

#: Called with `people=` (users by name); yields a line for each thing it has created.
Seed = Callable[..., Iterable[str]]
Row = TypeVar("Row")


@dataclass(frozen=True)
class DemoPart:
    """A part of the demo. `seed` is the dotted name of its function, which is imported when the
    demo is made and must be idempotent. `title` is a word for operators, in no other language.

    `bare`: also part of the bare demo, which has no past and no decisions.
    """

    title: str
    seed: str
    order: int
    bare: bool = True

    def load(self) -> Seed:
        """Import the function. Raises ImportError when there is none."""
        found: Any = import_string(self.seed)
        return found


_parts = Registry[DemoPart]("part of the demo")


def register(part: DemoPart) -> None:
    """Register the part. Raises ImproperlyConfigured when another part has its title."""
    _parts.add(part.title, part)


def registered() -> list[DemoPart]:
    """Return all parts, sorted by order."""
    return sorted(_parts.values(), key=lambda part: part.order)


def table(
    app: str, name: str, row: Callable[..., Row], **read: Callable[[str], object]
) -> list[Row]:
    """Return the rows of the app's `demo/<name>.csv`, calling `row` with each column as a keyword
    argument: as text, or converted by the function in `read`, which gives None for an empty text.
    Call it when the apps are ready."""
    path = Path(apps.get_app_config(app).path) / "demo" / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    for fields in rows:
        for column, made_of in read.items():
            fields[column] = made_of(fields[column]) if fields[column] else None
    return [row(**fields) for fields in rows]
