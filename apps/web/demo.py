"""What `manage.py seeddemo` fills an empty installation with. Each app registers its own part in
`AppConfig.ready()`.
"""

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from django.apps import apps
from django.utils.module_loading import import_string

from apps.common.registry import Registry

#: Called with `people=` (users by name); yields a line for each thing that it has made.
Seed = Callable[..., Iterable[str]]
Row = TypeVar("Row")


@dataclass(frozen=True)
class DemoPart:
    """A part of the demo. `seed` is the dotted name of its function, which is loaded when the demo
    is made. It must be idempotent.

    `bare`: it belongs to the bare demo as well, which has no past and takes no decisions.
    """

    title: str
    seed: str
    order: int
    bare: bool = True

    def load(self) -> Seed:
        """The function. ImportError when there is none."""
        found: Any = import_string(self.seed)
        return found


_parts = Registry[DemoPart]("part of the demo")


def register(part: DemoPart) -> None:
    """Add the part. ImproperlyConfigured when its title is taken by another one."""
    _parts.add(part.title, part)


def registered() -> list[DemoPart]:
    """All parts, by order."""
    return sorted(_parts.values(), key=lambda part: part.order)


def table(
    app: str, name: str, row: Callable[..., Row], **read: Callable[[str], object]
) -> list[Row]:
    """The rows of the app's `demo/<name>.csv`, each given to `row` by the names of the columns, as
    text, or as `read` makes it of a column's text: None of an empty one. Call it when the apps are
    ready."""
    path = Path(apps.get_app_config(app).path) / "demo" / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    for fields in rows:
        for column, made_of in read.items():
            fields[column] = made_of(fields[column]) if fields[column] else None
    return [row(**fields) for fields in rows]
