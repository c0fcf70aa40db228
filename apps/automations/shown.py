"""Values as pages show them: JSON in lines, folded if there are many, cut if it is long."""

from dataclasses import dataclass
from typing import Any

from apps.automations.services.definitions import laid_out

#: Characters of a value that are shown, and lines that are not folded.
MOST_CHARACTERS, MOST_LINES = 20_000, 16


@dataclass(frozen=True)
class Shown:
    """A value under its title. `id`: of the panel. `empty`: what is said instead, if there is no
    value. `size`: characters of the whole."""

    id: str
    title: str
    text: str = ""
    size: int = 0
    empty: str = ""

    @property
    def is_cut(self) -> bool:
        """Return whether only its beginning is shown."""
        return self.size > len(self.text)

    @property
    def is_short(self) -> bool:
        """Return whether it need not be folded."""
        return self.text.count("\n") < MOST_LINES


def shown(id: str, title: str, value: Any) -> Shown:
    """Return the value as it is shown."""
    text = laid_out(value)
    return Shown(id, title, text[:MOST_CHARACTERS], len(text))
