"""Forms of GET parameters above a list: a filtered list is an address to share."""

from collections.abc import Iterable
from typing import ClassVar

from django import forms
from django.http import QueryDict


class FilterForm(forms.Form):
    """A list's filters. `more` names the fields that stand folded away until one is used;
    `aside` those that other parts of the page set, and that the bar only carries along."""

    more: ClassVar[tuple[str, ...]] = ()
    aside: ClassVar[tuple[str, ...]] = ()

    @property
    def first_fields(self) -> list[forms.BoundField]:
        """Those that are always in view."""
        return [self[name] for name in self.fields if name not in (*self.more, *self.aside)]

    @property
    def more_fields(self) -> list[forms.BoundField]:
        """Those behind "More filters"."""
        return [self[name] for name in self.more]

    @property
    def more_used(self) -> int:
        """How many of those are used: then they are in view."""
        return self._used(self.more)

    @property
    def aside_values(self) -> list[tuple[str, str]]:
        """Names and values that the form hands on unseen."""
        return [(name, value) for name in self.aside if (value := self.data.get(name))]

    @property
    def filtered(self) -> bool:
        """Whether any filter of the bar is used."""
        return self._used(name for name in self.fields if name not in self.aside) > 0

    @property
    def address(self) -> str:
        """The query string of what is chosen, in the order of the fields, without the rest."""
        chosen = QueryDict(mutable=True)
        for name in self.fields:
            if value := self.data.get(name):
                chosen[name] = value
        return chosen.urlencode()

    def _used(self, names: Iterable[str]) -> int:
        return sum(bool(self.data.get(name)) for name in names)
