"""Forms of GET parameters above a list: a filtered list is an address to share. The operation of
the API that lists the same rows takes the same filters."""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from django import forms
from django.http import HttpRequest, QueryDict
from ninja import Query, Schema
from ninja.utils import contribute_operation_args
from pydantic import Field, create_model

if TYPE_CHECKING:
    from apps.accounts.models import User

#: What `filtered` gives an operation: the rows that match what was sent.
Narrow = Callable[..., Any]
#: The column that has to have the value, or a function of the rows, the value and who asks.
Lookup = str | Callable[[Any, Any, "User"], Any]


class FilterForm(forms.Form):
    """A list's filters. `lookups` say for each field what it narrows the list to.

    `more` names the fields that stand folded away until one is used; `aside` those that other parts
    of the page set, and that the bar only carries along.
    """

    lookups: ClassVar[Mapping[str, Lookup]] = {}
    more: ClassVar[tuple[str, ...]] = ()
    aside: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def select(cls, rows: Any, values: Mapping[str, Any], *, user: "User") -> Any:
        """The rows that have each of the values. Empty ones ask for nothing; no row has U+0000."""
        for name, lookup in cls.lookups.items():
            value = values.get(name)
            if value is None or value == "" or value is False:
                continue
            if isinstance(value, str) and "\x00" in value:
                return rows.none()
            if isinstance(lookup, str):
                rows = rows.filter(**{lookup: value})
            else:
                rows = lookup(rows, value, user)
        return rows

    def matching(self, rows: Any, *, user: "User") -> Any:
        """The rows that match; none when a filter is not valid."""
        if not self.is_valid():
            return rows.none()
        return self.select(rows, self.cleaned_data, user=user)

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


def asked_by_me(rows: Any, value: Any, user: "User") -> Any:
    """Lookup of a `MineField`."""
    return rows.filter(requested_by=user)


# --- the same for the API -------------------------------------------------------------------------
def filtered(form: type[FilterForm]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """For an operation that lists: it takes the form's filters as query parameters of the same
    names, and is called with `narrow(rows, user=…)`, which applies what was sent.

    Stands below the router's decorator. A value of the wrong type is a 422.
    """
    fields: Any = {name: _parameter(form.base_fields[name]) for name in form.lookups}
    schema = create_model(f"{form.__name__}Query", __base__=Schema, **fields)

    def decorate(operation: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(operation)
        def listing(request: HttpRequest, **given: Any) -> Any:
            values = given.pop("filters").dict()

            def narrow(rows: Any, *, user: "User") -> Any:
                return form.select(rows, values, user=user)

            return operation(request, narrow=narrow, **given)

        # `narrow` is ours to give: it is none of the operation's parameters.
        told = signature(operation)
        others = [one for name, one in told.parameters.items() if name != "narrow"]
        listing.__signature__ = told.replace(parameters=others)  # type: ignore[attr-defined]
        contribute_operation_args(listing, "filters", schema, Query(...))
        return listing

    return decorate


def _parameter(field: forms.Field) -> tuple[Any, Any]:
    """Type and default of the filter as a parameter."""
    if isinstance(field, forms.BooleanField):
        return bool, False
    if kind := getattr(field, "api_type", None):
        return kind | None, None
    if isinstance(field, forms.ChoiceField):
        keys = tuple(str(key) for key, _ in field.choices if key)  # type: ignore[union-attr,misc]
        return Literal[keys] | None, None
    return str | None, Field(None, max_length=getattr(field, "max_length", None))
