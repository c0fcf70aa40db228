"""The steps of a row's workflow, as a page shows them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from apps.common.language import lazy as _
from apps.web.tones import words_of

_CODE = re.compile(r"\A[a-z]+(_[a-z]+)*: ")
ICONS = {"done": "check", "failed": "cross", "compensated": "undo", "running": "running"}
#: Words for statuses of a step; elsewhere these statuses have other words.
WORDS = {"compensated": _("undone"), "skipped": _("not needed")}


@dataclass(frozen=True)
class StepLine:
    """A step, begun or not. `step`: its row; `icon`: shown instead of its number."""

    number: int
    name: str
    status: str
    icon: str
    step: Any = None

    @property
    def detail(self) -> str:
        """Return what is kept of it, without the code that programs read before a refusal."""
        kept = self.step.detail if self.step else ""
        return _CODE.sub("", kept) if self.status == "failed" else kept

    @property
    def words(self) -> str:
        """Return the status in words."""
        return WORDS.get(self.status) or words_of(self.status)


def step_lines(
    rows: Iterable[Any], order: Sequence[str], *, undoing: Sequence[str] = (), over: bool
) -> list[StepLine]:
    """Return the steps in `order`, begun or not, then those of `undoing` that have begun.

    `over`: the workflow has ended; a step without a row was skipped.
    """
    known = {row.name: row for row in rows}
    lines = []
    for number, name in enumerate([*order, *(name for name in undoing if name in known)], start=1):
        row = known.get(name)
        status = row.status if row else "skipped" if over else "waiting"
        icon = "undo" if name in undoing else ICONS.get(status, "")
        lines.append(StepLine(number, name, status, icon, row))
    return lines
