"""Named things that apps register in `AppConfig.ready()`, so that shared code knows no domain."""

from collections.abc import Hashable
from typing import Generic, TypeVar

from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")


class Registry(Generic[T]):
    """Values by key, in the order of registration. `noun` names one of them in errors."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._values: dict[Hashable, T] = {}

    def add(self, key: Hashable, value: T) -> None:
        """Keep the value; the same one again changes nothing.

        Raises ImproperlyConfigured when the key is taken by another value.
        """
        if self._values.setdefault(key, value) != value:
            raise ImproperlyConfigured(f"the {self._noun} {key!r} is registered twice")

    def get(self, key: Hashable) -> T | None:
        """The value of that key, or None when nobody registered it."""
        return self._values.get(key)

    def items(self) -> dict[Hashable, T]:
        """A copy of all values by key."""
        return dict(self._values)

    def values(self) -> list[T]:
        """All values, in the order of registration."""
        return list(self._values.values())
