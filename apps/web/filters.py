"""Filter forms of lists, as GET parameters, so that a filtered list has a URL to share. The API
operation that lists the same rows takes the same filters."""

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

#: The function that `filtered` passes to an operation: returns the rows that match the request.
Narrow = Callable[..., Any]
#: A column name to compare with the value, or a function of rows, value and user.
Lookup = str | Callable[[Any, Any, "User"], Any]


class FilterForm(forms.Form):
    """A list's filters. `lookups` says for each field how it filters the rows.

    `more` names the fields that are folded away until one is used; `aside` the fields that other
    parts of the page set, and that the bar only passes on.
    """

    lookups: ClassVar[Mapping[str, Lookup]] = {}
    more: ClassVar[tuple[str, ...]] = ()
    aside: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def select(cls, rows: Any, values: Mapping[str, Any], *, user: "User") -> Any:
        """Return the rows that match all values. Empty values filter nothing; no row contains
        U+0000."""
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
        """Return the matching rows; none when a filter is invalid."""
        if not self.is_valid():
            return rows.none()
        return self.select(rows, self.cleaned_data, user=user)

    @property
    def first_fields(self) -> list[forms.BoundField]:
        """Return the fields that are always visible."""
        return [self[name] for name in self.fields if name not in (*self.more, *self.aside)]

    @property
    def more_fields(self) -> list[forms.BoundField]:
        """Return the fields behind "More filters"."""
        return [self[name] for name in self.more]

    @property
    def more_used(self) -> int:
        """Return how many of those are used; if any, they are visible."""
        return self._used(self.more)

    @property
    def aside_values(self) -> list[tuple[str, str]]:
        """Return names and values that the form passes on as hidden fields."""
        return [(name, value) for name in self.aside if (value := self.data.get(name))]

    @property
    def filtered(self) -> bool:
        """Return whether any filter of the bar is used."""
        return self._used(name for name in self.fields if name not in self.aside) > 0

    @property
    def address(self) -> str:
        """Return the query string of the used filters, in the order of the fields, without other
        parameters."""
        chosen = QueryDict(mutable=True)
        for name in self.fields:
            if value := self.data.get(name):
                chosen[name] = value
        return chosen.urlencode()

    def _used(self, names: Iterable[str]) -> int:
        return sum(bool(self.data.get(name)) for name in names)


def asked_by_me(rows: Any, value: Any, user: "User") -> Any:
    """Filter by requester: the lookup of a `MineField`."""
    return rows.filter(requested_by=user)


# --- the same for the API -------------------------------------------------------------------------
def filtered(form: type[FilterForm]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a listing operation the form's filters as query parameters of the same names, and call
    it with `narrow(rows, user=…)`, which applies them.

    Must stand below the router's decorator. A value of the wrong type is a 422.
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

        # Remove `narrow` from the signature: it is not a parameter of the request.
        declared = signature(operation)
        others = [one for name, one in declared.parameters.items() if name != "narrow"]
        listing.__signature__ = declared.replace(parameters=others)  # type: ignore[attr-defined]
        contribute_operation_args(listing, "filters", schema, Query(...))
        return listing

    return decorate


def _parameter(field: forms.Field) -> tuple[Any, Any]:
    """Return the filter's type and default as a query parameter."""
    if isinstance(field, forms.BooleanField):
        return bool, False
    if kind := getattr(field, "api_type", None):
        return kind | None, None
    if isinstance(field, forms.ChoiceField):
        keys = tuple(str(key) for key, _ in field.choices if key)  # type: ignore[union-attr,misc]
        return Literal[keys] | None, None
    return str | None, Field(None, max_length=getattr(field, "max_length", None))
