"""A text that somebody searches for, and what it can mean."""

import re
from datetime import UTC, datetime
from functools import cached_property
from uuid import UUID

from django.utils.translation import gettext

from apps.common.identifiers import number_of

#: Characters of a text that can be searched.
SHORTEST, LONGEST = 2, 200
#: Of several words so many are looked for.
MOST_WORDS = 8

#: A whole UUID anywhere: in a workflow's id, in an address of the site.
_WHOLE = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])", re.I)
#: The beginning of one, four digits and more, which a workflow's name may precede.
_BEGUN = re.compile(r"(?:[a-z][a-z_]*-)*((?=[0-9a-f]{4})[0-9a-f-]{4,36})", re.I | re.ASCII)
#: Ids of this century's rows, which `new_id` made: 48 bits of milliseconds since 1970 come first.
_FIRST, _LAST = (
    UUID(int=int(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000) << 80)
    for year in (2020, 2100)
)
#: What no text of the database can hold.
_NOWHERE = re.compile("[\0\ud800-\udfff]")


class Query:
    """A text that somebody searches for, and what it can mean."""

    def __init__(self, text: str) -> None:
        #: One blank between words. A text of any length and with any characters may come in.
        self.text = " ".join(text[: LONGEST * 10].split())

    @cached_property
    def trouble(self) -> str:
        """Return why the text cannot be searched, as a sentence; empty: it can."""
        if _NOWHERE.search(self.text):
            return gettext("The text has a character in it that nothing stored here can have.")
        if len(self.text) < SHORTEST:
            return gettext("Type at least {shortest} characters.").format(shortest=SHORTEST)
        if len(self.text) > LONGEST:
            return gettext("Type at most {longest} characters.").format(longest=LONGEST)
        return ""

    @cached_property
    def number(self) -> int | None:
        """Return the number that the text is, with or without `#` before it."""
        return number_of(self.text.removeprefix("#"), digits=18)

    @cached_property
    def uuid(self) -> UUID | None:
        """Return the first whole UUID in the text."""
        found = _WHOLE.search(self.text)
        return UUID(found[0]) if found else self._bare

    @cached_property
    def uuids(self) -> tuple[UUID, UUID] | None:
        """Return the lowest and the highest UUID that the text can be, or be the beginning of; None
        also if no row can have one of them: an id begins with the time when it was made."""
        if self.uuid:
            lowest = highest = self.uuid
        else:
            begun = _BEGUN.fullmatch(self.text)
            digits = begun[1].replace("-", "") if begun else ""
            if not 4 <= len(digits) <= 32:
                return None
            lowest, highest = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        return (lowest, highest) if highest >= _FIRST and lowest < _LAST else None

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Return the words of the text, at most MOST_WORDS."""
        return tuple(self.text.split()[:MOST_WORDS])

    @cached_property
    def _bare(self) -> UUID | None:
        return UUID(self.text) if re.fullmatch(r"[0-9a-fA-F]{32}", self.text) else None
